// latent_attention: the catalogue entry; see qiao/ops.h.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "runtime/base/checked.h"
#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kQLatent, kQRope, kLatentPool, kRopePool, kQStart, kKvLen, kTable, kSchedule, kScaleOrO };

std::vector<ArgSpec> Args(const qiao_latent_attention_params& p) {
  std::vector<ArgSpec> args = {{.name = "q_latent", .strided = true},
                               {.name = "q_rope", .strided = true},
                               {.name = "latent_pool", .strided = true},
                               {.name = "rope_pool", .strided = true},
                               {.name = "q_start"},
                               {.name = "kv_len"},
                               {.name = "table"},
                               {.name = "schedule", .optional = true, .opaque = true}};
  if (p.scaled) args.push_back({.name = "latent_scale", .strided = true});
  args.push_back({.name = "o", .kind = ArgSpec::kOut, .strided = true});
  return args;
}

void Check(const qiao_latent_attention_params& p, Rules& r) {
  r.Act(kQLatent, {"T", "h", "L"});
  r.Act(kQRope, {"T", "h", "R"});
  CheckPool(r, kLatentPool, p.scaled ? kScaleOrO : -1, "L");
  CheckPool(r, kRopePool, -1, "R");
  r.Require(p.scaled == 0 || p.scaled == 1, "scaled must be 0 or 1");
  r.Require(r["page_tokens"] >= 1, "a page must hold at least one token");
  r.Arg(kKvLen, {DType::kI32}, {"S"});
  r.Arg(kQStart, {DType::kI32}, {r["S"] + 1});
  r.Arg(kTable, {DType::kI32}, {"S", "P"});
  r.Arg(kSchedule, {DType::kU8}, {"bytes"});
  r.Output(kScaleOrO + p.scaled, r.act(), {"T", "h", "L"}, r.live(kQLatent));
  r.Require(p.scale > 0, "scale must be positive");
}

// The cache is read once for each sequence; each row meets its own context.
Cost CostOf(const qiao_op_call& call, const LiveCounts& live) {
  const qiao_tensor& q = call.argument[kQLatent];
  const double heads = static_cast<double>(q.dim[1]), latent = static_cast<double>(q.dim[2]);
  const double rope = static_cast<double>(call.argument[kQRope].dim[2]);
  Cost cost;
  cost.flops = 2 * heads * (2 * latent + rope) * static_cast<double>(live.context);
  cost.bytes = static_cast<double>(live.cached) *
               (PoolRowBytes(call.argument[kLatentPool]) + PoolRowBytes(call.argument[kRopePool]));
  const int o = kScaleOrO + static_cast<const qiao_latent_attention_params*>(call.params)->scaled;
  for (int i : {int{kQLatent}, int{kQRope}, o}) cost.bytes += BytesOf(call.argument[i], live);
  return cost;
}

using Sequences = std::vector<std::pair<int32_t, int32_t>>;  // new rows, length with them

