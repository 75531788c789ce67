/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_FUSED_INFER_ATTENTION_SCORE_V3_H_
#define QIAO_ACLNNOP_ACLNN_FUSED_INFER_ATTENTION_SCORE_V3_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Attention. Served: the absorbed MLA form (DeepSeek-V2, arXiv 2405.04434, 2.1.2), inputLayout "TND": query
 * f16 or bf16 [T, N, 512], queryRope [T, N, 64]; key = value: one tensor of latent pages [blocks, blockSize,
 * 512] or [blocks, blockSize, 1, 512] or [blocks, 1, blockSize, 512]; keyRope the same with 64; blockTable
 * i32 [B, P]; blockSize 16 to 1024 in steps of 16 (128 as Qiao uses it); actualSeqLengths: running ends of
 * the sequences' rows of query; actualSeqLengthsKv: tokens in the cache of each, the rows being the last of
 * them; both host arrays, copied by the first phase; sparseMode 3 (causal, aligned to the lower right) with
 * an attenMask i8, u8 or bool [2048, 2048] (the compressed upper triangle), or 0 without a mask (every row
 * sees all tokens); attentionOut [T, N, 512]; softmaxLse f32 [T, N, 1] where softmaxLseFlag. numHeads N,
 * numKeyValueHeads 1 (0 means numHeads). All other tensors null. On a 950 call V5.
 */
aclnnStatus aclnnFusedInferAttentionScoreV3GetWorkspaceSize(
    const aclTensor* query, const aclTensorList* key, const aclTensorList* value,
    const aclTensor* pseShiftOptional, const aclTensor* attenMaskOptional,
    const aclIntArray* actualSeqLengthsOptional, const aclIntArray* actualSeqLengthsKvOptional,
    const aclTensor* deqScale1Optional, const aclTensor* quantScale1Optional,
    const aclTensor* deqScale2Optional, const aclTensor* quantScale2Optional,
    const aclTensor* quantOffset2Optional, const aclTensor* antiquantScaleOptional,
    const aclTensor* antiquantOffsetOptional, const aclTensor* blockTableOptional,
    const aclTensor* queryPaddingSizeOptional, const aclTensor* kvPaddingSizeOptional,
    const aclTensor* keyAntiquantScaleOptional, const aclTensor* keyAntiquantOffsetOptional,
    const aclTensor* valueAntiquantScaleOptional, const aclTensor* valueAntiquantOffsetOptional,
    const aclTensor* keySharedPrefixOptional, const aclTensor* valueSharedPrefixOptional,
    const aclIntArray* actualSharedPrefixLenOptional, const aclTensor* queryRopeOptional,
    const aclTensor* keyRopeOptional, const aclTensor* keyRopeAntiquantScaleOptional, int64_t numHeads,
    double scaleValue, int64_t preTokens, int64_t nextTokens, char* inputLayout, int64_t numKeyValueHeads,
    int64_t sparseMode, int64_t innerPrecise, int64_t blockSize, int64_t antiquantMode, bool softmaxLseFlag,
    int64_t keyAntiquantMode, int64_t valueAntiquantMode, const aclTensor* attentionOut,
    const aclTensor* softmaxLse, uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnFusedInferAttentionScoreV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                            aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_FUSED_INFER_ATTENTION_SCORE_V3_H_ */
