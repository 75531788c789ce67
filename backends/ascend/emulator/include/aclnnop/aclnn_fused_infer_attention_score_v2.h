/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_FUSED_INFER_ATTENTION_SCORE_V2_H_
#define QIAO_ACLNNOP_ACLNN_FUSED_INFER_ATTENTION_SCORE_V2_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Attention with grouped heads: softmax(scaleValue * q k + pse) v. f16 or bf16. inputLayout "BSND" query [B,
 * S, N, D], key, value [B, Skv, Nkv, D]; "BNSD" with N and S swapped; "BSH" [B, S, N * D]. D a multiple of
 * 16. pseShiftOptional of query's dtype [B or 1, N, >= S, >= Skv]; attenMaskOptional bool, i8 or u8,
 * broadcast to [B, 1, S, Skv], 1 = not seen; sparseMode 0 (preTokens, nextTokens count only with a mask) and
 * 1 (the mask alone), 2 and 3 (causal from the upper left or to the lower right; the mask, compressed, is not
 * read); actualSeqLengths*: one a sequence, or null. A row that sees nothing gives 0. One key and one value
 * tensor; the rest null.
 */
aclnnStatus aclnnFusedInferAttentionScoreV2GetWorkspaceSize(
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
    const aclIntArray* actualSharedPrefixLenOptional, int64_t numHeads, double scaleValue, int64_t preTokens,
    int64_t nextTokens, char* inputLayout, int64_t numKeyValueHeads, int64_t sparseMode, int64_t innerPrecise,
    int64_t blockSize, int64_t antiquantMode, bool softmaxLseFlag, int64_t keyAntiquantMode,
    int64_t valueAntiquantMode, const aclTensor* attentionOut, const aclTensor* softmaxLse,
    uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnFusedInferAttentionScoreV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                            aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_FUSED_INFER_ATTENTION_SCORE_V2_H_ */
