// kv_write: the catalogue entry; see qiao/ops.h.
#include <algorithm>

#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

// Arguments: rows x kinds, slot, pools x kinds.
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
  return args;
}

void Check(const qiao_kv_write_params& p, Rules& r) {
  r.Require(p.kinds >= 1 && p.kinds <= 4, "kinds must be 1 to 4");
  for (int32_t i = 0; i < p.kinds && r.ok(); ++i) {
    const int pool = p.kinds + 1 + i;
    r.Require(r.tensor(i).rank == 2, "rows must have rank 2");
    r.Act(i, {"T", r.tensor(i).dim[1]});
    r.Arg(pool, {DType::kF32, DType::kBF16}, {"pages", "page_tokens", r.tensor(i).dim[1]});
  }
  r.Arg(p.kinds, {DType::kI32}, {"T"});
}

// Pools are written where rows go, not in whole.
Cost CostOf(const qiao_op_call& call, const LiveCounts& live) {
  const int kinds = static_cast<const qiao_kv_write_params*>(call.params)->kinds;
  Cost cost;
  for (int i = 0; i < kinds; ++i) cost.bytes += 2 * BytesOf(call.argument[i], live);
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

std::vector<Case> Cases(uint64_t seed, bool large) {
  constexpr DType kF32 = DType::kF32, kBF16 = DType::kBF16;
  if (large) return {Make(seed, kBF16, kBF16, 512, 512, {512, 64}, 64, 64)};
  return {Make(seed, kF32, kF32, 7, 9, {40, 8}, 5, 4),     Make(seed, kBF16, kBF16, 7, 9, {40, 8}, 5, 4),
          Make(seed, kF32, kBF16, 7, 9, {512, 64}, 2, 16), Make(seed, kBF16, kBF16, 1, 1, {33}, 3, 16),
          Make(seed, kBF16, kBF16, 0, 4, {16, 8}, 2, 8),   Make(seed, kF32, kF32, 5, 5, {8, 4, 16, 2}, 3, 4)};
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
