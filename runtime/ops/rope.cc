// rope: the catalogue entry; see qiao/ops.h.
#include <cmath>

#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kX, kCos, kSin, kY };

std::vector<ArgSpec> Args(const qiao_rope_params&) {
  return {{.name = "x", .strided = true},
          {.name = "cos"},
          {.name = "sin"},
          {.name = "y", .kind = ArgSpec::kOut, .strided = true}};
}

void Check(const qiao_rope_params& p, Rules& r) {
  r.Act(kX, {"T", "h", "D"});
  r.Require(p.width >= 0 && p.width % 2 == 0, "width must be even and not negative");
  r.Require(p.offset >= 0 && static_cast<int64_t>(p.offset) + p.width <= r["D"],
            "channels offset .. offset + width must lie within the last dimension of x");
  r.Require(p.style == QIAO_ROPE_INTERLEAVED || p.style == QIAO_ROPE_HALF,
            "style must be interleaved or half");
  r.Arg(kCos, {DType::kF32}, {"T", p.width / 2});
  r.Arg(kSin, {DType::kF32}, {"T", p.width / 2});
  r.Output(kY, r.act(), {"T", "h", "D"}, r.live(kX));
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) { return StreamingCost(call, live, kX, 3); }

Case Make(uint64_t seed, DType act, int32_t live, int64_t bucket, int64_t heads, int64_t width, int32_t style,
          int32_t rotated, int32_t offset, bool inverse) {
  qiao_rope_params p{};
  p.style = style;
  p.width = rotated;
  p.offset = offset;
  p.inverse = inverse;
  CaseBuilder b(RopeSpec(),
                absl::StrFormat("T=%d/%d,h=%d,D=%d,%s,%d+%d,%s%s", live, bucket, heads, width,
                                style == QIAO_ROPE_HALF ? "half" : "interleaved", offset, rotated, Name(act),
                                inverse ? ",inverse" : ""),
                Params(p), seed);
  std::vector<float> cosine, sine;
  for (int64_t i = 0; i < bucket * (rotated / 2); ++i) {
    const double angle = 100 * b.random().Uniform();
    cosine.push_back(static_cast<float>(std::cos(angle)));
    sine.push_back(static_cast<float>(std::sin(angle)));
  }
  return b.Live(live)
      .Act(act, {bucket, heads, width})
      .Values(DType::kF32, {bucket, rotated / 2}, cosine, QIAO_LIVE_ROWS)
      .Values(DType::kF32, {bucket, rotated / 2}, sine, QIAO_LIVE_ROWS)
      .Output()
      .Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  for (DType act : {DType::kF32, DType::kBF16}) {
    for (int32_t style : {QIAO_ROPE_INTERLEAVED, QIAO_ROPE_HALF}) {
      if (large) {
        cases.push_back(Make(seed, act, 512, 512, 16, 64, style, 64, 0, false));
        continue;
      }
      cases.push_back(Make(seed, act, 5, 7, 3, 64, style, 64, 0, false));
      cases.push_back(Make(seed, act, 5, 7, 1, 64, style, 64, 0, true));
      cases.push_back(Make(seed, act, 1, 1, 4, 26, style, 10, 7, false));
      cases.push_back(Make(seed, act, 0, 2, 1, 8, style, 8, 0, false));
    }
  }
  return cases;
}

}  // namespace

const OpSpec& RopeSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_rope_params>(QIAO_OP_ROPE, "rope", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::Stored;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
