// quantise: the catalogue entry; see qiao/ops.h.
#include "runtime/base/checked.h"
#include "runtime/base/floats.h"
#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kX, kQ, kScale };

std::vector<ArgSpec> Args(const qiao_quantise_params&) {
  return {{.name = "x"}, {.name = "q", .kind = ArgSpec::kOut}, {.name = "scale", .kind = ArgSpec::kOut}};
}

void Check(const qiao_quantise_params& p, Rules& r) {
  r.Require(p.block >= 1, "block must be at least 1");
  r.Require(p.floor > 0, "floor must be positive: it keeps a row of zeros from dividing by zero");
  r.Act(kX, r.dims(kX));
  if (!r.ok()) return;
  const uint32_t live = r.live(kX);
  const qiao_tensor& x = r.tensor(kX);
  Dims scales = r.dims(kX, 1);
  scales.emplace_back(CeilDiv(x.dim[x.rank - 1], p.block));
  r.Output(kQ, DType::kF8E4M3, r.dims(kX), live);
  r.SetRowBlocks(kQ, p.block);
  r.Output(kScale, DType::kF32, scales, live);
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) { return StreamingCost(call, live, kX, 3); }

Case Make(uint64_t seed, DType act, int32_t live, const std::vector<int64_t>& dims, int32_t block,
          double sigma) {
  qiao_quantise_params p{};
  p.block = block;
  p.floor = 1e-4f;
  CaseBuilder b(
      QuantiseSpec(),
      absl::StrFormat("live=%d,%s,block=%d,sigma=%g", live, ToString(MakeTensor(act, dims)), block, sigma),
      Params(p), seed);
  return b.Live(live).Act(act, dims, QIAO_LIVE_ROWS, sigma).Output().Output().Finish();
}

// Every number that E4M3 rounds to even at: midpoints, with an amax that makes the scale a power of two.
Case Midpoints(uint64_t seed, DType act) {
  qiao_quantise_params p{};
  p.block = 128;
  p.floor = 1e-4f;
  CaseBuilder b(QuantiseSpec(), absl::StrFormat("midpoints,%s", Name(act)), Params(p), seed);
  std::vector<float> values;
  for (int i = 0; i < 126; ++i) {
    const float low = F8E4M3ToFloat(static_cast<uint8_t>(i)),
                high = F8E4M3ToFloat(static_cast<uint8_t>(i + 1));
    values.push_back((i % 2 ? -0.5f : 0.5f) * (low + high));
  }
  values.push_back(448);
  values.push_back(-448);
  return b.Live(1).Values(act, {1, 128}, values, QIAO_LIVE_ROWS).Output().Output().Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  for (DType act : {DType::kF32, DType::kBF16}) {
    if (large) {
      cases.push_back(Make(seed, act, 512, {512, 2048}, 128, 1));
      continue;
    }
    cases.push_back(Make(seed, act, 5, {7, 300}, 128, 1));
    cases.push_back(Make(seed, act, 1, {1, 128}, 128, 50));
    cases.push_back(Make(seed, act, 2, {2, 3, 64}, 32, 1));
    cases.push_back(Make(seed, act, 0, {2, 16}, 128, 1));
    cases.push_back(Make(seed, act, 3, {3, 200}, 128, 0));     // zeros: the floor
    cases.push_back(Make(seed, act, 3, {3, 200}, 128, 3e-5));  // partly below the floor
    cases.push_back(Midpoints(seed, act));
  }
  return cases;
}

}  // namespace

const OpSpec& QuantiseSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_quantise_params>(QIAO_OP_QUANTISE, "quantise", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::Exact;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
