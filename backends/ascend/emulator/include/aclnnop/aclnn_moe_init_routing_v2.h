/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_MOE_INIT_ROUTING_V2_H_
#define QIAO_ACLNNOP_ACLNN_MOE_INIT_ROUTING_V2_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Copies each row once per chosen expert, in the order of a stable sort of the (row, choice) pairs by expert.
 * x [T, H], expertIdx i32 [T, k]; dropPadMode 0 only; activeNum 0 or the number of rows kept; expertCapacity
 * is passed over. expandedX [T * k (or activeNum), H]; expandedRowIdx i32 [T * k]: where pair t * k + j went;
 * expertTokensCountOrCumsumOut i32 [E]: running counts (flag 1), counts (flag 2), may be null (flag 0);
 * expertTokensBeforeCapacityOut: null or not touched.
 */
aclnnStatus aclnnMoeInitRoutingV2GetWorkspaceSize(
    const aclTensor* x, const aclTensor* expertIdx, int64_t activeNum, int64_t expertCapacity,
    int64_t expertNum, int64_t dropPadMode, int64_t expertTokensCountOrCumsumFlag,
    bool expertTokensBeforeCapacityFlag, const aclTensor* expandedXOut, const aclTensor* expandedRowIdxOut,
    const aclTensor* expertTokensCountOrCumsumOut, const aclTensor* expertTokensBeforeCapacityOut,
    uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnMoeInitRoutingV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                  aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_MOE_INIT_ROUTING_V2_H_ */
