// mla_prolog: the catalogue entry; see qiao/ops.h.
#include <cmath>

#include "runtime/base/checked.h"
#include "runtime/ops/case_builder.h"
#include "runtime/ops/coarse.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum {
  kX,
  kCos,
  kSin,
  kSlot,
  kQA,
  kGQ,
  kQ,
  kKvA,
  kGKv,
  kUk,
  kQLatent,
  kQRope,
  kLatentPool,
  kRopePool,
  kLatentScale
};

std::vector<ArgSpec> Args(const qiao_mla_prolog_params& p) {
  std::vector<ArgSpec> args = {{.name = "x", .strided = true},
                               {.name = "cos"},
                               {.name = "sin"},
                               {.name = "slot"},
                               {.name = "W_q_a", .optional = true, .weight = true},
                               {.name = "g_q", .optional = true},
                               {.name = "W_q", .weight = true},
                               {.name = "W_kv_a", .weight = true},
                               {.name = "g_kv"},
                               {.name = "W_uk", .weight = true},
                               {.name = "q_latent", .kind = ArgSpec::kOut},
                               {.name = "q_rope", .kind = ArgSpec::kOut},
                               {.name = "latent_pool", .kind = ArgSpec::kInOut, .strided = true},
                               {.name = "rope_pool", .kind = ArgSpec::kInOut, .strided = true}};
  if (p.scaled) args.push_back({.name = "latent_scale", .kind = ArgSpec::kInOut, .strided = true});
  return args;
}

void Check(const qiao_mla_prolog_params& p, Rules& r) {
  r.Require(p.heads >= 1 && p.nope >= 1, "heads and nope must be at least 1");
  r.Require(p.rope_style == QIAO_ROPE_INTERLEAVED || p.rope_style == QIAO_ROPE_HALF,
            "rope_style must be interleaved or half");
  r.Require(p.eps >= 0, "eps must not be negative");
  r.Require(r.has(kQA) == r.has(kGQ), "W_q_a and g_q come together");
  r.Act(kX, {"T", "H"});
  r.Arg(kCos, {DType::kF32}, {"T", "R/2"});
  r.Arg(kSin, {DType::kF32}, {"T", "R/2"});
  r.Arg(kSlot, {DType::kI32}, {"T"});
  r.Weight(kQA, {1, "Q", "H"});
  r.Arg(kGQ, {DType::kF32}, {"Q"});
  const int64_t rope = 2 * r["R/2"];
  r.Let("R", rope);
  r.Weight(kQ, {1, p.heads * (p.nope + rope), r.has(kQA) ? Dim("Q") : Dim("H")});
  r.Weight(kUk, {p.heads, p.nope, "L"});
  r.Weight(kKvA, {1, r["L"] + rope, "H"});
  r.Arg(kGKv, {DType::kF32}, {"L"});
  r.Output(kQLatent, r.act(), {"T", p.heads, "L"}, r.live(kX));
  r.Output(kQRope, r.act(), {"T", p.heads, "R"}, r.live(kX));
  r.Require(p.scaled == 0 || p.scaled == 1, "scaled must be 0 or 1");
  CheckPool(r, kLatentPool, p.scaled ? kLatentScale : -1, "L");
  CheckPool(r, kRopePool, -1, "R");
}

// Weights and activations once; of the pools, the rows that are written.
Cost CostOf(const qiao_op_call& call, const LiveCounts& live) {
  const auto& a = call.argument;
  const double rows = LiveOf(a[kX], live);
  Cost cost;
  for (int i = kX; i <= kQRope; ++i) cost.bytes += BytesOf(a[i], live);
  cost.bytes += rows * (PoolRowBytes(a[kLatentPool]) + PoolRowBytes(a[kRopePool]));
  for (int i : {kQA, kQ, kKvA, kUk}) {
    if (a[i].dtype == QIAO_DTYPE_NONE) continue;
    cost.flops += 2 * rows * static_cast<double>(a[i].dim[0] * a[i].dim[1] * a[i].dim[2]);
  }
  return cost;
}

