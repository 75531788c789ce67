// linear: the catalogue entry; see qiao/ops.h.
#include <utility>

#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kX, kXScale, kW, kBias, kResidual, kY };

std::vector<ArgSpec> Args(const qiao_linear_params&) {
  return {{.name = "x", .strided = true},
          {.name = "x_scale", .optional = true},
          {.name = "W", .weight = true},
          {.name = "bias", .optional = true},
          {.name = "residual", .optional = true, .strided = true},
          {.name = "y", .kind = ArgSpec::kOut, .strided = true}};
}

void Check(const qiao_linear_params& p, Rules& r) {
  // Rank 2 is short for B = 1.
  const bool flat = r.tensor(kX).rank == 2;
  r.Arg(kX, {DType::kF32, DType::kBF16, DType::kF8E4M3, DType::kI8},
        flat ? Dims{"T", "K"} : Dims{"T", "B", "K"});
  if (flat) r.Let("B", 1);
  if (p.w_transposed) {
    r.Weight(kW, {"B", "K", "N"});
  } else {
    r.Weight(kW, {"B", "N", "K"});
  }
  CheckQuantisedRows(r, kX, kXScale, kW, p.w_transposed != 0);
  r.Arg(kBias, {DType::kF32}, {r["B"] * r["N"]});
  const Dims out = flat ? Dims{"T", "N"} : Dims{"T", "B", "N"};
  const DType inferred = r.out() == DType::kInvalid ? r.type(kX) : r.out();
  if (r.type(kX) == DType::kF32) {
    r.Output(kY, DType::kF32, out, r.live(kX), {DType::kF32});
  } else {
    r.Output(kY, inferred, out, r.live(kX), {DType::kF32, DType::kBF16});
  }
  r.Arg(kResidual, {r.type(kY)}, out);
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) {
  return StreamingCost(call, live, kY,
                       2 * static_cast<double>(call.argument[kX].dim[call.argument[kX].rank - 1]));
}

struct Shape {
  int32_t rows;
  int64_t bucket, heads, n, k;
};

struct Extras {
  bool bias = false, residual = false, flat = false, wide_output = false;
  int32_t x_block = 0;  // columns that share a scale of E4M3 rows
  bool i8 = false;      // INT8 rows
};

