/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_BATCH_MATMUL_H_
#define QIAO_ACLNNOP_ACLNN_BATCH_MATMUL_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* out [B, M, N] = self [B or 1, M, K] @ mat2 [B or 1, K, N]; otherwise as Matmul. */
aclnnStatus aclnnBatchMatMulGetWorkspaceSize(const aclTensor* self, const aclTensor* mat2, aclTensor* out,
                                             int8_t cubeMathType, uint64_t* workspaceSize,
                                             aclOpExecutor** executor);
aclnnStatus aclnnBatchMatMul(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                             aclrtStream stream);

/* The same with mat2 in FRACTAL_NZ, as in MatmulWeightNz. */
aclnnStatus aclnnBatchMatMulWeightNzGetWorkspaceSize(const aclTensor* self, const aclTensor* mat2,
                                                     aclTensor* out, int8_t cubeMathType,
                                                     uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnBatchMatMulWeightNz(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                     aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_BATCH_MATMUL_H_ */