absl::Status Decompose(const Node& node, Graph& graph) {
  const auto& a = node.args;
  const std::string& name = node.name;
  const auto& p = node.params.as<qiao_mla_prolog_params>();
  const int64_t rows = graph.value(a[kX]).tensor.dim[0];
  const int64_t latent_width = graph.value(a[kUk]).tensor.dim[2];
  const int64_t rope_width = graph.value(a[kQRope]).tensor.dim[2];
  const int64_t head_width = p.nope + rope_width, q_width = p.heads * head_width;
  const int64_t kv_width = latent_width + rope_width;
  const Params linear(qiao_linear_params{});
  qiao_rmsnorm_params norm{};
  norm.eps = p.eps;
  qiao_rope_params rope{};
  rope.style = p.rope_style;
  rope.width = static_cast<int32_t>(rope_width);
  const auto product = [&](std::string_view suffix, ValueId x, ValueId w) {
    return graph.Emit(absl::StrFormat("%s.%s", name, suffix), QIAO_OP_LINEAR, linear,
                      {x, kNoValue, w, kNoValue, kNoValue});
  };

  // Queries, directly or through a low rank; each head is [nope | rope].
  ValueId q_input = a[kX];
  if (a[kQA] != kNoValue) {
    QIAO_ASSIGN_OR_RETURN(auto q_a, product("q_a", a[kX], a[kQA]));
    QIAO_ASSIGN_OR_RETURN(auto normed,
                          graph.Emit(name + ".q_norm", QIAO_OP_RMSNORM, Params(norm), {q_a[0], a[kGQ]}));
    q_input = normed[0];
  }
  QIAO_ASSIGN_OR_RETURN(auto q, product("q", q_input, a[kQ]));
  QIAO_ASSIGN_OR_RETURN(
      const ValueId q_nope,
      graph.AddView(name + ".q.nope", q[0], 0, {rows, p.heads, p.nope}, {q_width, head_width, 1}));
  QIAO_ASSIGN_OR_RETURN(
      const ValueId q_rope,
      graph.AddView(name + ".q.rope", q[0], p.nope, {rows, p.heads, rope_width}, {q_width, head_width, 1}));

  // The new tokens' [latent | rope key].
  QIAO_ASSIGN_OR_RETURN(auto kv, product("kv_a", a[kX], a[kKvA]));
  QIAO_ASSIGN_OR_RETURN(const ValueId kv_latent,
                        graph.AddView(name + ".kv_a.latent", kv[0], 0, {rows, latent_width}, {kv_width, 1}));
  QIAO_ASSIGN_OR_RETURN(const ValueId kv_rope,
                        graph.AddView(name + ".kv_a.rope", kv[0], latent_width, {rows, 1, rope_width},
                                      {kv_width, rope_width, 1}));
  QIAO_ASSIGN_OR_RETURN(auto latent,
                        graph.Emit(name + ".kv_norm", QIAO_OP_RMSNORM, Params(norm), {kv_latent, a[kGKv]}));

  Append(graph, name + ".q_rope", QIAO_OP_ROPE, Params(rope), {q_rope, a[kCos], a[kSin], a[kQRope]});
  QIAO_ASSIGN_OR_RETURN(
      auto key, graph.Emit(name + ".k_rope", QIAO_OP_ROPE, Params(rope), {kv_rope, a[kCos], a[kSin]}));
  QIAO_ASSIGN_OR_RETURN(const ValueId key_rows,
                        graph.AddView(name + ".k_rope.rows", key[0], 0, {rows, rope_width}, {rope_width, 1}));
  qiao_kv_write_params write{};
  write.kinds = 2;
  write.scaled = p.scaled ? 1 : 0;
  std::vector<ValueId> written = {latent[0], key_rows, a[kSlot], a[kLatentPool], a[kRopePool]};
  if (p.scaled) written.push_back(a[kLatentScale]);
  Append(graph, name + ".kv_write", QIAO_OP_KV_WRITE, Params(write), written);

  // The absorbed W_UK takes each head's nope part into the latent space.
  qiao_linear_params transposed{};
  transposed.w_transposed = 1;
  Append(graph, name + ".absorb", QIAO_OP_LINEAR, Params(transposed),
         {q_nope, kNoValue, a[kUk], kNoValue, kNoValue, a[kQLatent]});
  return absl::OkStatus();
}

struct Shape {
  int32_t live;
  int64_t bucket, hidden, low_rank, heads, nope, value, rope, latent;  // low_rank 0: queries directly
};

