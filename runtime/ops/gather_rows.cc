// gather_rows: the catalogue entry; see qiao/ops.h.
#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kX, kIndex, kY };

std::vector<ArgSpec> Args(const qiao_gather_rows_params&) {
  return {{.name = "x", .strided = true}, {.name = "index"}, {.name = "y", .kind = ArgSpec::kOut}};
}

void Check(const qiao_gather_rows_params&, Rules& r) {
  r.Act(kX, {"T", "H"});
  r.Arg(kIndex, {DType::kI32}, {"n"});
  r.Output(kY, r.act(), {"n", "H"}, r.live(kIndex));
}

// Only the rows that are asked for are read.
Cost CostOf(const qiao_op_call& call, const LiveCounts& live) {
  return {.flops = 0, .bytes = BytesOf(call.argument[kIndex], live) + 2 * BytesOf(call.argument[kY], live)};
}

Case Make(uint64_t seed, DType act, int64_t rows, int32_t live, int64_t bucket, int64_t width) {
  CaseBuilder b(GatherRowsSpec(),
                absl::StrFormat("T=%d,n=%d/%d,H=%d,%s", rows, live, bucket, width, Name(act)),
                Params(qiao_gather_rows_params{}), seed);
  std::vector<int32_t> index(static_cast<size_t>(bucket));
  for (int32_t& v : index) v = static_cast<int32_t>(b.random().Below(rows));
  return b.Live(static_cast<int32_t>(rows), 0, live)
      .Act(act, {rows, width})
      .Ints({bucket}, index, QIAO_LIVE_LOGITS)
      .Output()
      .Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  for (DType act : {DType::kF32, DType::kBF16}) {
    if (large) {
      cases.push_back(Make(seed, act, 512, 8, 8, 2048));
      continue;
    }
    cases.push_back(Make(seed, act, 9, 3, 5, 33));
    cases.push_back(Make(seed, act, 1, 1, 1, 64));
    cases.push_back(Make(seed, act, 4, 0, 2, 16));
  }
  return cases;
}

}  // namespace

const OpSpec& GatherRowsSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_gather_rows_params>(QIAO_OP_GATHER_ROWS, "gather_rows", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::Exact;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
