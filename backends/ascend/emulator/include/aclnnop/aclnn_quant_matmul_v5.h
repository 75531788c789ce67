/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_QUANT_MATMUL_V5_H_
#define QIAO_ACLNNOP_ACLNN_QUANT_MATMUL_V5_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* INT8 as QuantMatmulV4 with x1Scale = pertokenScale [M] (may be null) and x2Scale = scale [N]; or, on a 950
 * only, x1 and x2 f8_e4m3 with f32 scales for blocks: x1Scale [.., M, ceil(K/128)], x2Scale [.., ceil(K/128),
 * ceil(N/128)] (a transposed operand has its scales transposed alike), groupSize (1 << 32) + (128 << 16) +
 * 128 or (128 << 32) + (128 << 16) + 128 with x1Scale [.., ceil(M/128), ceil(K/128)], and 0 where the shapes
 * tell; out = the f32 sums over each 128 of K times both scales, added up: f16, bf16 or f32. yScale,
 * x1Offset, x2Offset, yOffset: null or empty.
 */
aclnnStatus aclnnQuantMatmulV5GetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                               const aclTensor* x1Scale, const aclTensor* x2Scale,
                                               const aclTensor* yScale, const aclTensor* x1Offset,
                                               const aclTensor* x2Offset, const aclTensor* yOffset,
                                               const aclTensor* bias, bool transposeX1, bool transposeX2,
                                               int64_t groupSize, const aclTensor* out,
                                               uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnQuantMatmulV5(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                               aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_QUANT_MATMUL_V5_H_ */