// A `pool` of f8_e4m3 has scales for each 128 channels, and a rope pool in bf16.
Case Make(uint64_t seed, std::string_view what, DType act, DType pool, const Sequences& sequences,
          int64_t row_bucket, int32_t seq_bucket, int64_t heads, int64_t latent, int64_t rope,
          int64_t page_tokens, double sigma = 1) {
  const bool scaled = pool == DType::kF8E4M3;
  constexpr int32_t kBlock = 128;
  qiao_latent_attention_params p{};
  p.scaled = scaled;
  p.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(latent + rope)));
  CaseBuilder b(LatentAttentionSpec(),
                absl::StrFormat("%s,T/%d,S/%d,h=%d,L=%d,R=%d,page=%d,%s,%s cache", what, row_bucket,
                                seq_bucket, heads, latent, rope, page_tokens, Name(act), Name(pool)),
                Params(p), seed);
  b.Ragged(sequences);

  // Pages are dealt out in random order; rows past a sequence's end, and pages of nobody, hold NaN.
  int64_t table_width = 1, pages = 1;
  for (const auto& [rows, length] : sequences) {
    table_width = std::max(table_width, CeilDiv<int64_t>(length, page_tokens) + 1);
    pages += CeilDiv<int64_t>(length, page_tokens);
  }
  std::vector<int32_t> order(static_cast<size_t>(pages));
  for (size_t i = 0; i < order.size(); ++i) {
    const auto j = static_cast<size_t>(b.random().Below(static_cast<int64_t>(i) + 1));
    order[i] = order[j];
    order[j] = static_cast<int32_t>(i);
  }
  std::vector<int32_t> table(static_cast<size_t>(seq_bucket * table_width), 0);
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> latents(static_cast<size_t>(pages * page_tokens * latent), kNaN);
  std::vector<float> ropes(static_cast<size_t>(pages * page_tokens * rope), kNaN);
  const int64_t blocks = CeilDiv<int64_t>(latent, kBlock);
  std::vector<float> scales(static_cast<size_t>(pages * page_tokens * blocks), kNaN);
  size_t next = 0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    for (int64_t j = 0; j < sequences[s].second; ++j) {
      int32_t& page = table[s * static_cast<size_t>(table_width) + static_cast<size_t>(j / page_tokens)];
      if (j % page_tokens == 0) page = order[next++];
      const int64_t row = page * page_tokens + j % page_tokens;
      for (int64_t c = 0; c < latent; ++c) {
        double value = b.random().Normal();
        if (scaled) {  // the whole range of E4M3: subnormals and zeros too
          value *= 100;
          if ((row + c) % 13 == 0) value *= std::exp2(-10 - static_cast<double>(c % 7));
        }
        latents[static_cast<size_t>(row * latent + c)] = static_cast<float>(value);
      }
      for (int64_t c = 0; c < blocks; ++c)
        scales[static_cast<size_t>(row * blocks + c)] = static_cast<float>(0.02 * b.random().Uniform());
      for (int64_t c = 0; c < rope; ++c)
        ropes[static_cast<size_t>(row * rope + c)] = static_cast<float>(b.random().Normal());
    }
  }
  b.Act(act, {row_bucket, heads, latent}, QIAO_LIVE_ROWS, sigma)
      .Act(act, {row_bucket, heads, rope}, QIAO_LIVE_ROWS, sigma);
  b.Values(pool, {pages, page_tokens, latent}, latents);
  if (scaled) SetRowBlocks(b.last().tensor, kBlock);
  b.Values(scaled ? DType::kBF16 : pool, {pages, page_tokens, rope}, ropes);
  b.QStart(seq_bucket).KvLen(seq_bucket).Ints({seq_bucket, table_width}, table, QIAO_LIVE_SEQS);
  b.Absent();
  if (scaled) b.Values(DType::kF32, {pages, page_tokens, blocks}, scales);
  return b.Output().Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  constexpr DType kF32 = DType::kF32, kBF16 = DType::kBF16, kF8 = DType::kF8E4M3;
  std::vector<Case> cases;
  if (large) {
    cases.push_back(Make(seed, "decode", kBF16, kF8, Sequences(8, {1, 1024}), 8, 8, 16, 512, 64, 64));
    cases.push_back(Make(seed, "decode", kBF16, kBF16, Sequences(8, {1, 1024}), 8, 8, 16, 512, 64, 64));
    cases.push_back(Make(seed, "prefill", kBF16, kBF16, {{256, 256}}, 256, 1, 16, 512, 64, 64));
    return cases;
  }
  const Sequences mixed = {{1, 130}, {5, 5}, {1, 1}, {7, 70}, {2, 33}};
  for (DType act : {kF32, kBF16}) {
    cases.push_back(Make(seed, "mixed", act, act, mixed, 20, 7, 3, 40, 8, 16));
    cases.push_back(Make(seed, "mixed", act, act, mixed, 16, 5, 16, 128, 16, 64));
    cases.push_back(Make(seed, "decode", act, act, {{1, 300}}, 1, 1, 4, 512, 64, 64));
    cases.push_back(Make(seed, "prefill", act, act, {{67, 67}}, 67, 1, 5, 64, 16, 32));
    cases.push_back(Make(seed, "none", act, act, {}, 4, 2, 2, 32, 8, 16));
    cases.push_back(Make(seed, "peaked", act, act, {{3, 200}}, 4, 1, 4, 64, 16, 16, 20));
    cases.push_back(Make(seed, "odd pages", act, act, {{1, 50}, {1, 21}}, 2, 2, 2, 33, 6, 7));
    cases.push_back(Make(seed, "mixed", act, kF8, mixed, 20, 7, 3, 200, 8, 16));  // a short last block
    cases.push_back(Make(seed, "mixed", act, kF8, mixed, 16, 5, 16, 512, 64, 64));
    cases.push_back(Make(seed, "decode", act, kF8, {{1, 300}}, 1, 1, 4, 512, 64, 64));
    cases.push_back(Make(seed, "prefill", act, kF8, {{67, 67}}, 67, 1, 5, 128, 16, 32));
    cases.push_back(Make(seed, "none", act, kF8, {}, 4, 2, 2, 32, 8, 16));
    cases.push_back(Make(seed, "peaked", act, kF8, {{3, 200}}, 4, 1, 4, 160, 16, 16, 20));
    cases.push_back(Make(seed, "odd pages", act, kF8, {{1, 50}, {1, 21}}, 2, 2, 2, 33, 6, 7));
  }
  cases.push_back(Make(seed, "mixed", kF32, kBF16, mixed, 20, 7, 3, 40, 8, 16));
  return cases;
}

}  // namespace

const OpSpec& LatentAttentionSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(
        MakeSpec<qiao_latent_attention_params>(QIAO_OP_LATENT_ATTENTION, "latent_attention", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::LatentAttention;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
