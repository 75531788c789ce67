// FusedInferAttentionScoreV3, V4 and V5: one set of arguments, which grew.
#include <aclnnop/aclnn_fused_infer_attention_score_v3.h>
#include <aclnnop/aclnn_fused_infer_attention_score_v4.h>
#include <aclnnop/aclnn_fused_infer_attention_score_v5.h>

#include <cmath>
#include <string_view>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/latent_attention.h"
#include "backends/ascend/emulator/ops/loops.h"

using namespace qiao::cann;

namespace {

constexpr int64_t kLatent = 512, kRope = 64, kMask = 2048;

struct Call {
  int version = 3;
  const aclTensor* query = nullptr;
  const aclTensorList *key = nullptr, *value = nullptr;
  const aclTensor *pse_shift = nullptr, *mask = nullptr;
  const aclIntArray *ends = nullptr, *lengths = nullptr;
  // What is not served, in the API's order: before blockTable, and after it.
  std::vector<std::pair<const char*, const aclTensor*>> front, back, tail;
  const aclTensor* table = nullptr;
  const aclIntArray* shared_prefix_length = nullptr;
  const aclTensor *query_rope = nullptr, *key_rope = nullptr;
  int64_t heads = 0;
  double scale = 1;
  const char* layout = nullptr;
  int64_t kv_heads = 0, sparse_mode = 0, block_size = 0;
  bool lse_flag = false;
  int64_t quant_modes = 0;  // all of them, or-ed
  const aclTensor *out = nullptr, *lse = nullptr;
};

// Pages [blocks, block, D], [blocks, block, 1, D] or [blocks, 1, block, D] as [blocks, block, D].
View Pages(const View& v, int64_t block) {
  if (v.rank != 4) return v;
  return v.size(1) == 1 && v.size(2) == block ? v.Select(1, 0) : v.Select(2, 0);
}

void CheckPages(Operator& op, int slot, int64_t block, int64_t width) {
  op.Rank(slot, 3, 4);
  if (!op.ok()) return;
  const View& v = op.at(slot);
  const View p = Pages(v, block);
  op.Require((v.rank == 3 || v.size(1) == 1 || v.size(2) == 1) && p.size(1) == block && p.size(2) == width,
             "%s is %s; it must be [blocks, %d, %d] (or with a dimension of one head)", op.name(slot),
             v.ShapeString(), block, width);
}

// What version 4 added.
void AddVersion4(Call* c, const aclTensor* query_scale, const aclTensor* sink, int64_t query_quant_mode) {
  c->tail.insert(c->tail.end(),
                 {{"dequantScaleQueryOptional", query_scale}, {"learnableSinkOptional", sink}});
  c->quant_modes |= query_quant_mode;
}

aclnnStatus Attend(const char* name, const Call& c, uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op(name, workspaceSize, executor);
  auto absent = [&](const std::vector<std::pair<const char*, const aclTensor*>>& tensors) {
    for (const auto& [what, tensor] : tensors) op.Null(op.MaybeIn(what, tensor));
  };
  const int q = op.In("query", c.query), k = op.InList("key", c.key), v = op.InList("value", c.value);
  op.Null(op.MaybeIn("pseShiftOptional", c.pse_shift));
  const int mask = op.MaybeIn("attenMaskOptional", c.mask);
  absent(c.front);
  const int table = op.In("blockTableOptional", c.table);
  absent(c.back);
  const int qr = op.In("queryRopeOptional", c.query_rope), kr = op.In("keyRopeOptional", c.key_rope);
  absent(c.tail);
  const int out = op.Out("attentionOut", c.out);
  const int lse = c.lse_flag ? op.Out("softmaxLse", c.lse) : op.MaybeOut("softmaxLse", c.lse);
  op.Needs("actualSeqLengthsOptional", c.ends);
  op.Needs("actualSeqLengthsKvOptional", c.lengths);
  op.Needs("inputLayout", c.layout);
  if (!op.ok()) return op.Finish({});

  const std::string& soc = CurrentProfile().soc;
  op.Require(c.version >= 5 || soc.rfind("Ascend950", 0) != 0, "%s takes version 5 of this operator, not %d",
             soc, c.version);
  const std::string_view layout = c.layout;
  op.Require(layout == "TND" || layout == "TND_NTD",
             "inputLayout is \"%s\"; \"TND\" and \"TND_NTD\" are served", c.layout);
  op.Require(op.list(k).size() == 1 && op.list(v).size() == 1,
             "key has %d tensors and value %d; with pages it is one each", op.list(k).size(),
             op.list(v).size());
  op.Require(c.quant_modes == 0, "a quantisation mode is given; none is served");
  op.Require(!c.shared_prefix_length || c.shared_prefix_length->values.empty(),
             "actualSharedPrefixLenOptional is not served");
  op.Require(std::isfinite(c.scale), "scaleValue is %g", c.scale);
  op.DType(q, {ACL_FLOAT16, ACL_BF16}).Rank(q, 3, 3).Rank(qr, 3, 3);
  for (int other : {k, v, qr, kr, out}) op.SameDType(q, other);
  if (!op.ok()) return op.Finish({});
  const View& query = op.at(q);
  const int64_t rows = query.size(0), heads = query.size(1);
  op.Require(query.size(2) == kLatent, "query has head dimension %d; with queryRope it must be %d",
             query.size(2), kLatent);
  op.Require(c.heads == heads, "numHeads is %d and query is %s", c.heads, query.ShapeString());
  op.Require(c.kv_heads == 1 || (c.kv_heads == 0 && heads == 1),
             "numKeyValueHeads is %d; the latent form has 1", c.kv_heads);
  op.Shape(qr, {rows, heads, kRope});
  if (layout == "TND") {
    op.Shape(out, {rows, heads, kLatent});
  } else {
    op.Shape(out, {heads, rows, kLatent});
  }
  op.Require(c.block_size >= 16 && c.block_size <= 1024 && c.block_size % 16 == 0,
             "blockSize is %d; it must be a multiple of 16 from 16 to 1024", c.block_size);
  CheckPages(op, k, c.block_size, kLatent);
  CheckPages(op, v, c.block_size, kLatent);
  CheckPages(op, kr, c.block_size, kRope);
  op.DType(table, {ACL_INT32}).Rank(table, 2, 2);
  if (c.lse_flag) op.DType(lse, {ACL_FLOAT}).Shape(lse, {rows, heads, 1});
  if (!op.ok()) return op.Finish({});
  op.Require(op.at(k).base == op.at(v).base && op.at(k).offset == op.at(v).offset,
             "key and value are different memory; in the latent form they are the same");
  op.Require(op.at(k).size(0) == op.at(kr).size(0), "key is %s and keyRope is %s", op.at(k).ShapeString(),
             op.at(kr).ShapeString());

  const std::vector<int64_t>&ends = c.ends->values, &lengths = c.lengths->values;
  op.Require(!ends.empty() && ends.size() == lengths.size(),
             "actualSeqLengths has %d entries and actualSeqLengthsKv %d", ends.size(), lengths.size());
  op.Require(op.at(table).size(0) == static_cast<int64_t>(ends.size()), "blockTable is %s for %d sequences",
             op.at(table).ShapeString(), ends.size());
  for (size_t s = 0; op.ok() && s < ends.size(); ++s) {
    op.Require(ends[s] >= (s ? ends[s - 1] : 0) && ends[s] <= rows,
               "actualSeqLengths[%d] is %d: it must rise and end within the %d rows", s, ends[s], rows);
    op.Require(lengths[s] >= 0 && lengths[s] <= op.at(table).size(1) * c.block_size,
               "actualSeqLengthsKv[%d] is %d; blockTable has %d pages of %d tokens", s, lengths[s],
               op.at(table).size(1), c.block_size);
  }
  op.Require(c.sparse_mode == 3 || c.sparse_mode == 0,
             "sparseMode is %d; 0 (no mask) and 3 (causal) are served", c.sparse_mode);
  op.Require(c.sparse_mode == 0 || op.has(mask), "attenMaskOptional is null, and sparseMode is 3");
  op.Require(c.sparse_mode == 3 || !op.has(mask), "attenMaskOptional is given, and sparseMode is 0");
  if (op.ok() && op.has(mask)) {
    op.DType(mask, {ACL_BOOL, ACL_INT8, ACL_UINT8}).Rank(mask, 2, 2).Shape(mask, {kMask, kMask});
  }
  const bool write_lse = c.lse_flag, heads_first = layout == "TND_NTD", causal = c.sparse_mode == 3;
  const double scale = c.scale;
  const int64_t block = c.block_size;
  return op.Finish([=](const Args& args) {
    LatentAttention a;
    a.query = args[q];
    a.query_rope = args[qr];
    a.latent = Pages(args[k], block);
    a.rope = Pages(args[kr], block);
    a.table = args[table];
    a.out = heads_first ? args[out].Swap(0, 1) : args[out];
    if (write_lse) a.lse = &args[lse];
    a.ends = ends;
    a.lengths = lengths;
    a.scale = scale;
    a.causal = causal;
    RunLatentAttention(a);
  });
}

}  // namespace

