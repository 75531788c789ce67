/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_REPEAT_INTERLEAVE_H_
#define QIAO_ACLNNOP_ACLNN_REPEAT_INTERLEAVE_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* out = each slice of self along dim `repeats` times; out has outputSize = repeats times as many. */
aclnnStatus aclnnRepeatInterleaveIntWithDimGetWorkspaceSize(const aclTensor* self, int64_t repeats,
                                                            int64_t dim, int64_t outputSize, aclTensor* out,
                                                            uint64_t* workspaceSize,
                                                            aclOpExecutor** executor);
aclnnStatus aclnnRepeatInterleaveIntWithDim(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                            aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_REPEAT_INTERLEAVE_H_ */
