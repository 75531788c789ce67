// moe_combine: the catalogue entry; see qiao/ops.h.
#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kYp, kSlot, kW, kShared, kY };

std::vector<ArgSpec> Args(const qiao_moe_combine_params&) {
  return {{.name = "yp"},
          {.name = "slot"},
          {.name = "w"},
          {.name = "shared", .optional = true},
          {.name = "y", .kind = ArgSpec::kOut}};
}

void Check(const qiao_moe_combine_params&, Rules& r) {
  r.Arg(kSlot, {DType::kI32}, {"T", "k"});
  r.Arg(kW, {DType::kF32}, {"T", "k"});
  r.Act(kYp, {r["T"] * r["k"], "H"});
  r.Act(kShared, {"T", "H"});
  r.Output(kY, r.act(), {"T", "H"}, r.live(kSlot));
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) { return StreamingCost(call, live, kYp, 2); }

Case Make(uint64_t seed, DType act, int32_t live, int64_t bucket, int64_t width, int64_t k, bool shared) {
  CaseBuilder b(
      MoeCombineSpec(),
      absl::StrFormat("T=%d/%d,H=%d,k=%d,%s%s", live, bucket, width, k, Name(act), shared ? ",shared" : ""),
      Params(qiao_moe_combine_params{}), seed);
  // A random permutation; some choices have no row.
  std::vector<int32_t> slot(static_cast<size_t>(bucket * k), -1);
  for (int64_t i = 0; i < live * k; ++i) {
    const int64_t j = b.random().Below(i + 1);
    slot[static_cast<size_t>(i)] = slot[static_cast<size_t>(j)];
    slot[static_cast<size_t>(j)] = static_cast<int32_t>(i);
  }
  for (int64_t i = 0; i < live * k; i += 7) slot[static_cast<size_t>(i)] = -1;
  std::vector<float> w(slot.size());
  for (float& v : w) v = static_cast<float>(b.random().Uniform());
  b.Live(live).Act(act, {bucket * k, width}, QIAO_LIVE_ROUTED).Ints({bucket, k}, slot, QIAO_LIVE_ROWS);
  b.Values(DType::kF32, {bucket, k}, w, QIAO_LIVE_ROWS);
  shared ? b.Act(act, {bucket, width}) : b.Absent();
  return b.Output().Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  for (DType act : {DType::kF32, DType::kBF16}) {
    if (large) {
      cases.push_back(Make(seed, act, 512, 512, 2048, 6, true));
      continue;
    }
    cases.push_back(Make(seed, act, 5, 7, 33, 3, true));
    cases.push_back(Make(seed, act, 5, 7, 33, 3, false));
    cases.push_back(Make(seed, act, 1, 1, 136, 8, true));
    cases.push_back(Make(seed, act, 0, 2, 16, 2, false));
  }
  return cases;
}

}  // namespace

const OpSpec& MoeCombineSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_moe_combine_params>(QIAO_OP_MOE_COMBINE, "moe_combine", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::MoeCombine;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
