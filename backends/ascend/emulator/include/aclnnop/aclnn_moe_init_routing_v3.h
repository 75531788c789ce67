/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_MOE_INIT_ROUTING_V3_H_
#define QIAO_ACLNNOP_ACLNN_MOE_INIT_ROUTING_V3_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* As V2, for the experts of activeExpertRange [begin, end) only (null: all): pairs of others are dropped and
 * have row index -1. expertTokensNumType 0 running counts, 1 counts: i64 [end - begin]; 2: pairs (expert,
 * count) of those that have rows, i64 [expertNum, 2], zeros behind them; written where expertTokensNumFlag.
 * quantMode -1: expandedX has x's dtype, and with scale f32 [T] expandedScale f32 [rows] has each row's;
 * quantMode 1: rows are quantised as DynamicQuant does, with scale as the smooth scales [E or 1, H] (may be
 * null), expandedX i8, expandedScale f32. rowIdxType 0: expandedRowIdx[t * k + j] = where the pair went; 1:
 * expandedRowIdx[place] = t * k + j. Rows past the chosen ones are not written. offset: null. dropPadMode 0.
 */
aclnnStatus aclnnMoeInitRoutingV3GetWorkspaceSize(
    const aclTensor* x, const aclTensor* expertIdx, const aclTensor* scaleOptional,
    const aclTensor* offsetOptional, int64_t activeNum, int64_t expertCapacity, int64_t expertNum,
    int64_t dropPadMode, int64_t expertTokensNumType, bool expertTokensNumFlag, int64_t quantMode,
    const aclIntArray* activeExpertRangeOptional, int64_t rowIdxType, const aclTensor* expandedXOut,
    const aclTensor* expandedRowIdxOut, const aclTensor* expertTokensCountOrCumsumOut,
    const aclTensor* expandedScaleOut, uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnMoeInitRoutingV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                  aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_MOE_INIT_ROUTING_V3_H_ */
