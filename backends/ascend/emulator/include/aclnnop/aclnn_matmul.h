/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_MATMUL_H_
#define QIAO_ACLNNOP_ACLNN_MATMUL_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* out = self @ mat2 with NumPy's rules for ranks 1 to 6 (a vector's missing dimension is added and removed
 * again, the leading ones broadcast). self, mat2, out float, mixed dtypes allowed. cubeMathType: 0 keep the
 * dtype, 1 f32 operands may be rounded to HF32 (11 bits of mantissa), 2 f32 operands are rounded to f16, 3
 * HF32. Sums are f32.
 */
aclnnStatus aclnnMatmulGetWorkspaceSize(const aclTensor* self, const aclTensor* mat2, aclTensor* out,
                                        int8_t cubeMathType, uint64_t* workspaceSize,
                                        aclOpExecutor** executor);
aclnnStatus aclnnMatmul(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream);

/* As Matmul for a mat2 in FRACTAL_NZ: f16 or bf16, view [.., K, N] with format 29. The view's strides say
 * which way the matrix lies: (N, 1) as converted, (1, K) the transposed view of a converted [N, K].
 */
aclnnStatus aclnnMatmulWeightNzGetWorkspaceSize(const aclTensor* self, const aclTensor* mat2, aclTensor* out,
                                                int8_t cubeMathType, uint64_t* workspaceSize,
                                                aclOpExecutor** executor);
aclnnStatus aclnnMatmulWeightNz(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_MATMUL_H_ */
