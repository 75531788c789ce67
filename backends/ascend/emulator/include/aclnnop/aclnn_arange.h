/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_ARANGE_H_
#define QIAO_ACLNNOP_ACLNN_ARANGE_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* out = start + i * step, for i from 0 while that is below end (above it where step < 0). out has rank 1 or
 * more and as many elements as there are such i.
 */
aclnnStatus aclnnArangeGetWorkspaceSize(const aclScalar* start, const aclScalar* end, const aclScalar* step,
                                        aclTensor* out, uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnArange(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_ARANGE_H_ */
