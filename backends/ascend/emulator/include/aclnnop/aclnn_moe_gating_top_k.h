/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_MOE_GATING_TOP_K_H_
#define QIAO_ACLNNOP_ACLNN_MOE_GATING_TOP_K_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The choice of experts (DeepSeek-V3, arXiv 2412.19437, 2.1.2): s = softmax(x) (normType 0) or sigmoid(x)
 * (1); c = s + bias; with groupCount > 1 a group's score is its largest c (groupSelectMode 0) or the sum of
 * its two largest (1), the best kGroup groups stay; the k largest c are chosen, largest first, ties to the
 * lower index; y = s of the chosen, with normType 1 (or renorm 1) over (their sum + eps); times
 * routedScalingFactor. x float [T, E], bias [E] of x's dtype; y [T, k] of x's dtype, expertIdx i32 [T, k],
 * out f32 [T, E]: s, where outFlag (else it is not touched).
 */
aclnnStatus aclnnMoeGatingTopKGetWorkspaceSize(const aclTensor* x, const aclTensor* biasOptional, int64_t k,
                                               int64_t kGroup, int64_t groupCount, int64_t groupSelectMode,
                                               int64_t renorm, int64_t normType, bool outFlag,
                                               double routedScalingFactor, double eps, const aclTensor* yOut,
                                               const aclTensor* expertIdxOut, const aclTensor* outOut,
                                               uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnMoeGatingTopK(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                               aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_MOE_GATING_TOP_K_H_ */
