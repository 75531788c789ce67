// latent_attention: absorbed multi-head latent attention over the paged cache.
//
// All heads share a token's latent row, and the latent is the value too, so a row that was loaded serves
// several queries at once: up to kQueries (row, head) pairs of one sequence form an item of work.
//
// The order of sums. A query's context is cut at absolute positions into tiles of kTile tokens. A tile alone
// gives its largest score, the sum of exponentials and the weighted sum of latents, each relative to the
// tile's own largest; tiles are merged in rising order. Within a tile a score is one accumulator over the
// channels, an output channel one accumulator over the tokens. None of it depends on which other queries
// share the item, nor on how many: a query that does not see a token yet has weight 0 for it. And because
// tiles are independent until they are merged, a later kernel may spread them over threads and keep every
// bit.
#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/latent_attention.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/elements.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/simd-inl.h"

#ifndef QIAO_KERNELS_CPU_LATENT_ATTENTION_CC_ONCE_
#define QIAO_KERNELS_CPU_LATENT_ATTENTION_CC_ONCE_
namespace qiao::kernels::cpu {
namespace attention {

enum { kQLatent, kQRope, kLatentPool, kRopePool, kQStart, kKvLen, kTable, kSchedule, kO };

inline constexpr int64_t kTile = 64;    // tokens; a whole number of vectors on every target
inline constexpr int64_t kQueries = 8;  // the most (row, head) pairs of an item
inline constexpr int64_t kWidth = 32;  // channels are padded to a multiple of this: two of the widest vectors

// Floats of a worker's workspace: queries and output sums of an item, each [kQueries][padded width], and one
// tile's.
inline int64_t WorkerFloats(int64_t latent, int64_t rope) {
  return kQueries * (3 * RoundUp(latent, kWidth) + RoundUp(rope, kWidth));
}

}  // namespace attention
}  // namespace qiao::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

using namespace attention;

inline constexpr int64_t kMostQueries = HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON ? 8 : 4;

// score[q][j] += sum over c of query[q][c] * key[j][c] for two tokens at once.
template <int kQ, typename T>
HWY_INLINE void AddDots(const float* query, int64_t query_stride, const T* key0, const T* key1, int64_t width,
                        VF (&sum0)[kQ], VF (&sum1)[kQ]) {
  int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes) {
    const VF k0 = Load(key0 + c), k1 = Load(key1 + c);
    for (int q = 0; q < kQ; ++q) {
      const VF x = Load(query + q * query_stride + c);
      sum0[q] = hn::MulAdd(x, k0, sum0[q]);
      sum1[q] = hn::MulAdd(x, k1, sum1[q]);
    }
  }
  if (c < width) {
    const VF k0 = LoadN(key0 + c, width - c), k1 = LoadN(key1 + c, width - c);
    for (int q = 0; q < kQ; ++q) {
      const VF x = Load(query + q * query_stride + c);
      sum0[q] = hn::MulAdd(x, k0, sum0[q]);
      sum1[q] = hn::MulAdd(x, k1, sum1[q]);
    }
  }
}

// out[q][c ..] = sum over j of weight[q][j] * value[j][c ..], over a whole vector or the last part of one.
template <int kQ, bool kWhole, typename T>
HWY_INLINE void WeightedSum(const float* weight, const T* const* value, int64_t tokens, int64_t c, int64_t n,
                            float* out, int64_t out_stride) {
  const DF d;
  VF sum[kQ];
  for (int q = 0; q < kQ; ++q) sum[q] = hn::Zero(d);
  for (int64_t j = 0; j < tokens; ++j) {
    const VF v = kWhole ? Load(value[j] + c) : LoadN(value[j] + c, n);
    for (int q = 0; q < kQ; ++q) sum[q] = hn::MulAdd(hn::Set(d, weight[q * kTile + j]), v, sum[q]);
  }
  for (int q = 0; q < kQ; ++q) hn::StoreU(sum[q], d, out + q * out_stride + c);
}

// score becomes exp(score - largest) for the first `seen` tokens and 0 for the others; returns their sum.
HWY_INLINE float Exponentials(float* score, int64_t seen, float& largest) {
  const DF d;
  const VF lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (int64_t j = seen; j < kTile; ++j) score[j] = -std::numeric_limits<float>::infinity();
  VF most = lowest;
  for (int64_t j = 0; j < kTile; j += kLanes) most = hn::Max(most, Load(score + j));
  largest = Max(most);
  VF sum = hn::Zero(d);
  for (int64_t j = 0; j < kTile; j += kLanes) {
    const VF e = Exp(hn::Sub(Load(score + j), hn::Set(d, largest)));
    Store(e, score + j);
    sum = hn::Add(sum, e);
  }
  return Sum(sum);
}

