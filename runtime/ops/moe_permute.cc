// moe_permute: the catalogue entry; see qiao/ops.h.
#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kX, kIds, kXp, kEnds, kSlot };

std::vector<ArgSpec> Args(const qiao_moe_permute_params&) {
  return {{.name = "x"},
          {.name = "ids"},
          {.name = "xp", .kind = ArgSpec::kOut},
          {.name = "ends", .kind = ArgSpec::kOut},
          {.name = "slot", .kind = ArgSpec::kOut}};
}

void Check(const qiao_moe_permute_params& p, Rules& r) {
  r.Act(kX, {"T", "H"});
  r.Arg(kIds, {DType::kI32}, {"T", "k"});
  r.Require(p.experts >= 1, "experts must be at least 1");
  r.Output(kXp, r.act(), {r["T"] * r["k"], "H"}, QIAO_LIVE_ROUTED);
  r.Output(kEnds, DType::kI64, {p.experts}, QIAO_LIVE_ALL);
  r.Output(kSlot, DType::kI32, {"T", "k"}, r.live(kIds));
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) { return StreamingCost(call, live, kXp, 0); }

Case Make(uint64_t seed, DType act, int32_t live, int64_t bucket, int64_t width, int64_t k, int32_t experts) {
  qiao_moe_permute_params p{};
  p.experts = experts;
  CaseBuilder b(MoePermuteSpec(),
                absl::StrFormat("T=%d/%d,H=%d,k=%d,E=%d,%s", live, bucket, width, k, experts, Name(act)),
                Params(p), seed);
  std::vector<int32_t> ids(static_cast<size_t>(bucket * k), -1);
  // Dead rows have id -1; a live choice may have it too.
  for (int64_t i = 0; i < live * k; ++i) {
    ids[static_cast<size_t>(i)] = static_cast<int32_t>(b.random().Below(experts + 1)) - 1;
  }
  return b.Live(live)
      .Act(act, {bucket, width})
      .Ints({bucket, k}, ids, QIAO_LIVE_ROWS)
      .Output()
      .Output()
      .Output()
      .Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  for (DType act : {DType::kF32, DType::kBF16}) {
    if (large) {
      cases.push_back(Make(seed, act, 512, 512, 2048, 6, 64));
      continue;
    }
    cases.push_back(Make(seed, act, 7, 9, 33, 3, 5));
    cases.push_back(Make(seed, act, 1, 1, 64, 8, 256));
    cases.push_back(Make(seed, act, 0, 3, 16, 2, 4));
    cases.push_back(Make(seed, act, 70, 70, 40, 6, 64));
  }
  return cases;
}

}  // namespace

const OpSpec& MoePermuteSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_moe_permute_params>(QIAO_OP_MOE_PERMUTE, "moe_permute", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::Exact;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
