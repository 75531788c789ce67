/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_TRANS_MATMUL_WEIGHT_H_
#define QIAO_ACLNNOP_ACLNN_TRANS_MATMUL_WEIGHT_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Rewrites a contiguous weight of rank 2 (a leading dimension of rank 3 is a batch) in place from ND to
 * FRACTAL_NZ; f16, bf16, f32 or i8. The memory must hold what aclnnCalculateMatmulWeightSizeV2 says.
 */
aclnnStatus aclnnTransMatmulWeightGetWorkspaceSize(aclTensor* mmWeightRef, uint64_t* workspaceSize,
                                                   aclOpExecutor** executor);
aclnnStatus aclnnTransMatmulWeight(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                   aclrtStream stream);

/* Elements, with padding, that a weight of this shape takes in FRACTAL_NZ. */
aclnnStatus aclnnCalculateMatmulWeightSizeV2(const aclIntArray* tensorShape, aclDataType dataType,
                                             uint64_t* weightTensorSize);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_TRANS_MATMUL_WEIGHT_H_ */