HWY_INLINE float ExpOne(float x) { return hn::GetLane(Exp(hn::Set(DF(), x))); }

// One item: kQ queries; query q stands at position seen[q] - 1 of the sequence whose pages `table` lists.
template <int kQ, typename T>
void AttendItem(const KernelCall& call, const int32_t* table, const int64_t* row, const int64_t* seen,
                float* work) {
  const DF d;
  const qiao_tensor &lt = call.tensor[kLatentPool], &rt = call.tensor[kRopePool], &ot = call.tensor[kO];
  const int64_t latent = lt.dim[2], rope = rt.dim[2], page_tokens = lt.dim[1];
  const int64_t wide = RoundUp(latent, kWidth), wide_rope = RoundUp(rope, kWidth);
  float* q_latent = work;
  float* q_rope = q_latent + kQueries * wide;
  float* total = q_rope + kQueries * wide_rope;
  float* part = total + kQueries * wide;
  HWY_ALIGN float weight[kQ * kTile];
  const T *key[kTile], *key_rope[kTile];
  float largest[kQ], sum[kQ];
  int64_t context = 0;

  const float scale = call.as<qiao_latent_attention_params>().scale;
  for (int q = 0; q < kQ; ++q) {
    const T* from = call.data<const T>(kQLatent) + RowOffset(call.tensor[kQLatent], row[q]);
    for (int64_t c = 0; c < wide; c += kLanes)
      Store(LoadUpTo(from + std::min(c, latent), std::max<int64_t>(latent - c, 0)), q_latent + q * wide + c);
    from = call.data<const T>(kQRope) + RowOffset(call.tensor[kQRope], row[q]);
    for (int64_t c = 0; c < wide_rope; c += kLanes)
      Store(LoadUpTo(from + std::min(c, rope), std::max<int64_t>(rope - c, 0)), q_rope + q * wide_rope + c);
    std::fill_n(total + q * wide, wide, 0.0f);
    largest[q] = -std::numeric_limits<float>::infinity();
    sum[q] = 0;
    context = std::max(context, seen[q]);
  }

  for (int64_t first = 0; first < context; first += kTile) {
    const int64_t tokens = std::min(kTile, context - first);
    for (int64_t j = 0; j < tokens; ++j) {
      const int64_t at = first + j, page = table[at / page_tokens], in_page = at % page_tokens;
      key[j] = call.data<const T>(kLatentPool) + page * lt.stride[0] + in_page * lt.stride[1];
      key_rope[j] = call.data<const T>(kRopePool) + page * rt.stride[0] + in_page * rt.stride[1];
    }
    for (int64_t j = 0; j < tokens; j += 2) {
      const int64_t other = std::min(j + 1, tokens - 1);
      VF sum0[kQ], sum1[kQ];
      for (int q = 0; q < kQ; ++q) sum0[q] = sum1[q] = hn::Zero(d);
      AddDots<kQ>(q_latent, wide, key[j], key[other], latent, sum0, sum1);
      AddDots<kQ>(q_rope, wide_rope, key_rope[j], key_rope[other], rope, sum0, sum1);
      for (int q = 0; q < kQ; ++q) {
        weight[q * kTile + j] = Sum(sum0[q]) * scale;
        weight[q * kTile + j + 1] = Sum(sum1[q]) * scale;
      }
    }
    float tile_largest[kQ] = {}, tile_sum[kQ] = {};
    for (int q = 0; q < kQ; ++q) {
      const int64_t visible = std::clamp<int64_t>(seen[q] - first, 0, kTile);
      if (visible > 0) {
        tile_sum[q] = Exponentials(weight + q * kTile, visible, tile_largest[q]);
      } else {
        std::fill_n(weight + q * kTile, kTile, 0.0f);
      }
    }
    int64_t c = 0;
    for (; c + kLanes <= latent; c += kLanes)
      WeightedSum<kQ, true>(weight, key, tokens, c, kLanes, part, wide);
    if (c < latent) WeightedSum<kQ, false>(weight, key, tokens, c, latent - c, part, wide);

    for (int q = 0; q < kQ; ++q) {
      if (seen[q] <= first) continue;
      const float most = std::max(largest[q], tile_largest[q]);
      const float old = ExpOne(largest[q] - most), fresh = ExpOne(tile_largest[q] - most);
      sum[q] = sum[q] * old + tile_sum[q] * fresh;
      largest[q] = most;
      const VF vo = hn::Set(d, old), vf = hn::Set(d, fresh);
      float* to = total + q * wide;
      const float* from = part + q * wide;
      for (int64_t i = 0; i < latent; i += kLanes)
        Store(hn::MulAdd(Load(to + i), vo, hn::Mul(Load(from + i), vf)), to + i);
    }
  }
  for (int q = 0; q < kQ; ++q) {
    T* to = call.data<T>(kO) + RowOffset(ot, row[q]);
    const VF divisor = hn::Set(d, sum[q]);
    for (int64_t c = 0; c < latent; c += kLanes)
      StoreUpTo(hn::Div(Load(total + q * wide + c), divisor), to + c, latent - c);
  }
}

