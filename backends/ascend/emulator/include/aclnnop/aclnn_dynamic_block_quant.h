/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_DYNAMIC_BLOCK_QUANT_H_
#define QIAO_ACLNNOP_ACLNN_DYNAMIC_BLOCK_QUANT_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* 950 only. Per block of rowBlockSize x colBlockSize of the last two dimensions: scale = max(max|x|,
 * minScale-bounded) / 448 in f32, y = f8_e4m3(x / scale), to nearest, ties to even, saturating. x f16, bf16
 * or (with a warning) f32 [M, K] or [B, M, K]; roundMode "rint" or null; dstType ACL_FLOAT8_E4M3FN;
 * rowBlockSize 1 or 128, colBlockSize 128; scale f32 [.., ceil(M/row), ceil(K/col)]. The scale is at least
 * minScale where minScale > 0. A block of zeros has scale minScale.
 */
aclnnStatus aclnnDynamicBlockQuantGetWorkspaceSize(const aclTensor* x, double minScale,
                                                   char* roundModeOptional, int64_t dstType,
                                                   int64_t rowBlockSize, int64_t colBlockSize,
                                                   const aclTensor* yOut, const aclTensor* scaleOut,
                                                   uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnDynamicBlockQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                   aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_DYNAMIC_BLOCK_QUANT_H_ */
