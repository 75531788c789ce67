// rope_table: the catalogue entry; see qiao/ops.h.
#include <cmath>

#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kPositions, kInvFreq, kCos, kSin };

std::vector<ArgSpec> Args(const qiao_rope_table_params&) {
  return {{.name = "positions"},
          {.name = "inv_freq"},
          {.name = "cos", .kind = ArgSpec::kOut},
          {.name = "sin", .kind = ArgSpec::kOut}};
}

void Check(const qiao_rope_table_params&, Rules& r) {
  r.Arg(kPositions, {DType::kI32}, {"T"});
  r.Arg(kInvFreq, {DType::kF32}, {"W/2"});
  r.Output(kCos, DType::kF32, {"T", "W/2"}, r.live(kPositions));
  r.Output(kSin, DType::kF32, {"T", "W/2"}, r.live(kPositions));
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) { return StreamingCost(call, live, kCos, 4); }

Case Make(uint64_t seed, int32_t live, int64_t bucket, int64_t pairs, int64_t furthest, float factor) {
  qiao_rope_table_params p{};
  p.factor = factor;
  CaseBuilder b(RopeTableSpec(),
                absl::StrFormat("T=%d/%d,W/2=%d,to %d,factor=%g", live, bucket, pairs, furthest, factor),
                Params(p), seed);
  std::vector<int32_t> positions(static_cast<size_t>(bucket));
  for (int32_t& v : positions) v = static_cast<int32_t>(b.random().Below(furthest + 1));
  positions[0] = 0;
  std::vector<float> inv_freq(static_cast<size_t>(pairs));
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    inv_freq[i] = static_cast<float>(std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(pairs)));
  }
  return b.Live(live)
      .Ints({bucket}, positions, QIAO_LIVE_ROWS)
      .Values(DType::kF32, {pairs}, inv_freq)
      .Output()
      .Output()
      .Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  if (large) return {Make(seed, 512, 512, 32, 163840, 1)};
  return {Make(seed, 5, 7, 32, 4096, 1), Make(seed, 1, 1, 8, 100, 1.25f), Make(seed, 0, 2, 4, 10, 1),
          Make(seed, 40, 40, 33, 1000000, 1)};
}

}  // namespace

const OpSpec& RopeTableSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_rope_table_params>(QIAO_OP_ROPE_TABLE, "rope_table", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::RopeTable;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
