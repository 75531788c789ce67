// add_rmsnorm: the catalogue entry; see qiao/ops.h.
#include "runtime/ops/case_builder.h"
#include "runtime/ops/coarse.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kX, kResidual, kG, kY, kSum };

std::vector<ArgSpec> Args(const qiao_add_rmsnorm_params&) {
  return {{.name = "x"},
          {.name = "residual"},
          {.name = "g"},
          {.name = "y", .kind = ArgSpec::kOut},
          {.name = "sum", .kind = ArgSpec::kOut}};
}

void Check(const qiao_add_rmsnorm_params& p, Rules& r) {
  r.Act(kX, {"T", "D"});
  r.Act(kResidual, {"T", "D"});
  r.Arg(kG, {DType::kF32}, {"D"});
  r.Require(p.eps >= 0, "eps must not be negative");
  r.Output(kY, r.act(), {"T", "D"}, r.live(kX));
  r.Output(kSum, r.act(), {"T", "D"}, r.live(kX));
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) { return StreamingCost(call, live, kX, 5); }

// sum = x + residual; y = rmsnorm(sum)
absl::Status Decompose(const Node& node, Graph& graph) {
  const auto& a = node.args;
  Append(graph, node.name + ".add", QIAO_OP_ADD, Params(qiao_add_params{}), {a[kX], a[kResidual], a[kSum]});
  Append(graph, node.name + ".norm", QIAO_OP_RMSNORM, Params(node.params.as<qiao_add_rmsnorm_params>()),
         {a[kSum], a[kG], a[kY]});
  return absl::OkStatus();
}

Case Make(uint64_t seed, DType act, int32_t live, int64_t bucket, int64_t width) {
  qiao_add_rmsnorm_params p{};
  p.eps = 1e-6f;
  CaseBuilder b(AddRmsNormSpec(), absl::StrFormat("T=%d/%d,D=%d,%s", live, bucket, width, Name(act)),
                Params(p), seed);
  return b.Live(live)
      .Act(act, {bucket, width})
      .Act(act, {bucket, width}, QIAO_LIVE_ROWS, 5)
      .Gains(width)
      .Output()
      .Output()
      .Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  for (DType act : {DType::kF32, DType::kBF16}) {
    if (large) {
      cases.push_back(Make(seed, act, 512, 512, 2048));
      continue;
    }
    cases.push_back(Make(seed, act, 5, 7, 129));
    cases.push_back(Make(seed, act, 1, 1, 512));
    cases.push_back(Make(seed, act, 0, 3, 16));
  }
  return cases;
}

}  // namespace

const OpSpec& AddRmsNormSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_add_rmsnorm_params>(QIAO_OP_ADD_RMSNORM, "add_rmsnorm", Args, Check));
    s->cost = CostOf;
    MakeCoarse(s, Decompose);
    s->cases = Cases;
    s->tolerance = tolerance::RmsNorm;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