// The arguments that all versions share, in pieces.
#define QIAO_FIAS_FRONT                                                                            \
  const aclTensor *query, const aclTensorList *key, const aclTensorList *value,                    \
      const aclTensor *pseShiftOptional, const aclTensor *attenMaskOptional,                       \
      const aclIntArray *actualSeqLengthsOptional, const aclIntArray *actualSeqLengthsKvOptional,  \
      const aclTensor *deqScale1Optional, const aclTensor *quantScale1Optional,                    \
      const aclTensor *deqScale2Optional, const aclTensor *quantScale2Optional,                    \
      const aclTensor *quantOffset2Optional, const aclTensor *antiquantScaleOptional,              \
      const aclTensor *antiquantOffsetOptional, const aclTensor *blockTableOptional,               \
      const aclTensor *queryPaddingSizeOptional, const aclTensor *kvPaddingSizeOptional,           \
      const aclTensor *keyAntiquantScaleOptional, const aclTensor *keyAntiquantOffsetOptional,     \
      const aclTensor *valueAntiquantScaleOptional, const aclTensor *valueAntiquantOffsetOptional, \
      const aclTensor *keySharedPrefixOptional, const aclTensor *valueSharedPrefixOptional,        \
      const aclIntArray *actualSharedPrefixLenOptional, const aclTensor *queryRopeOptional,        \
      const aclTensor *keyRopeOptional, const aclTensor *keyRopeAntiquantScaleOptional
