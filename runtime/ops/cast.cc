// cast: the catalogue entry; see qiao/ops.h.
#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kX, kY };

std::vector<ArgSpec> Args(const qiao_cast_params&) {
  return {{.name = "x", .strided = true}, {.name = "y", .kind = ArgSpec::kOut, .strided = true}};
}

void Check(const qiao_cast_params&, Rules& r) {
  r.Arg(kX, {DType::kF32, DType::kBF16, DType::kF16}, r.dims(kX));
  r.Output(kY, r.out() == DType::kInvalid ? r.type(kX) : r.out(), r.dims(kX), r.live(kX),
           {DType::kF32, DType::kBF16});
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) { return StreamingCost(call, live, kY, 0); }

Case Make(uint64_t seed, DType from, DType to, int32_t live, const std::vector<int64_t>& dims) {
  CaseBuilder b(CastSpec(),
                absl::StrFormat("live=%d,%s to %s", live, ToString(MakeTensor(from, dims)), Name(to)),
                Params(qiao_cast_params{}), seed);
  return b.Live(live).Act(from, dims).Output().Finish(to);
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  for (DType from : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (DType to : {DType::kF32, DType::kBF16}) {
      if (large) {
        cases.push_back(Make(seed, from, to, 512, {512, 2048}));
        continue;
      }
      cases.push_back(Make(seed, from, to, 5, {7, 33}));
      cases.push_back(Make(seed, from, to, 1, {1, 3, 130}));
      cases.push_back(Make(seed, from, to, 0, {2, 16}));
    }
  }
  return cases;
}

}  // namespace

const OpSpec& CastSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_cast_params>(QIAO_OP_CAST, "cast", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::Exact;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
