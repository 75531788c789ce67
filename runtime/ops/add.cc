// add: the catalogue entry; see qiao/ops.h.
#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kA, kB, kY };

std::vector<ArgSpec> Args(const qiao_add_params&) {
  return {{.name = "a"}, {.name = "b"}, {.name = "y", .kind = ArgSpec::kOut}};
}

void Check(const qiao_add_params&, Rules& r) {
  r.Act(kA, r.dims(kA));
  r.Act(kB, r.dims(kA));
  r.Output(kY, r.act(), r.dims(kA), r.live(kA));
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) { return StreamingCost(call, live, kY, 1); }

Case Make(uint64_t seed, DType act, int32_t live, const std::vector<int64_t>& dims) {
  CaseBuilder b(AddSpec(), absl::StrFormat("live=%d,%s", live, ToString(MakeTensor(act, dims))),
                Params(qiao_add_params{}), seed);
  return b.Live(live).Act(act, dims).Act(act, dims, QIAO_LIVE_ROWS, 0.01).Output().Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  for (DType act : {DType::kF32, DType::kBF16}) {
    if (large) {
      cases.push_back(Make(seed, act, 512, {512, 2048}));
      continue;
    }
    cases.push_back(Make(seed, act, 5, {7, 33}));
    cases.push_back(Make(seed, act, 1, {1, 3, 130}));
    cases.push_back(Make(seed, act, 0, {2, 16}));
  }
  return cases;
}

}  // namespace

const OpSpec& AddSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_add_params>(QIAO_OP_ADD, "add", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::Exact;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
