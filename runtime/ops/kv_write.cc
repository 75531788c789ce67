// kv_write: the catalogue entry; see qiao/ops.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/base/checked.h"
#include "runtime/base/floats.h"
#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

// Arguments: rows x kinds, slot, pools x kinds, scale pools x scaled kinds.
std::vector<ArgSpec> Args(const qiao_kv_write_params& p) {
  static constexpr std::string_view kRows[] = {"rows0", "rows1", "rows2", "rows3"};
  static constexpr std::string_view kPools[] = {"pool0", "pool1", "pool2", "pool3"};
  const int32_t kinds = std::clamp(p.kinds, 0, 4);
  std::vector<ArgSpec> args;
  for (int32_t i = 0; i < kinds; ++i) args.push_back({.name = kRows[i], .strided = true});
  args.push_back({.name = "slot"});
  for (int32_t i = 0; i < kinds; ++i) {
    args.push_back({.name = kPools[i], .kind = ArgSpec::kInOut, .strided = true});
  }
  static constexpr std::string_view kScales[] = {"scale0", "scale1", "scale2", "scale3"};
  for (int32_t i = 0; i < kinds; ++i) {
    if (p.scaled >> i & 1) args.push_back({.name = kScales[i], .kind = ArgSpec::kInOut, .strided = true});
  }
  return args;
}

void Check(const qiao_kv_write_params& p, Rules& r) {
  r.Require(p.kinds >= 1 && p.kinds <= 4, "kinds must be 1 to 4");
  r.Require(p.scaled >> std::clamp(p.kinds, 0, 4) == 0, "scaled names a kind that there is not");
  int scale = 2 * p.kinds + 1;
  for (int32_t i = 0; i < p.kinds && r.ok(); ++i) {
    const bool scaled = p.scaled >> i & 1;
    r.Require(r.tensor(i).rank == 2, "rows must have rank 2");
    r.Act(i, {"T", r.tensor(i).dim[1]});
    CheckPool(r, p.kinds + 1 + i, scaled ? scale++ : -1, r.tensor(i).dim[1]);
  }
  r.Arg(p.kinds, {DType::kI32}, {"T"});
}

// Pools are written where rows go, not in whole.
Cost CostOf(const qiao_op_call& call, const LiveCounts& live) {
  const int kinds = static_cast<const qiao_kv_write_params*>(call.params)->kinds;
  Cost cost;
  for (int i = 0; i < kinds; ++i) {
    const qiao_tensor& pool = call.argument[kinds + 1 + i];
    cost.bytes += BytesOf(call.argument[i], live) + LiveOf(call.argument[i], live) * PoolRowBytes(pool);
  }
  cost.bytes += BytesOf(call.argument[kinds], live);
  return cost;
}

Case Make(uint64_t seed, DType act, DType pool, int32_t live, int64_t bucket, std::vector<int64_t> widths,
          int64_t pages, int64_t page_tokens) {
  qiao_kv_write_params p{};
  p.kinds = static_cast<int32_t>(widths.size());
  CaseBuilder b(KvWriteSpec(),
                absl::StrFormat("T=%d/%d,kinds=%d,page=%d,%s to %s", live, bucket, p.kinds, page_tokens,
                                Name(act), Name(pool)),
                Params(p), seed);
  // Distinct slots; each fifth is skipped. Dead rows have slots that must stay as they are.
  std::vector<int32_t> slots(static_cast<size_t>(pages * page_tokens));
  for (size_t i = 0; i < slots.size(); ++i) {
    const auto j = static_cast<size_t>(b.random().Below(static_cast<int64_t>(i) + 1));
    slots[i] = slots[j];
    slots[j] = static_cast<int32_t>(i);
  }
  slots.resize(static_cast<size_t>(bucket));
  for (size_t i = 3; i < slots.size(); i += 5) slots[i] = -1;
  b.Live(live);
  for (int64_t width : widths) b.Act(act, {bucket, width});
  b.Ints({bucket}, slots, QIAO_LIVE_ROWS);
  for (int64_t width : widths) b.Act(pool, {pages, page_tokens, width}, QIAO_LIVE_ALL);
  return b.Finish();
}

