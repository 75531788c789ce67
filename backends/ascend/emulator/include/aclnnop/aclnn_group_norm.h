/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_GROUP_NORM_H_
#define QIAO_ACLNNOP_ACLNN_GROUP_NORM_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* out = (x - mean) * rstd * gamma[c] + beta[c], over the channels of a group and all positions (arXiv
 * 1803.08494). self has N * C * HxW elements, in that order; C a multiple of group; gamma, beta [C], may be
 * null; mean, rstd: N * group elements.
 */
aclnnStatus aclnnGroupNormGetWorkspaceSize(const aclTensor* self, const aclTensor* gamma,
                                           const aclTensor* beta, int64_t N, int64_t C, int64_t HxW,
                                           int64_t group, double eps, aclTensor* out, aclTensor* meanOut,
                                           aclTensor* rstdOut, uint64_t* workspaceSize,
                                           aclOpExecutor** executor);
aclnnStatus aclnnGroupNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                           aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_GROUP_NORM_H_ */
