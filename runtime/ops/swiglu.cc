// swiglu: the catalogue entry; see qiao/ops.h.
#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kX, kEnds, kY };

std::vector<ArgSpec> Args(const qiao_swiglu_params&) {
  return {{.name = "x"}, {.name = "ends", .optional = true}, {.name = "y", .kind = ArgSpec::kOut}};
}

void Check(const qiao_swiglu_params&, Rules& r) {
  r.Act(kX, {"T", "2I"});
  r.Require(r["2I"] % 2 == 0, "the last dimension of x must be even: gate | up");
  r.Arg(kEnds, {DType::kI64}, {"E"});
  r.Require(!r.has(kEnds) || r["E"] >= 1, "there must be at least one expert");
  r.Output(kY, r.act(), {"T", r["2I"] / 2}, r.live(kX));
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) { return StreamingCost(call, live, kY, 5); }

Case Make(uint64_t seed, DType act, int32_t live, int64_t bucket, int64_t half, std::vector<int64_t> ends,
          double sigma) {
  CaseBuilder b(SwiGluSpec(),
                absl::StrFormat("T=%d/%d,I=%d,%s,sigma=%g%s", live, bucket, half, Name(act), sigma,
                                ends.empty() ? "" : ",ends"),
                Params(qiao_swiglu_params{}), seed);
  b.Live(live).Act(act, {bucket, 2 * half}, ends.empty() ? QIAO_LIVE_ROWS : QIAO_LIVE_ROUTED, sigma);
  ends.empty() ? b.Absent() : b.Longs(ends);
  return b.Output().Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  for (DType act : {DType::kF32, DType::kBF16}) {
    if (large) {
      cases.push_back(Make(seed, act, 512, 512, 1408, {}, 1));
      continue;
    }
    cases.push_back(Make(seed, act, 5, 7, 33, {}, 1));
    cases.push_back(Make(seed, act, 1, 1, 200, {}, 1));
    cases.push_back(Make(seed, act, 0, 3, 16, {}, 1));
    cases.push_back(Make(seed, act, 9, 12, 40, {0, 4, 4, 9}, 1));
    // Gates far enough out that exp overflows f32.
    cases.push_back(Make(seed, act, 5, 5, 64, {}, 60));
  }
  return cases;
}

}  // namespace

const OpSpec& SwiGluSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_swiglu_params>(QIAO_OP_SWIGLU, "swiglu", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::SwiGlu;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
