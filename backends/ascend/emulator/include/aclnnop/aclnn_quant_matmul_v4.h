/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_QUANT_MATMUL_V4_H_
#define QIAO_ACLNNOP_ACLNN_QUANT_MATMUL_V4_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* out = f32(x1 @ x2 in int32) * (pertokenScale[m] * scale[n]) (+ bias). x1 i8 [.., M, K], or [.., K, M] with
 * transposeX1; x2 i8 [.., K, N], or [.., N, K] with transposeX2, ND or FRACTAL_NZ (then rank 2); scale f32 or
 * bf16 [N] or [1]; offset null (it is for int8 outputs, which are not served); pertokenScaleOptional f32 [M];
 * bias i32 [N] (added to the integers) or f32, bf16 or f16 [N] (added after the scales), may be null; out
 * f16, bf16, or i32 (the integers).
 */
aclnnStatus aclnnQuantMatmulV4GetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                               const aclTensor* scale, const aclTensor* offset,
                                               const aclTensor* pertokenScaleOptional, const aclTensor* bias,
                                               bool transposeX1, bool transposeX2, const aclTensor* out,
                                               uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnQuantMatmulV4(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                               aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_QUANT_MATMUL_V4_H_ */
