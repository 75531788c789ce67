/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_LAYER_NORM_H_
#define QIAO_ACLNNOP_ACLNN_LAYER_NORM_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* out = (x - mean) * rstd * weight + bias over the trailing dimensions normalizedShape (arXiv 1607.06450),
 * rstd = 1 / sqrt(variance + eps). input, out, weight, bias float, of input's dtype or f32; mean and rstd:
 * one element a row, may be null.
 */
aclnnStatus aclnnLayerNormGetWorkspaceSize(const aclTensor* input, const aclIntArray* normalizedShape,
                                           const aclTensor* weightOptional, const aclTensor* biasOptional,
                                           double eps, aclTensor* out, aclTensor* meanOutOptional,
                                           aclTensor* rstdOutOptional, uint64_t* workspaceSize,
                                           aclOpExecutor** executor);
aclnnStatus aclnnLayerNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                           aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_LAYER_NORM_H_ */
