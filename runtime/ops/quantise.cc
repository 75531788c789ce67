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

enum { kX, kEnds, kQ, kScale };

std::vector<ArgSpec> Args(const qiao_quantise_params&) {
  return {{.name = "x"},
          {.name = "ends", .optional = true},
          {.name = "q", .kind = ArgSpec::kOut},
          {.name = "scale", .kind = ArgSpec::kOut}};
}

void Check(const qiao_quantise_params& p, Rules& r) {
  const DType q = r.inferring() ? (r.out() == DType::kInvalid ? DType::kF8E4M3 : r.out()) : r.type(kQ);
  const bool i8 = q == DType::kI8;
  r.Require(i8 ? p.block == 0 : p.block >= 1,
            "block must be at least 1 for f8_e4m3, and 0 for i8, whose rows have one scale");
  r.Require(p.floor > 0, "floor must be positive: it keeps a row of zeros from dividing by zero");
  r.Act(kX, r.dims(kX));
  r.Arg(kEnds, {DType::kI64}, {"E"});
  r.Require(!r.has(kEnds) || r.live(kX) == QIAO_LIVE_ROUTED, "ends comes with routed rows only");
  if (!r.ok()) return;
  const uint32_t live = r.live(kX);
  const qiao_tensor& x = r.tensor(kX);
  Dims scales = r.dims(kX, 1);
  scales.emplace_back(i8 ? 1 : CeilDiv(x.dim[x.rank - 1], p.block));
  r.Output(kQ, q, r.dims(kX), live, {DType::kF8E4M3, DType::kI8});
  i8 ? r.SetRowScales(kQ) : r.SetRowBlocks(kQ, p.block);
  r.Output(kScale, DType::kF32, scales, live);
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) { return StreamingCost(call, live, kX, 3); }

// `block` 0: to INT8.
Case Make(uint64_t seed, DType act, int32_t live, const std::vector<int64_t>& dims, int32_t block,
          double sigma) {
  qiao_quantise_params p{};
  p.block = block;
  p.floor = 1e-4f;
  CaseBuilder b(QuantiseSpec(),
                absl::StrFormat("live=%d,%s,%s,sigma=%g", live, ToString(MakeTensor(act, dims)),
                                block ? absl::StrFormat("block=%d", block) : "i8", sigma),
                Params(p), seed);
  b.Live(live).Act(act, dims, QIAO_LIVE_ROWS, sigma).Absent().Output().Output();
  return b.Finish(block ? DType::kF8E4M3 : DType::kI8);
}

// Rows that were sorted by expert, some of them dead.
Case Routed(uint64_t seed, DType act, int64_t bucket, int32_t block) {
  qiao_quantise_params p{};
  p.block = block;
  p.floor = 1e-4f;
  CaseBuilder b(QuantiseSpec(), absl::StrFormat("routed,%s,block=%d", Name(act), block), Params(p), seed);
  b.Act(act, {bucket, 200}, QIAO_LIVE_ROUTED).Longs({0, 2, 2, 5}).Output().Output();
  return b.Finish(block ? DType::kF8E4M3 : DType::kI8);
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
  return b.Live(1).Values(act, {1, 128}, values, QIAO_LIVE_ROWS).Absent().Output().Output().Finish();
}

// Every number that INT8 rounds to even at, with a scale of 1.
Case IntegerMidpoints(uint64_t seed, DType act) {
  qiao_quantise_params p{};
  p.floor = 1e-4f;
  CaseBuilder b(QuantiseSpec(), absl::StrFormat("i8 midpoints,%s", Name(act)), Params(p), seed);
  std::vector<float> values;
  for (int i = 0; i < 126; ++i) values.push_back((i % 2 ? -1.0f : 1.0f) * (static_cast<float>(i) + 0.5f));
  values.push_back(127);
  values.push_back(-127);
  b.Live(1).Values(act, {1, 128}, values, QIAO_LIVE_ROWS).Absent().Output().Output();
  return b.Finish(DType::kI8);
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  for (DType act : {DType::kF32, DType::kBF16}) {
    if (large) {
      for (int32_t block : {128, 0}) cases.push_back(Make(seed, act, 512, {512, 2048}, block, 1));
      continue;
    }
    cases.push_back(Make(seed, act, 5, {7, 300}, 128, 1));
    cases.push_back(Make(seed, act, 1, {1, 128}, 128, 50));
    cases.push_back(Make(seed, act, 2, {2, 3, 64}, 32, 1));
    cases.push_back(Make(seed, act, 0, {2, 16}, 128, 1));
    cases.push_back(Make(seed, act, 3, {3, 200}, 128, 0));     // zeros: the floor
    cases.push_back(Make(seed, act, 3, {3, 200}, 128, 3e-5));  // partly below the floor
    cases.push_back(Midpoints(seed, act));
    cases.push_back(Make(seed, act, 5, {7, 300}, 0, 1));
    cases.push_back(Make(seed, act, 1, {1, 16}, 0, 50));
    cases.push_back(Make(seed, act, 2, {2, 3, 64}, 0, 1));
    cases.push_back(Make(seed, act, 0, {2, 16}, 0, 1));
    cases.push_back(Make(seed, act, 3, {3, 200}, 0, 0));     // zeros: the floor
    cases.push_back(Make(seed, act, 3, {3, 200}, 0, 3e-5));  // partly below the floor
    cases.push_back(IntegerMidpoints(seed, act));
    for (int32_t block : {128, 0}) cases.push_back(Routed(seed, act, 7, block));
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
