// argmax: the catalogue entry; see qiao/ops.h.
#include <limits>

#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kX, kIds };

std::vector<ArgSpec> Args(const qiao_argmax_params&) {
  return {{.name = "x"}, {.name = "ids", .kind = ArgSpec::kOut}};
}

void Check(const qiao_argmax_params&, Rules& r) {
  r.Arg(kX, {DType::kF32}, {"T", "V"});
  r.Require(r["V"] >= 1, "a row must have at least one element");
  r.Output(kIds, DType::kI32, {"T"}, r.live(kX));
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) { return StreamingCost(call, live, kX, 1); }

Case Make(uint64_t seed, std::string_view what, int32_t live, int64_t bucket, int64_t width,
          void (*spoil)(absl::Span<float> row, Random& random)) {
  CaseBuilder b(ArgMaxSpec(), absl::StrFormat("%s,T=%d/%d,V=%d", what, live, bucket, width),
                Params(qiao_argmax_params{}), seed);
  std::vector<float> x(static_cast<size_t>(bucket * width));
  for (float& v : x) v = static_cast<float>(b.random().Normal());
  for (int64_t t = 0; spoil && t < live; ++t) {
    spoil(absl::MakeSpan(x).subspan(static_cast<size_t>(t * width), static_cast<size_t>(width)), b.random());
  }
  return b.Live(0, 0, live).Values(DType::kF32, {bucket, width}, x, QIAO_LIVE_LOGITS).Output().Finish();
}

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<Case> Cases(uint64_t seed, bool large) {
  if (large) return {Make(seed, "random", 8, 8, 129280, nullptr)};
  return {Make(seed, "random", 5, 7, 333, nullptr),
          Make(seed, "random", 3, 3, 5003, nullptr),
          Make(seed, "one", 1, 1, 1, nullptr),
          Make(seed, "none", 0, 2, 16, nullptr),
          Make(seed, "ties", 9, 9, 100,
               [](absl::Span<float> row, Random& r) {
                 for (float& v : row) v = static_cast<float>(r.Below(3));
               }),
          Make(seed, "equal", 2, 2, 70,
               [](absl::Span<float> row, Random&) {
                 for (float& v : row) v = -3;
               }),
          Make(seed, "NaN", 9, 9, 100,
               [](absl::Span<float> row, Random& r) {
                 for (float& v : row)
                   if (r.Below(2)) v = kNaN;
               }),
          Make(seed, "all NaN", 2, 2, 67,
               [](absl::Span<float> row, Random&) {
                 for (float& v : row) v = kNaN;
               }),
          Make(seed, "infinite", 9, 9, 100,
               [](absl::Span<float> row, Random& r) {
                 for (float& v : row)
                   if (r.Below(2)) v = r.Below(2) ? kInfinity : -kInfinity;
               }),
          Make(seed, "all -infinity", 2, 2, 67, [](absl::Span<float> row, Random& r) {
            for (float& v : row) v = r.Below(3) ? -kInfinity : kNaN;
          })};
}

}  // namespace

const OpSpec& ArgMaxSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_argmax_params>(QIAO_OP_ARGMAX, "argmax", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::Exact;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
