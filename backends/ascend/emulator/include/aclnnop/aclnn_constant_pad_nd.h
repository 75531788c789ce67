/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_CONSTANT_PAD_ND_H_
#define QIAO_ACLNNOP_ACLNN_CONSTANT_PAD_ND_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* out = self with value around it: pad holds (before, after) for the last dimension, then for the one before
 * it, and so on. Negative ones cut.
 */
aclnnStatus aclnnConstantPadNdGetWorkspaceSize(const aclTensor* self, const aclIntArray* pad,
                                               const aclScalar* value, aclTensor* out,
                                               uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnConstantPadNd(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                               aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_CONSTANT_PAD_ND_H_ */
