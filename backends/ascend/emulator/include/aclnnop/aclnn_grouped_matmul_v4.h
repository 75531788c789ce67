/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_GROUPED_MATMUL_V4_H_
#define QIAO_ACLNNOP_ACLNN_GROUPED_MATMUL_V4_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Rows sorted by group times one matrix a group: out[r] = x[r] @ weight[g(r)]. Served: groupType 0 (along M)
 * with splitItem 2 or 3 (one output). x: one tensor [M, K]; weight: one tensor [E, K, N] or E tensors [K, N]
 * (a transposed view of [.., N, K] too); groupListOptional i64 [E] on the device: running ends (groupListType
 * 0) or counts (1); rows past the last end are not written. biasOptional: one [E, N] or E [N]. x and weight
 * float of one dtype, out that dtype; or x and weight i8 with scaleOptional f32 or bf16 (one [E, N] or E [N])
 * and perTokenScaleOptional f32 (one [M], may be null), out f16 or bf16, or i32 without scales; bias then
 * i32. offset, antiquant*, activation*: null. actType 0. activationFeatureOutOptional,
 * dynQuantScaleOutOptional: null.
 */
aclnnStatus aclnnGroupedMatmulV4GetWorkspaceSize(
    const aclTensorList* x, const aclTensorList* weight, const aclTensorList* biasOptional,
    const aclTensorList* scaleOptional, const aclTensorList* offsetOptional,
    const aclTensorList* antiquantScaleOptional, const aclTensorList* antiquantOffsetOptional,
    const aclTensorList* perTokenScaleOptional, const aclTensor* groupListOptional,
    const aclTensorList* activationInputOptional, const aclTensorList* activationQuantScaleOptional,
    const aclTensorList* activationQuantOffsetOptional, int64_t splitItem, int64_t groupType,
    int64_t groupListType, int64_t actType, aclTensorList* out, aclTensorList* activationFeatureOutOptional,
    aclTensorList* dynQuantScaleOutOptional, uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnGroupedMatmulV4(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                 aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_GROUPED_MATMUL_V4_H_ */