#define QIAO_FIAS_MIDDLE                                                                              \
  int64_t numHeads, double scaleValue, int64_t, int64_t, char *inputLayout, int64_t numKeyValueHeads, \
      int64_t sparseMode, int64_t, int64_t blockSize, int64_t antiquantMode, bool softmaxLseFlag,     \
      int64_t keyAntiquantMode, int64_t valueAntiquantMode
#define QIAO_FIAS_BACK                                                                 \
  const aclTensor *attentionOut, const aclTensor *softmaxLse, uint64_t *workspaceSize, \
      aclOpExecutor **executor
#define QIAO_FIAS_CALL(VERSION)                                                \
  Call c;                                                                      \
  c.version = VERSION;                                                         \
  c.query = query;                                                             \
  c.key = key;                                                                 \
  c.value = value;                                                             \
  c.pse_shift = pseShiftOptional;                                              \
  c.mask = attenMaskOptional;                                                  \
  c.ends = actualSeqLengthsOptional;                                           \
  c.lengths = actualSeqLengthsKvOptional;                                      \
  c.front = {{"deqScale1Optional", deqScale1Optional},                         \
             {"quantScale1Optional", quantScale1Optional},                     \
             {"deqScale2Optional", deqScale2Optional},                         \
             {"quantScale2Optional", quantScale2Optional},                     \
             {"quantOffset2Optional", quantOffset2Optional},                   \
             {"antiquantScaleOptional", antiquantScaleOptional},               \
             {"antiquantOffsetOptional", antiquantOffsetOptional}};            \
  c.table = blockTableOptional;                                                \
  c.back = {{"queryPaddingSizeOptional", queryPaddingSizeOptional},            \
            {"kvPaddingSizeOptional", kvPaddingSizeOptional},                  \
            {"keyAntiquantScaleOptional", keyAntiquantScaleOptional},          \
            {"keyAntiquantOffsetOptional", keyAntiquantOffsetOptional},        \
            {"valueAntiquantScaleOptional", valueAntiquantScaleOptional},      \
            {"valueAntiquantOffsetOptional", valueAntiquantOffsetOptional},    \
            {"keySharedPrefixOptional", keySharedPrefixOptional},              \
            {"valueSharedPrefixOptional", valueSharedPrefixOptional}};         \
  c.shared_prefix_length = actualSharedPrefixLenOptional;                      \
  c.query_rope = queryRopeOptional;                                            \
  c.key_rope = keyRopeOptional;                                                \
  c.tail = {{"keyRopeAntiquantScaleOptional", keyRopeAntiquantScaleOptional}}; \
  c.heads = numHeads;                                                          \
  c.scale = scaleValue;                                                        \
  c.layout = inputLayout;                                                      \
  c.kv_heads = numKeyValueHeads;                                               \
  c.sparse_mode = sparseMode;                                                  \
  c.block_size = blockSize;                                                    \
  c.lse_flag = softmaxLseFlag;                                                 \
  c.quant_modes = antiquantMode | keyAntiquantMode | valueAntiquantMode;       \
  c.out = attentionOut;                                                        \
  c.lse = softmaxLse;