Case Make(uint64_t seed, DType act, const Shape& s, const WeightForm& form, bool transposed,
          const Extras& e) {
  qiao_linear_params p{};
  p.w_transposed = transposed;
  const DType out = e.wide_output ? DType::kF32 : act;
  std::string name =
      absl::StrFormat("T=%d/%d,B=%d,N=%d,K=%d,%s,%s", s.rows, s.bucket, s.heads, s.n, s.k,
                      e.x_block || e.i8 ? absl::StrFormat("%s x to %s", e.i8 ? "i8" : "f8", Name(out))
                                        : std::string(Name(act)),
                      FormName(form));
  for (const auto& [on, text] : {std::pair(transposed, ",transposed"), std::pair(e.bias, ",bias"),
                                 std::pair(e.residual, ",residual"), std::pair(out != act, ",f32 out")}) {
    if (on) name += text;
  }
  CaseBuilder b(LinearSpec(), name, Params(p), seed);
  std::vector<int64_t> x = {s.bucket, s.heads, s.k}, y = {s.bucket, s.heads, s.n};
  if (e.flat) x = {s.bucket, s.k}, y = {s.bucket, s.n};
  b.Live(s.rows);
  if (e.x_block) {
    b.QuantisedRows(x, e.x_block);
  } else if (e.i8) {
    b.IntegerRows(x);
  } else {
    b.Act(act, x).Absent();
  }
  b.Weight(s.heads, transposed ? s.k : s.n, transposed ? s.n : s.k, form);
  e.bias ? b.Act(DType::kF32, {s.heads * s.n}, QIAO_LIVE_ALL) : b.Absent();
  e.residual ? b.Act(out, y) : b.Absent();
  return b.Output().Finish(out);
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  const WeightForm bf16{.dtype = DType::kBF16}, f32{.dtype = DType::kF32};
  const WeightForm f8{.dtype = DType::kF8E4M3, .block = {128, 128}};
  const WeightForm i8{.dtype = DType::kI8, .channel = true};
  const Extras flat{.flat = true}, i8_rows{.flat = true, .i8 = true};
  std::vector<Case> cases;
  if (large) {
    for (int32_t rows : {1, 8, 64, 512}) {
      for (const WeightForm& form : {bf16, f8}) {
        cases.push_back(Make(seed, DType::kBF16, {rows, rows, 1, 2048, 2048}, form, false, flat));
        cases.push_back(Make(seed, DType::kBF16, {rows, rows, 16, 512, 128}, form, true, {}));
      }
      cases.push_back(Make(seed, DType::kBF16, {rows, rows, 1, 2048, 2048}, i8, false, i8_rows));
    }
    return cases;
  }
  for (DType act : {DType::kF32, DType::kBF16}) {
    // Every stored form; odd sizes.
    for (const WeightForm& form :
         {bf16, f32, f8, WeightForm{.dtype = DType::kF16}, WeightForm{.dtype = DType::kF8E4M3},
          WeightForm{.dtype = DType::kF8E5M2, .block = {64, 32}},
          WeightForm{.dtype = DType::kBF16, .padding = 5},
          // gate above up, each beginning inside a scale block of its file
          WeightForm{.dtype = DType::kF8E4M3, .block = {128, 128}, .split = {16, 17}, .row0 = 120}}) {
      cases.push_back(Make(seed, act, {5, 7, 1, 33, 129}, form, false, flat));
    }
    // One row, none, more than a tile of them, scale blocks that end short.
    cases.push_back(Make(seed, act, {1, 1, 1, 130, 300}, f8, false, flat));
    cases.push_back(Make(seed, act, {1, 1, 1, 130, 300}, bf16, false, flat));
    cases.push_back(Make(seed, act, {0, 4, 1, 33, 64}, bf16, false, flat));
    cases.push_back(Make(seed, act, {61, 67, 1, 144, 384}, f8, false, flat));
    cases.push_back(Make(seed, act, {61, 67, 1, 144, 384}, bf16, false, flat));
    cases.push_back(Make(seed, act, {130, 130, 1, 64, 1024}, f8, false, flat));
    // Epilogues.
    for (const WeightForm& form : {bf16, f8}) {
      cases.push_back(Make(seed, act, {5, 6, 1, 40, 136}, form, false, {.bias = true}));
      cases.push_back(Make(seed, act, {5, 6, 1, 40, 136}, form, false, {.residual = true}));
      cases.push_back(
          Make(seed, act, {5, 6, 1, 40, 136}, form, false, {.bias = true, .residual = true, .flat = true}));
    }
    // Heads of kv_b, [nope | v] rows each, whose scale blocks span heads: W_UK transposed, W_UV as it lies.
    for (WeightForm form : {bf16, f8}) {
      form.group_stride = 56;
      cases.push_back(Make(seed, act, {5, 6, 5, 160, 24}, form, true, {}));
      form.row0 = 24;
      cases.push_back(Make(seed, act, {5, 6, 5, 32, 160}, form, false, {}));
      cases.push_back(Make(seed, act, {1, 1, 5, 32, 160}, form, false, {}));
    }
  }
  cases.push_back(
      Make(seed, DType::kBF16, {5, 6, 1, 40, 136}, bf16, false, {.flat = true, .wide_output = true}));
  cases.push_back(
      Make(seed, DType::kBF16, {5, 6, 1, 40, 136}, f32, false, {.flat = true, .wide_output = true}));
  for (DType out : {DType::kF32, DType::kBF16}) {
    cases.push_back(Make(seed, out, {5, 7, 1, 144, 300}, f8, false, {.flat = true, .x_block = 128}));
    cases.push_back(Make(seed, out, {1, 1, 1, 144, 256}, f8, false, {.flat = true, .x_block = 128}));
    // Few rows, a tile of them, more than one; K and N that end short; weights in pieces, with gaps between
    // rows.
    for (const Shape& s :
         {Shape{1, 1, 1, 130, 300}, Shape{5, 7, 1, 33, 129}, Shape{0, 4, 1, 33, 64}, Shape{17, 17, 1, 50, 7},
          Shape{61, 67, 1, 144, 384}, Shape{130, 130, 1, 64, 1026}, Shape{5, 6, 3, 40, 70}}) {
      cases.push_back(Make(seed, out, s, i8, false, {.flat = s.heads == 1, .i8 = true}));
    }
    for (WeightForm form : {WeightForm{.dtype = DType::kI8, .padding = 5},
                            WeightForm{.dtype = DType::kI8, .split = {16, 17}, .row0 = 120}}) {
      form.channel = true;
      cases.push_back(Make(seed, out, {9, 9, 1, 33, 129}, form, false, i8_rows));
    }
    cases.push_back(Make(seed, out, {5, 6, 1, 40, 136}, i8, false,
                         {.bias = true, .residual = true, .flat = true, .i8 = true}));
    // INT8 weights that meet rows as they are: those of kv_b, absorbed, whose scales are per row of the file.
    WeightForm heads = i8;
    heads.group_stride = 56;
    cases.push_back(Make(seed, out, {5, 6, 5, 160, 24}, heads, true, {}));
    heads.row0 = 24;
    cases.push_back(Make(seed, out, {5, 6, 5, 32, 160}, heads, false, {}));
  }
  return cases;
}

}  // namespace

const OpSpec& LinearSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_linear_params>(QIAO_OP_LINEAR, "linear", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::Linear;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