// A latent with scales and a rope key, in pools of one dtype each. Latents of all sizes: some blocks are
// below the floor, one is zero, one holds a NaN, and one holds all that E4M3 rounds to even.
Case MakeScaled(uint64_t seed, DType act, DType rope_dtype, int32_t live, int64_t bucket, int64_t latent,
                int64_t rope, int64_t page_tokens, int32_t block) {
  qiao_kv_write_params p{};
  p.kinds = 2;
  p.scaled = 1;
  CaseBuilder b(KvWriteSpec(),
                absl::StrFormat("T=%d/%d,L=%d,R=%d,page=%d,%s to f8/1x%d", live, bucket, latent, rope,
                                page_tokens, Name(act), block),
                Params(p), seed);
  b.Live(live);
  const int64_t pages = CeilDiv(2 * bucket, page_tokens), blocks = CeilDiv<int64_t>(latent, block);
  std::vector<float> latents(static_cast<size_t>(bucket * latent), std::numeric_limits<float>::quiet_NaN());
  for (int64_t i = 0; i < live * latent; ++i) {
    const int64_t row = i / latent, in_row = i % latent, number = row * blocks + in_row / block;
    const double size = number % 7 == 1 ? 0 : std::exp2(4.0 * static_cast<double>(number % 9) - 24);
    float value = static_cast<float>(size * b.random().Normal());
    const auto code = static_cast<uint8_t>(in_row % block % 126);
    if (number % 7 == 2)
      value = in_row % block == 126 ? 448.0f : 0.5f * (F8E4M3ToFloat(code) + F8E4M3ToFloat(code + 1));
    if (number % 7 == 3 && in_row % block == 5) value = std::numeric_limits<float>::quiet_NaN();
    latents[static_cast<size_t>(i)] = value;
  }
  std::vector<int32_t> slots;
  for (int64_t t = 0; t < bucket; ++t) slots.push_back(t % 5 == 3 ? -1 : static_cast<int32_t>(2 * t + t % 2));
  b.Values(act, {bucket, latent}, latents, QIAO_LIVE_ROWS).Act(act, {bucket, rope});
  b.Ints({bucket}, slots, QIAO_LIVE_ROWS);
  b.Pool({pages, page_tokens, latent}, block).Act(rope_dtype, {pages, page_tokens, rope}, QIAO_LIVE_ALL);
  b.Act(DType::kF32, {pages, page_tokens, blocks}, QIAO_LIVE_ALL);
  return b.Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  constexpr DType kF32 = DType::kF32, kBF16 = DType::kBF16;
  if (large) {
    return {Make(seed, kBF16, kBF16, 512, 512, {512, 64}, 64, 64),
            MakeScaled(seed, kBF16, kBF16, 512, 512, 512, 64, 64, 128)};
  }
  std::vector<Case> scaled;
  for (DType act : {kF32, kBF16}) {
    scaled.push_back(MakeScaled(seed, act, kBF16, 7, 9, 512, 64, 16, 128));
    scaled.push_back(MakeScaled(seed, act, kBF16, 7, 9, 200, 8, 4, 128));  // a short last block
    scaled.push_back(MakeScaled(seed, act, act, 5, 6, 37, 6, 7, 128));     // only a short one
    scaled.push_back(MakeScaled(seed, act, kBF16, 0, 2, 130, 2, 4, 32));
  }
  std::vector<Case> cases = {
      Make(seed, kF32, kF32, 7, 9, {40, 8}, 5, 4),     Make(seed, kBF16, kBF16, 7, 9, {40, 8}, 5, 4),
      Make(seed, kF32, kBF16, 7, 9, {512, 64}, 2, 16), Make(seed, kBF16, kBF16, 1, 1, {33}, 3, 16),
      Make(seed, kBF16, kBF16, 0, 4, {16, 8}, 2, 8),   Make(seed, kF32, kF32, 5, 5, {8, 4, 16, 2}, 3, 4)};
  cases.insert(cases.end(), scaled.begin(), scaled.end());
  return cases;
}

}  // namespace

const OpSpec& KvWriteSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_kv_write_params>(QIAO_OP_KV_WRITE, "kv_write", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::Exact;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