template <typename T>
void Attend(const KernelCall& call, ThreadPool& pool) {
  const auto* q_start = call.data<const int32_t>(kQStart);
  const auto* kv_len = call.data<const int32_t>(kKvLen);
  const int64_t heads = call.tensor[kQLatent].dim[1], live = LiveRows(call, kQLatent);
  const int64_t latent = call.tensor[kLatentPool].dim[2], rope = call.tensor[kRopePool].dim[2];
  int64_t seqs = call.tensor[kKvLen].dim[0];
  if (call.batch) seqs = std::min<int64_t>(seqs, call.batch->seqs);

  // Items of sequence s: its (row, head) pairs in runs of kMostQueries.
  const auto items_of = [&](int64_t s) {
    const int64_t rows = std::min<int64_t>(q_start[s + 1], live) - q_start[s];
    return DivideUp(std::max<int64_t>(rows, 0) * heads, kMostQueries);
  };
  int64_t items = 0, work = 0;
  for (int64_t s = 0; s < seqs; ++s) {
    items += items_of(s);
    work += items_of(s) * kv_len[s];
  }
  if (items == 0) return;
  const int64_t cost = work / items * kMostQueries * (2 * latent + rope);
  pool.ParallelFor(items, Grain(cost), [&](int64_t begin, int64_t end, int worker) HWY_ATTR {
    float* scratch = static_cast<float*>(call.workspace) + worker * WorkerFloats(latent, rope);
    int64_t s = 0, first = 0;  // `first` is the number of sequence s's first item
    for (int64_t i = begin; i < end; ++i) {
      while (i >= first + items_of(s)) first += items_of(s++);
      const int64_t rows = std::min<int64_t>(q_start[s + 1], live) - q_start[s];
      const int64_t from = (i - first) * kMostQueries;
      const int64_t count = std::min(kMostQueries, rows * heads - from);
      int64_t row[kMostQueries], seen[kMostQueries];
      for (int64_t q = 0; q < count; ++q) {
        const int64_t t = q_start[s] + (from + q) / heads;
        row[q] = t * heads + (from + q) % heads;
        seen[q] = kv_len[s] - q_start[s + 1] + t + 1;
      }
      const int32_t* table = call.data<const int32_t>(kTable) + s * call.tensor[kTable].stride[0];
      int64_t q = 0;
      if constexpr (kMostQueries == 8) {
        if (count == 8) {
          AttendItem<8, T>(call, table, row, seen, scratch);
          continue;
        }
      }
      for (; q + 4 <= count; q += 4) AttendItem<4, T>(call, table, row + q, seen + q, scratch);
      for (; q + 2 <= count; q += 2) AttendItem<2, T>(call, table, row + q, seen + q, scratch);
      for (; q < count; ++q) AttendItem<1, T>(call, table, row + q, seen + q, scratch);
    }
  });
}

void LatentAttention(const KernelCall& call, ThreadPool& pool) {
  if (call.tensor[kQLatent].dtype == QIAO_BF16) {
    Attend<Bf16>(call, pool);
  } else {
    Attend<float>(call, pool);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qiao::kernels::cpu {

QIAO_CPU_KERNEL(LatentAttention)

uint64_t LatentAttentionWorkspace(const qiao_op_call& call, int threads) {
  const int64_t floats = attention::WorkerFloats(call.argument[attention::kLatentPool].dim[2],
                                                 call.argument[attention::kRopePool].dim[2]);
  return static_cast<uint64_t>(threads * floats) * sizeof(float);
}

}  // namespace qiao::kernels::cpu
#endif
