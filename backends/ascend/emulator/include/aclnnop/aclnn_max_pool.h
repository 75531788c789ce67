/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_MAX_POOL_H_
#define QIAO_ACLNNOP_ACLNN_MAX_POOL_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* out = the largest element of windows of self, NCHW (or CHW). pads (top, left, bottom, right), or two
 * entries for both sides, or one; autoPad 0. Floats.
 */
aclnnStatus aclnnMaxPoolGetWorkspaceSize(const aclTensor* self, const aclIntArray* kernelShape,
                                         const aclIntArray* strides, const int64_t autoPad,
                                         const aclIntArray* pads, const aclIntArray* dilations,
                                         const int64_t ceilMode, aclTensor* out, uint64_t* workspaceSize,
                                         aclOpExecutor** executor);
aclnnStatus aclnnMaxPool(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                         aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_MAX_POOL_H_ */
