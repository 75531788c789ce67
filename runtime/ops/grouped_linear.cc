// grouped_linear: the catalogue entry; see qiao/ops.h.
#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kX, kXScale, kEnds, kW, kY };

std::vector<ArgSpec> Args(const qiao_grouped_linear_params&) {
  return {{.name = "x", .strided = true},
          {.name = "x_scale", .optional = true},
          {.name = "ends"},
          {.name = "W", .weight = true},
          {.name = "y", .kind = ArgSpec::kOut, .strided = true}};
}

void Check(const qiao_grouped_linear_params&, Rules& r) {
  r.Arg(kX, {DType::kF32, DType::kBF16, DType::kF8E4M3, DType::kI8}, {"R", "K"});
  r.Arg(kEnds, {DType::kI64}, {"E"});
  r.Weight(kW, {"E", "N", "K"});
  CheckQuantisedRows(r, kX, kXScale, kW, /*transposed=*/false);
  r.Require(r["E"] >= 1, "there must be at least one expert");
  const DType inferred = r.out() == DType::kInvalid ? r.type(kX) : r.out();
  if (r.type(kX) == DType::kF32) {
    r.Output(kY, DType::kF32, {"R", "N"}, QIAO_LIVE_ROUTED, {DType::kF32});
  } else {
    r.Output(kY, inferred, {"R", "N"}, QIAO_LIVE_ROUTED, {DType::kF32, DType::kBF16});
  }
}

// Only the experts that have rows are read.
Cost CostOf(const qiao_op_call& call, const LiveCounts& live) {
  const qiao_tensor& w = call.argument[kW];
  Cost cost = StreamingCost(call, live, kY, 2 * static_cast<double>(w.dim[2]));
  if (live.experts_touched >= 0 && w.dim[0] > 0) {
    const double all = BytesOf(w, live);
    cost.bytes -= all * (1 - static_cast<double>(live.experts_touched) / static_cast<double>(w.dim[0]));
  }
  return cost;
}

Case Make(uint64_t seed, DType act, const std::vector<int64_t>& ends, int64_t bucket, int64_t n, int64_t k,
          const WeightForm& form, int32_t x_block = 0, bool i8 = false) {
  const auto experts = static_cast<int64_t>(ends.size());
  const std::string rows =
      x_block || i8 ? absl::StrFormat("%s x to %s", i8 ? "i8" : "f8", Name(act)) : std::string(Name(act));
  CaseBuilder b(GroupedLinearSpec(),
                absl::StrFormat("R=%d/%d,E=%d,N=%d,K=%d,%s,%s", ends.back(), bucket, experts, n, k, rows,
                                FormName(form)),
                Params(qiao_grouped_linear_params{}), seed);
  if (x_block) {
    b.QuantisedRows({bucket, k}, x_block, QIAO_LIVE_ROUTED);
  } else if (i8) {
    b.IntegerRows({bucket, k}, QIAO_LIVE_ROUTED);
  } else {
    b.Act(act, {bucket, k}, QIAO_LIVE_ROUTED).Absent();
  }
  return b.Longs(ends).Weight(experts, n, k, form).Output().Finish(act);
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  const WeightForm bf16{.dtype = DType::kBF16};
  const WeightForm f8{.dtype = DType::kF8E4M3, .block = {128, 128}};
  const WeightForm i8{.dtype = DType::kI8, .split = {16, 18}, .channel = true};
  std::vector<Case> cases;
  if (large) {
    for (int64_t per_expert : {1, 8, 48}) {
      std::vector<int64_t> ends;
      for (int64_t e = 1; e <= 64; ++e) ends.push_back(e * per_expert);
      for (const WeightForm& form : {bf16, f8}) {
        cases.push_back(Make(seed, DType::kBF16, ends, ends.back(), 2816, 2048, form));
      }
      const WeightForm whole{.dtype = DType::kI8, .channel = true};
      cases.push_back(Make(seed, DType::kBF16, ends, ends.back(), 2816, 2048, whole, 0, true));
    }
    return cases;
  }
  for (DType act : {DType::kF32, DType::kBF16}) {
    for (const WeightForm& form :
         {bf16, f8, WeightForm{.dtype = DType::kF32},
          WeightForm{.dtype = DType::kF8E4M3, .block = {128, 128}, .split = {16, 18}},
          WeightForm{.dtype = DType::kBF16, .split = {16, 18}, .padding = 2}}) {
      // Experts without rows first, in the middle and last; dead rows after.
      cases.push_back(Make(seed, act, {0, 3, 3, 15, 16, 16}, 20, 34, 136, form));
      cases.push_back(Make(seed, act, {0, 0, 1}, 1, 34, 300, form));
      cases.push_back(Make(seed, act, {0, 0, 0}, 4, 34, 64, form));
    }
    cases.push_back(Make(seed, act, {70, 75}, 80, 64, 256, f8));
    cases.push_back(Make(seed, act, {2, 2, 9}, 12, 34, 300, f8, 128));
    for (const std::vector<int64_t>& ends :
         {std::vector<int64_t>{0, 3, 3, 15, 16, 16}, {0, 0, 0, 0}, {1, 40, 41}, {17, 33}}) {
      cases.push_back(Make(seed, act, ends, 44, 34, 300, i8, 0, true));
    }
  }
  return cases;
}

}  // namespace

const OpSpec& GroupedLinearSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(
        MakeSpec<qiao_grouped_linear_params>(QIAO_OP_GROUPED_LINEAR, "grouped_linear", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::GroupedLinear;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
