// rmsnorm: the catalogue entry; see qiao/ops.h.
#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kX, kG, kY };

std::vector<ArgSpec> Args(const qiao_rmsnorm_params&) {
  return {
      {.name = "x", .strided = true}, {.name = "g"}, {.name = "y", .kind = ArgSpec::kOut, .strided = true}};
}

void Check(const qiao_rmsnorm_params& p, Rules& r) {
  r.Require(r.tensor(kX).rank >= 2, "x must have rank 2 or more");
  r.Act(kX, r.dims(kX));
  r.Arg(kG, {DType::kF32}, {r.tensor(kX).dim[r.tensor(kX).rank - 1]});
  r.Output(kY, r.act(), r.dims(kX), r.live(kX));
  r.Require(p.eps >= 0, "eps must not be negative");
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) { return StreamingCost(call, live, kX, 4); }

Case Make(uint64_t seed, DType act, int32_t live, const std::vector<int64_t>& dims, float eps, double sigma) {
  qiao_rmsnorm_params p{};
  p.eps = eps;
  CaseBuilder b(RmsNormSpec(),
                absl::StrFormat("live=%d,%s,sigma=%g", live, ToString(MakeTensor(act, dims)), sigma),
                Params(p), seed);
  return b.Live(live).Act(act, dims, QIAO_LIVE_ROWS, sigma).Gains(dims.back()).Output().Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  for (DType act : {DType::kF32, DType::kBF16}) {
    if (large) {
      cases.push_back(Make(seed, act, 512, {512, 2048}, 1e-6f, 1));
      continue;
    }
    cases.push_back(Make(seed, act, 5, {7, 129}, 1e-6f, 1));
    cases.push_back(Make(seed, act, 1, {1, 512}, 1e-5f, 30));
    cases.push_back(Make(seed, act, 0, {4, 64}, 1e-6f, 1));
    cases.push_back(Make(seed, act, 3, {4, 3, 16}, 1e-6f, 1));
    // eps decides.
    cases.push_back(Make(seed, act, 3, {3, 33}, 1e-6f, 1e-4));
  }
  return cases;
}

}  // namespace

const OpSpec& RmsNormSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_rmsnorm_params>(QIAO_OP_RMSNORM, "rmsnorm", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::RmsNorm;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
