/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_DYNAMIC_QUANT_H_
#define QIAO_ACLNNOP_ACLNN_DYNAMIC_QUANT_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Per row of the last dimension: scale = max|x * smooth| / 127, y = x * smooth / scale to the nearest
 * integer, ties to even. x f16 or bf16 (f32 is served with a warning) [.., K]; smoothScalesOptional [K] of
 * x's dtype; y i8 [.., K]; scale f32 [..]. A row of zeros has scale 0 and zeros.
 */
aclnnStatus aclnnDynamicQuantGetWorkspaceSize(const aclTensor* x, const aclTensor* smoothScalesOptional,
                                              const aclTensor* yOut, const aclTensor* scaleOut,
                                              uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnDynamicQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                              aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_DYNAMIC_QUANT_H_ */
