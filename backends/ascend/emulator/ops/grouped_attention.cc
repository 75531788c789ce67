// FusedInferAttentionScoreV2: attention with grouped heads over plain keys and values.
#include <aclnnop/aclnn_fused_infer_attention_score_v2.h>

#include <cmath>
#include <limits>
#include <string_view>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"
#include "backends/ascend/emulator/ops/product.h"

using namespace qiao::cann;

namespace {

// Any layout as [B, N, S, D].
View Heads(const View& v, std::string_view layout, int64_t heads) {
  if (layout == "BNSD") return v;
  if (layout == "BSND") return v.Swap(1, 2);
  View split = v.Insert(2, heads, v.size(2) / heads * v.step(2));  // BSH
  split.dim[3] = v.size(2) / heads;
  return split.Swap(1, 2);
}

struct Visible {
  int64_t sparse_mode = 0, pre = 0, next = 0;
  bool masked = false;  // a mask tensor counts
};

// The keys [begin, end) that query row i of `queries` sees of `keys`, masks apart.
std::pair<int64_t, int64_t> Seen(const Visible& v, int64_t i, int64_t queries, int64_t keys) {
  int64_t begin = 0, end = keys;
  if (v.sparse_mode == 0 && v.masked) {
    begin = std::max(begin, i - v.pre);
    end = v.next < keys ? std::min(end, i + v.next + 1) : end;
  } else if (v.sparse_mode == 2) {
    end = std::min(end, i + 1);
  } else if (v.sparse_mode == 3) {
    end = std::min(end, keys - queries + i + 1);
  }
  return {begin, std::max(begin, end)};
}

std::vector<int64_t> Lengths(const aclIntArray* given, int64_t batch, int64_t length) {
  std::vector<int64_t> lengths(static_cast<size_t>(batch), length);
  if (given && !given->values.empty())
    for (size_t b = 0; b < lengths.size(); ++b) lengths[b] = given->values[given->values.size() == 1 ? 0 : b];
  return lengths;
}

void CheckLengths(Operator& op, const char* name, const aclIntArray* given, int64_t batch, int64_t length) {
  if (!given || given->values.empty()) return;
  op.Require(given->values.size() == 1 || given->values.size() == static_cast<size_t>(batch),
             "%s has %d entries for %d sequences", name, given->values.size(), batch);
  for (int64_t v : given->values)
    op.Require(v >= 0 && v <= length, "%s holds %d, of %d rows", name, v, length);
}

}  // namespace

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
    uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnFusedInferAttentionScoreV2", workspaceSize, executor);
  const int q = op.In("query", query), k = op.InList("key", key), v = op.InList("value", value),
            p = op.MaybeIn("pseShiftOptional", pseShiftOptional),
            m = op.MaybeIn("attenMaskOptional", attenMaskOptional);
  const std::initializer_list<std::pair<const char*, const aclTensor*>> absent = {
      {"deqScale1Optional", deqScale1Optional},
      {"quantScale1Optional", quantScale1Optional},
      {"deqScale2Optional", deqScale2Optional},
      {"quantScale2Optional", quantScale2Optional},
      {"quantOffset2Optional", quantOffset2Optional},
      {"antiquantScaleOptional", antiquantScaleOptional},
      {"antiquantOffsetOptional", antiquantOffsetOptional},
      {"blockTableOptional", blockTableOptional},
      {"queryPaddingSizeOptional", queryPaddingSizeOptional},
      {"kvPaddingSizeOptional", kvPaddingSizeOptional},
      {"keyAntiquantScaleOptional", keyAntiquantScaleOptional},
      {"keyAntiquantOffsetOptional", keyAntiquantOffsetOptional},
      {"valueAntiquantScaleOptional", valueAntiquantScaleOptional},
      {"valueAntiquantOffsetOptional", valueAntiquantOffsetOptional},
      {"keySharedPrefixOptional", keySharedPrefixOptional},
      {"valueSharedPrefixOptional", valueSharedPrefixOptional}};
  for (const auto& [name, tensor] : absent) op.Null(op.MaybeIn(name, tensor));
  const int y = op.Out("attentionOut", attentionOut), lse = op.MaybeOut("softmaxLse", softmaxLse);
  op.Require(!actualSharedPrefixLenOptional || actualSharedPrefixLenOptional->values.empty(),
             "actualSharedPrefixLenOptional is not served");
  op.Require(blockSize == 0 && antiquantMode == 0 && keyAntiquantMode == 0 && valueAntiquantMode == 0,
             "blockSize and the antiquant modes must be 0");
  op.Require(!softmaxLseFlag && !op.has(lse), "softmaxLse is not served");
  op.Require(innerPrecise >= 0 && innerPrecise <= 3, "innerPrecise is %d; it must be 0 to 3", innerPrecise);
  op.Require(sparseMode >= 0 && sparseMode <= 3, "sparseMode is %d; 0 to 3 are served", sparseMode);
  op.Require(sparseMode == 0 || op.has(m), "sparseMode is %d, and there is no mask", sparseMode);
  if (!op.Needs("inputLayout", inputLayout)) return op.Finish({});
  const std::string layout = inputLayout;
  op.Require(layout == "BSND" || layout == "BNSD" || layout == "BSH",
             "inputLayout is %s; BSND, BNSD and BSH are served", layout);
  op.DType(q, {ACL_FLOAT16, ACL_BF16})
      .SameDType(q, p)
      .SameDType(q, y)
      .DType(m, {ACL_BOOL, ACL_INT8, ACL_UINT8});
  if (!op.ok()) return op.Finish({});
  op.Require(op.list(k).size() == 1 && op.list(v).size() == 1,
             "key has %d tensors and value %d; one each is served", op.list(k).size(), op.list(v).size());
  op.SameDType(q, k).SameDType(q, v);
  const int rank = layout == "BSH" ? 3 : 4;
  for (int slot : {q, k, v, y}) op.Rank(slot, rank, rank);
  const int64_t kv_heads = numKeyValueHeads ? numKeyValueHeads : numHeads;
  op.Require(numHeads > 0 && kv_heads > 0 && numHeads % kv_heads == 0,
             "numHeads is %d and numKeyValueHeads %d", numHeads, numKeyValueHeads);
  if (op.ok() && rank == 3)
    op.Require(op.at(q).size(2) % numHeads == 0 && op.at(k).size(2) % kv_heads == 0 &&
                   op.at(v).size(2) % kv_heads == 0,
               "the heads do not divide the channels of query %s", op.at(q).ShapeString());
  if (!op.ok()) return op.Finish({});
  const View hq = Heads(op.at(q), layout, numHeads), hk = Heads(op.at(k), layout, kv_heads),
             hv = Heads(op.at(v), layout, kv_heads), hy = Heads(op.at(y), layout, numHeads);
  const int64_t batch = hq.size(0), queries = hq.size(2), keys = hk.size(2), width = hq.size(3);
  op.Require(hq.size(1) == numHeads && hk.size(1) == kv_heads && hv.size(1) == kv_heads &&
                 hk.size(0) == batch && hv.size(0) == batch && hv.size(2) == keys && hk.size(3) == width,
             "query is %s, key %s and value %s, in layout %s with %d and %d heads", op.at(q).ShapeString(),
             op.at(k).ShapeString(), op.at(v).ShapeString(), layout, numHeads, kv_heads);
  op.Require(width % 16 == 0 && hv.size(3) % 16 == 0 && width <= 512,
             "heads have %d and %d channels; a multiple of 16 up to 512 is needed", width, hv.size(3));
  op.Require(
      hy.size(0) == batch && hy.size(1) == numHeads && hy.size(2) == queries && hy.size(3) == hv.size(3),
      "attentionOut is %s", op.at(y).ShapeString());
  if (op.ok() && op.has(p)) {
    const View& pse = op.at(p);
    op.Rank(p, 4, 4);
    op.Require(pse.rank == 4 && (pse.size(0) == 1 || pse.size(0) == batch) && pse.size(1) == numHeads &&
                   pse.size(2) >= queries && pse.size(3) >= keys,
               "pseShiftOptional is %s; [%d or 1, %d, %d, %d] is needed", pse.ShapeString(), batch, numHeads,
               queries, keys);
  }
  const bool masked = op.has(m) && sparseMode <= 1;
  const View like = View::Of(ACL_BOOL, {batch, 1, queries, keys}, nullptr);
  if (masked)
    op.Require(op.at(m).rank >= 2 && op.at(m).BroadcastsTo(like),
               "attenMaskOptional is %s; it must broadcast to %s", op.at(m).ShapeString(),
               like.ShapeString());
  CheckLengths(op, "actualSeqLengthsOptional", actualSeqLengthsOptional, batch, queries);
  CheckLengths(op, "actualSeqLengthsKvOptional", actualSeqLengthsKvOptional, batch, keys);
  if (!op.ok()) return op.Finish({});
  const auto rows = Lengths(actualSeqLengthsOptional, batch, queries),
             lengths = Lengths(actualSeqLengthsKvOptional, batch, keys);
  const Visible visible{sparseMode, preTokens, nextTokens, masked};
  const auto scale = static_cast<float>(scaleValue);
  return op.Finish([=](const Args& args) {
    const View from = Heads(args[q], layout, numHeads), k4 = Heads(args[k], layout, kv_heads),
               v4 = Heads(args[v], layout, kv_heads), to = Heads(args[y], layout, numHeads);
    if (to.empty()) return;
    const View mask = masked ? args[m].BroadcastTo(like) : View{};
    const Buffer scores(ACL_FLOAT, {queries, keys});
    for (int64_t b = 0; b < batch; ++b) {
      const int64_t sees = lengths[static_cast<size_t>(b)], asks = rows[static_cast<size_t>(b)];
      for (int64_t h = 0; h < numHeads; ++h) {
        const int64_t g = h / (numHeads / kv_heads);
        if (sees > 0) {
          Product(from.Select(0, b).Select(0, h), k4.Select(0, b).Select(0, g).Swap(0, 1), scores,
                  F32Operands::kKeep);
        }
        Pool().ParallelFor(queries, RowGrain(keys), [&](int64_t begin, int64_t end, int) {
          std::vector<float> pse(static_cast<size_t>(keys));
          std::vector<uint8_t> hidden(static_cast<size_t>(keys));
          for (int64_t i = begin; i < end; ++i) {
            float* row = scores.as<float>() + i * keys;
            const auto [first, last] =
                i < asks ? Seen(visible, i, asks, sees) : std::pair<int64_t, int64_t>{0, 0};
            if (args.has(p)) {
              const View& shift = args[p];
              const View plane = shift.Select(0, shift.size(0) == 1 ? 0 : b).Select(0, h);
              LoadRow(plane.dtype, plane.Row(i), plane.step(1), keys, pse.data());
            }
            if (masked) {
              const View plane = mask.Select(0, b).Select(0, 0);
              for (int64_t j = 0; j < keys; ++j)
                hidden[static_cast<size_t>(j)] =
                    *reinterpret_cast<const uint8_t*>(plane.Row(i) + j * plane.step(1));
            }
            float largest = -std::numeric_limits<float>::infinity();
            for (int64_t j = 0; j < keys; ++j) {
              const auto at = static_cast<size_t>(j);
              row[j] = j < first || j >= last || hidden[at] ? -std::numeric_limits<float>::infinity()
                                                            : row[j] * scale + pse[at];
              largest = std::max(largest, row[j]);
            }
            double sum = 0;
            if (std::isinf(largest) && largest < 0) largest = 0;
            for (int64_t j = 0; j < keys; ++j)
              sum += static_cast<double>(row[j] = std::exp(row[j] - largest));
            for (int64_t j = 0; j < keys; ++j)
              row[j] = sum > 0 ? static_cast<float>(static_cast<double>(row[j]) / sum) : 0.0f;
          }
        });
        Product(scores.view().Narrow(1, 0, sees), v4.Select(0, b).Select(0, g).Narrow(0, 0, sees),
                to.Select(0, b).Select(0, h), F32Operands::kKeep);
      }
    }
  });
}
QIAO_ACLNN_LAUNCH(FusedInferAttentionScoreV2)
