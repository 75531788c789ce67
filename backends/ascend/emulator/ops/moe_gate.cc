// MoeGatingTopK: the choice of experts.
#include <aclnnop/aclnn_moe_gating_top_k.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"

using namespace qiao::cann;

namespace {

// What `out` asks for: all scores.
void Scores(const View& logits, bool sigmoid, const View& out) {
  const int64_t experts = logits.size(1);
  std::vector<float> row(static_cast<size_t>(experts));
  for (int64_t t = 0; t < logits.size(0); ++t) {
    LoadRow(logits.dtype, logits.Row(t), logits.step(1), experts, row.data());
    const double largest = static_cast<double>(*std::max_element(row.begin(), row.end()));
    double sum = 0;
    for (float v : row) sum += std::exp(static_cast<double>(v) - largest);
    for (float& v : row)
      v = static_cast<float>(sigmoid ? 1.0 / (1.0 + std::exp(-static_cast<double>(v)))
                                     : std::exp(static_cast<double>(v) - largest) / sum);
    StoreRow(out.dtype, out.Row(t), out.step(1), experts, row.data());
  }
}

}  // namespace

aclnnStatus aclnnMoeGatingTopKGetWorkspaceSize(const aclTensor* x, const aclTensor* biasOptional, int64_t k,
                                               int64_t kGroup, int64_t groupCount, int64_t groupSelectMode,
                                               int64_t renorm, int64_t normType, bool outFlag,
                                               double routedScalingFactor, double eps, const aclTensor* yOut,
                                               const aclTensor* expertIdxOut, const aclTensor* outOut,
                                               uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnMoeGatingTopK", workspaceSize, executor);
  const int in = op.In("x", x), bias = op.MaybeIn("biasOptional", biasOptional), y = op.Out("yOut", yOut),
            ids = op.Out("expertIdxOut", expertIdxOut),
            scores = outFlag ? op.Out("outOut", outOut) : op.MaybeOut("outOut", outOut);
  op.DType(in, kFloats).Rank(in, 2, 2).SameDType(in, y).DType(ids, {ACL_INT32}).SameDType(in, bias);
  if (op.ok()) {
    const int64_t rows = op.at(in).size(0), experts = op.at(in).size(1);
    op.Require(experts > 0, "x is %s: no experts", op.at(in).ShapeString());
    op.Require(k >= 1 && k <= experts, "k is %d, of %d experts", k, experts);
    const int64_t groups = std::max<int64_t>(groupCount, 1);
    op.Require(groupCount >= 0 && experts % groups == 0, "%d groups of %d experts", groupCount, experts);
    op.Require(groups == 1 || (kGroup >= 1 && kGroup <= groups), "kGroup is %d, of %d groups", kGroup,
               groups);
    op.Require(groups == 1 || k <= kGroup * (experts / groups), "k is %d, and %d groups have %d experts", k,
               kGroup, kGroup * (experts / groups));
    op.Require(groupSelectMode == 0 || groupSelectMode == 1, "groupSelectMode is %d; it must be 0 or 1",
               groupSelectMode);
    op.Require(groups == 1 || groupSelectMode == 0 || experts / groups >= 2,
               "groupSelectMode 1 needs groups of two or more");
    op.Require(renorm == 0 || renorm == 1, "renorm is %d; it must be 0 or 1", renorm);
    op.Require(normType == 0 || normType == 1, "normType is %d; 0 (softmax) and 1 (sigmoid) are served",
               normType);
    op.Shape(y, {rows, k}).Shape(ids, {rows, k}).Shape(bias, {experts});
    if (outFlag) op.DType(scores, {ACL_FLOAT}).Shape(scores, {rows, experts});
  }
  qiao_moe_gate_params params{};
  params.struct_size = sizeof(params);
  params.score = normType == 1 ? QIAO_SCORE_SIGMOID : QIAO_SCORE_SOFTMAX;
  params.k = static_cast<int32_t>(k);
  params.groups = static_cast<int32_t>(groupCount);
  params.topk_group = static_cast<int32_t>(kGroup);
  params.group_score = groupSelectMode == 1 ? QIAO_GROUP_SCORE_TOP2_SUM : QIAO_GROUP_SCORE_MAX;
  params.mask_value = -std::numeric_limits<float>::infinity();
  params.renormalise = normType == 1 || renorm == 1;
  params.renorm_eps = static_cast<float>(eps);
  params.scale = static_cast<float>(routedScalingFactor);
  return op.Finish([=](const Args& args) {
    const View& logits = args[in];
    if (logits.empty()) return;
    const Buffer values = Converted(logits, ACL_FLOAT);
    Buffer b, chosen(ACL_INT32, args[ids]), weights(ACL_FLOAT, args[y]);
    KernelRun run(QIAO_OP_MOE_GATE, &params);
    run.Add(values);
    if (args.has(bias)) {
      b = Converted(args[bias], ACL_FLOAT);
      run.Add(b);
    } else {
      run.AddAbsent();
    }
    run.Add(chosen).Add(weights).Run();
    Convert(args[ids], chosen);
    Convert(args[y], weights);
    if (outFlag) Scores(logits, params.score == QIAO_SCORE_SIGMOID, args[scores]);
  });
}
QIAO_ACLNN_LAUNCH(MoeGatingTopK)
