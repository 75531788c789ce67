/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_INDEX_FILL_TENSOR_H_
#define QIAO_ACLNNOP_ACLNN_INDEX_FILL_TENSOR_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The slices of selfRef along dim that index names = value. */
aclnnStatus aclnnInplaceIndexFillTensorGetWorkspaceSize(aclTensor* selfRef, int64_t dim,
                                                        const aclIntArray* index, const aclScalar* value,
                                                        uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnInplaceIndexFillTensor(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                        aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_INDEX_FILL_TENSOR_H_ */
