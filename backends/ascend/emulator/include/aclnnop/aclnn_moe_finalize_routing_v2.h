/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_MOE_FINALIZE_ROUTING_V2_H_
#define QIAO_ACLNNOP_ACLNN_MOE_FINALIZE_ROUTING_V2_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* out[t] = skip1[t] + skip2[t] + sum over j of scales[t, j] * (expandedX[place(t, j)] + bias[expertIdx[t,
 * j]]). place is expandedRowIdx[j * T + t] (dropPadMode 0) or expandedRowIdx[t * k + j] (2); 1 and 3 are the
 * same for expandedX [E, C, H] with -1 for dropped pairs, which add their bias only. expandedX float [rows,
 * H]; expandedRowIdx i32 [T * k]; x1Optional, x2Optional (skips) [T, H], biasOptional [E, H], scalesOptional
 * [T, k] (null: k = 1 and 1), of expandedX's dtype (f32 scales are served with a warning); expertIdxOptional
 * i32 [T, k], needed with bias; out [T, H].
 */
aclnnStatus aclnnMoeFinalizeRoutingV2GetWorkspaceSize(
    const aclTensor* expandedX, const aclTensor* expandedRowIdx, const aclTensor* x1Optional,
    const aclTensor* x2Optional, const aclTensor* biasOptional, const aclTensor* scalesOptional,
    const aclTensor* expertIdxOptional, int64_t dropPadMode, const aclTensor* out, uint64_t* workspaceSize,
    aclOpExecutor** executor);
aclnnStatus aclnnMoeFinalizeRoutingV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                      aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_MOE_FINALIZE_ROUTING_V2_H_ */