aclnnStatus aclnnFusedInferAttentionScoreV3GetWorkspaceSize(QIAO_FIAS_FRONT, QIAO_FIAS_MIDDLE,
                                                            QIAO_FIAS_BACK) {
  QIAO_FIAS_CALL(3)
  return Attend("aclnnFusedInferAttentionScoreV3", c, workspaceSize, executor);
}
QIAO_ACLNN_LAUNCH(FusedInferAttentionScoreV3)

aclnnStatus aclnnFusedInferAttentionScoreV4GetWorkspaceSize(QIAO_FIAS_FRONT,
                                                            const aclTensor* dequantScaleQueryOptional,
                                                            const aclTensor* learnableSinkOptional,
                                                            QIAO_FIAS_MIDDLE, int64_t queryQuantMode,
                                                            QIAO_FIAS_BACK) {
  QIAO_FIAS_CALL(4)
  AddVersion4(&c, dequantScaleQueryOptional, learnableSinkOptional, queryQuantMode);
  return Attend("aclnnFusedInferAttentionScoreV4", c, workspaceSize, executor);
}
QIAO_ACLNN_LAUNCH(FusedInferAttentionScoreV4)

aclnnStatus aclnnFusedInferAttentionScoreV5GetWorkspaceSize(QIAO_FIAS_FRONT,
                                                            const aclTensor* dequantScaleQueryOptional,
                                                            const aclTensor* learnableSinkOptional,
                                                            const aclIntArray*, const aclIntArray*,
                                                            QIAO_FIAS_MIDDLE, int64_t queryQuantMode, int64_t,
                                                            QIAO_FIAS_BACK) {
  QIAO_FIAS_CALL(5)
  AddVersion4(&c, dequantScaleQueryOptional, learnableSinkOptional, queryQuantMode);
  return Attend("aclnnFusedInferAttentionScoreV5", c, workspaceSize, executor);
}
QIAO_ACLNN_LAUNCH(FusedInferAttentionScoreV5)
