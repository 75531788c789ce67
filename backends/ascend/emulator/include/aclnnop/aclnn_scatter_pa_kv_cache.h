/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_SCATTER_PA_KV_CACHE_H_
#define QIAO_ACLNNOP_ACLNN_SCATTER_PA_KV_CACHE_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* keyCache[slot / block, slot % block] = key[t] for slot = slotMapping[t], and likewise value; slot -1 writes
 * nothing. key [T, heads, D], keyCache [blocks, block, heads, D] of the same dtype (any with whole bytes),
 * value [T, heads, Dv] and valueCache alike; slotMapping i32 or i64 [T]. cacheModeOptional null or "Norm";
 * scatterModeOptional null or "None"; the others null or as op-plugin passes them ({1, 1} and {0, 0}).
 */
aclnnStatus aclnnScatterPaKvCacheGetWorkspaceSize(
    const aclTensor* key, aclTensor* keyCacheRef, const aclTensor* slotMapping, const aclTensor* value,
    aclTensor* valueCacheRef, const aclTensor* compressLensOptional,
    const aclTensor* compressSeqOffsetOptional, const aclTensor* seqLensOptional, char* cacheModeOptional,
    char* scatterModeOptional, const aclIntArray* stridesOptional, const aclIntArray* offsetsOptional,
    uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnScatterPaKvCache(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                  aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_SCATTER_PA_KV_CACHE_H_ */
