// moe_gate: the catalogue entry; see qiao/ops.h.
#include <limits>

#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/gate_margin.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kLogits, kBias, kIds, kWeights };

std::vector<ArgSpec> Args(const qiao_moe_gate_params&) {
  return {{.name = "logits"},
          {.name = "bias", .optional = true},
          {.name = "ids", .kind = ArgSpec::kOut},
          {.name = "w", .kind = ArgSpec::kOut}};
}

void Check(const qiao_moe_gate_params& p, Rules& r) {
  r.Arg(kLogits, {DType::kF32}, {"T", "E"});
  r.Arg(kBias, {DType::kF32}, {"E"});
  CheckGateParams(p, r["E"], r);
  r.Output(kIds, DType::kI32, {"T", p.k}, r.live(kLogits));
  r.Output(kWeights, DType::kF32, {"T", p.k}, r.live(kLogits));
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) {
  return StreamingCost(call, live, kLogits, 4);
}

struct Routing {
  int32_t score = QIAO_SCORE_SIGMOID, k = 2, groups = 0, topk_group = 0, group_score = QIAO_GROUP_SCORE_MAX;
  float mask = 0;
  bool renormalise = false;
  float scale = 1;
};

qiao_moe_gate_params ParamsOf(const Routing& r) {
  qiao_moe_gate_params p{};
  p.score = r.score;
  p.k = r.k;
  p.groups = r.groups;
  p.topk_group = r.topk_group;
  p.group_score = r.group_score;
  p.mask_value = r.mask;
  p.renormalise = r.renormalise;
  p.renorm_eps = r.renormalise ? 1e-20f : 0;
  p.scale = r.scale;
  return p;
}

Case Make(uint64_t seed, int32_t live, int64_t bucket, int64_t experts, const Routing& routing, bool bias,
          bool ties) {
  const qiao_moe_gate_params p = ParamsOf(routing);
  CaseBuilder b(MoeGateSpec(),
                absl::StrFormat("T=%d/%d,E=%d,k=%d,%s,groups=%d/%d,mask=%g%s%s", live, bucket, experts, p.k,
                                p.score == QIAO_SCORE_SOFTMAX ? "softmax" : "sigmoid", p.topk_group, p.groups,
                                p.mask_value, bias ? ",bias" : "", ties ? ",ties" : ""),
                Params(p), seed);
  std::vector<float> biases(bias ? static_cast<size_t>(experts) : 0);
  for (float& v : biases) v = static_cast<float>(0.2 * b.random().Normal());
  std::vector<float> logits(static_cast<size_t>(bucket * experts), std::numeric_limits<float>::quiet_NaN());
  for (int64_t t = 0; t < live; ++t) {
    const absl::Span<float> row =
        absl::MakeSpan(logits).subspan(static_cast<size_t>(t * experts), static_cast<size_t>(experts));
    if (ties) {
      // Few distinct logits: equal ones have equal scores wherever they are computed.
      for (float& v : row) v = static_cast<float>(b.random().Below(3));
    } else {
      FillLogits(p, biases, b.random(), row);
    }
  }
  b.Live(live).Values(DType::kF32, {bucket, experts}, logits, QIAO_LIVE_ROWS);
  bias ? b.Values(DType::kF32, {experts}, biases) : b.Absent();
  return b.Output().Output().Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  const Routing v2{.score = QIAO_SCORE_SOFTMAX, .k = 6, .scale = 1};
  const Routing v2_groups{.score = QIAO_SCORE_SOFTMAX, .k = 6, .groups = 8, .topk_group = 3, .scale = 16};
  const Routing v3{.k = 8,
                   .groups = 8,
                   .topk_group = 4,
                   .group_score = QIAO_GROUP_SCORE_TOP2_SUM,
                   .mask = -std::numeric_limits<float>::infinity(),
                   .renormalise = true,
                   .scale = 2.5f};
  if (large) return {Make(seed, 512, 512, 64, v2, false, false), Make(seed, 512, 512, 256, v3, true, false)};
  const Routing all{.k = 5, .renormalise = true};
  const Routing one{.score = QIAO_SCORE_SOFTMAX, .k = 1};
  Routing v3_zero = v3;
  v3_zero.mask = 0;
  Routing softmax_renormalised = v2;
  softmax_renormalised.renormalise = true;
  return {Make(seed, 7, 9, 64, v2, false, false),
          Make(seed, 7, 9, 160, v2_groups, false, false),
          Make(seed, 7, 9, 256, v3, true, false),
          Make(seed, 7, 9, 256, v3_zero, true, false),
          Make(seed, 3, 3, 64, softmax_renormalised, false, false),
          Make(seed, 3, 4, 5, all, true, false),
          Make(seed, 1, 1, 33, one, false, false),
          Make(seed, 0, 3, 64, v2, false, false),
          Make(seed, 70, 70, 64, v3, true, false),
          Make(seed, 9, 9, 64, v2, false, true),
          Make(seed, 9, 9, 64, v3, false, true),
          Make(seed, 9, 9, 160, v2_groups, false, true)};
}

}  // namespace

const OpSpec& MoeGateSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_moe_gate_params>(QIAO_OP_MOE_GATE, "moe_gate", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::MoeGate;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