// With `block` the latent pool is E4M3, so many channels of a row sharing a scale.
Case Make(uint64_t seed, DType act, const Shape& s, const WeightForm& form, int32_t style,
          int32_t block = 0) {
  qiao_mla_prolog_params p{};
  p.scaled = block > 0;
  p.heads = static_cast<int32_t>(s.heads);
  p.nope = static_cast<int32_t>(s.nope);
  p.rope_style = style;
  p.eps = 1e-6f;
  CaseBuilder b(
      MlaPrologSpec(),
      absl::StrFormat("T=%d/%d,H=%d,Q=%d,h=%d,nope=%d,R=%d,L=%d,%s,%s,%s%s", s.live, s.bucket, s.hidden,
                      s.low_rank, s.heads, s.nope, s.rope, s.latent, Name(act), FormName(form),
                      style == QIAO_ROPE_HALF ? "half" : "interleaved", block ? ",f8 latent" : ""),
      Params(p), seed);
  std::vector<float> cosine, sine;
  for (int64_t i = 0; i < s.bucket * (s.rope / 2); ++i) {
    const double angle = 100 * b.random().Uniform();
    cosine.push_back(static_cast<float>(std::cos(angle)));
    sine.push_back(static_cast<float>(std::sin(angle)));
  }
  // Rows go to every other slot; the second is skipped.
  const int64_t page_tokens = 4, pages = s.bucket / 2 + 1;
  std::vector<int32_t> slot;
  for (int64_t t = 0; t < s.bucket; ++t) slot.push_back(t == 1 ? -1 : static_cast<int32_t>(2 * t));
  b.Live(s.live).Act(act, {s.bucket, s.hidden});
  b.Values(DType::kF32, {s.bucket, s.rope / 2}, cosine, QIAO_LIVE_ROWS);
  b.Values(DType::kF32, {s.bucket, s.rope / 2}, sine, QIAO_LIVE_ROWS);
  b.Ints({s.bucket}, slot, QIAO_LIVE_ROWS);
  if (s.low_rank) {
    b.Weight(1, s.low_rank, s.hidden, form).Gains(s.low_rank);
  } else {
    b.Absent().Absent();
  }
  b.Weight(1, s.heads * (s.nope + s.rope), s.low_rank ? s.low_rank : s.hidden, form);
  b.Weight(1, s.latent + s.rope, s.hidden, form).Gains(s.latent);
  WeightForm heads = form;
  heads.group_stride = s.nope + s.value;
  b.Weight(s.heads, s.nope, s.latent, heads).Output().Output();
  if (block) {
    b.Pool({pages, page_tokens, s.latent}, block);
  } else {
    b.Act(act, {pages, page_tokens, s.latent}, QIAO_LIVE_ALL);
  }
  b.Act(act, {pages, page_tokens, s.rope}, QIAO_LIVE_ALL);
  if (block) b.Act(DType::kF32, {pages, page_tokens, CeilDiv<int64_t>(s.latent, block)}, QIAO_LIVE_ALL);
  return b.Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  for (const WeightForm& form :
       {WeightForm{.dtype = DType::kBF16}, WeightForm{.dtype = DType::kF8E4M3, .block = {128, 128}}}) {
    if (large) {
      for (int32_t rows : {1, 64}) {
        cases.push_back(Make(seed, DType::kBF16, {rows, rows, 2048, 0, 16, 128, 128, 64, 512}, form,
                             QIAO_ROPE_INTERLEAVED));
      }
      continue;
    }
    for (DType act : {DType::kF32, DType::kBF16}) {
      cases.push_back(Make(seed, act, {5, 7, 136, 72, 3, 24, 32, 16, 160}, form, QIAO_ROPE_INTERLEAVED));
      cases.push_back(Make(seed, act, {5, 7, 136, 0, 3, 24, 32, 16, 40}, form, QIAO_ROPE_HALF));
      cases.push_back(Make(seed, act, {1, 1, 64, 32, 2, 16, 16, 8, 32}, form, QIAO_ROPE_INTERLEAVED));
      cases.push_back(Make(seed, act, {0, 2, 64, 0, 2, 16, 16, 8, 32}, form, QIAO_ROPE_INTERLEAVED));
      cases.push_back(Make(seed, act, {5, 7, 136, 0, 3, 24, 32, 16, 160}, form, QIAO_ROPE_HALF, 128));
    }
  }
  return cases;
}

}  // namespace

const OpSpec& MlaPrologSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_mla_prolog_params>(QIAO_OP_MLA_PROLOG, "mla_prolog", Args, Check));
    s->cost = CostOf;
    MakeCoarse(s, Decompose);
    s->cases = Cases;
    s->tolerance = tolerance::MlaProlog;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
