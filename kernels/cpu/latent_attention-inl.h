// The inner loops of latent_attention, once per target: scores and weighted sums of one tile as products of
// small matrices with their sums in registers.
//
// The order of sums. A score is one accumulator over the channels of [latent, rope] in the order in which
// LoadStored gives them; an output channel of a tile is one accumulator over the tile's tokens in rising
// order; the exponentials of a query are added in rising order. Lanes of the scores are queries, lanes of the
// outputs are channels, so nothing is ever summed across lanes, and which queries or channels share a
// register tile changes no bit. A token that a query does not see has weight 0 for it.

#if defined(QIAO_KERNELS_CPU_LATENT_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QIAO_KERNELS_CPU_LATENT_ATTENTION_INL_H_
#undef QIAO_KERNELS_CPU_LATENT_ATTENTION_INL_H_
#else
#define QIAO_KERNELS_CPU_LATENT_ATTENTION_INL_H_
#endif

#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "kernels/cpu/latent_attention_plan.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {
namespace attention_loops {

using attention::kTile;

template <typename T, T kValue>
using Constant = std::integral_constant<T, kValue>;

inline constexpr int64_t kPair = 2 * kLanes;
inline constexpr bool kHas32Registers = kLanes == 16 || HWY_TARGET == HWY_NEON;

// Register tiles: tokens by one or two vectors of queries, smaller ones for the last tokens, and queries by a
// pair of vectors of channels. GCC keeps sums in registers only where it unrolls the loops over them, and it
// unrolls no more than 16 passes.
inline constexpr int kTokens1 = kHas32Registers ? 16 : 8, kTail1 = 4;
inline constexpr int kTokens2 = kHas32Registers ? 8 : 6, kTail2 = kHas32Registers ? 4 : 2;
inline constexpr int kRows = kHas32Registers ? 8 : 6;
// No tile runs over kTile: only more than half a tile of tokens is worth a whole one.
static_assert(kTile % kTokens1 == 0 && 2 * (kTile % kTokens2) <= kTokens2);
static_assert(kTile % kTail1 == 0 && kTile % kTokens2 % kTail2 == 0);

// ---- stored order: kPair channels of bf16 become their even ones and then their odd ones, which takes one
// instruction a vector

HWY_INLINE void LoadStored(const float* p, VF& a, VF& b) { LoadPair(p, a, b); }
HWY_INLINE void LoadStored(const Bf16* p, VF& a, VF& b) {
#if HWY_TARGET == HWY_SCALAR
  LoadPair(p, a, b);
#else
  const DF d;
  const DU du;
  const hn::Repartition<uint16_t, DF> d16;
  const auto pair = hn::BitCast(du, hn::LoadU(d16, &p->bits));
  a = hn::BitCast(d, hn::ShiftLeft<16>(pair));
  b = hn::BitCast(d, hn::And(pair, hn::Set(du, 0xffff0000u)));
#endif
}
HWY_INLINE void StoreStored(VF a, VF b, float* p) {
  Store(a, p);
  Store(b, p + kLanes);
}
HWY_INLINE void StoreStored(VF a, VF b, Bf16* p) {
#if HWY_TARGET == HWY_SCALAR
  Store(a, p);
  Store(b, p + 1);
#else
  const hn::Repartition<uint16_t, DF> d16;
  const auto both = hn::Or(RoundedToBf16(a), hn::ShiftLeft<16>(RoundedToBf16(b)));
  hn::StoreU(hn::BitCast(d16, both), d16, &p->bits);
#endif
}

template <typename T>
HWY_INLINE void LoadStoredUpTo(const T* p, int64_t n, VF& a, VF& b) {
  if (n >= kPair) return LoadStored(p, a, b);
  HWY_ALIGN T padded[kPair] = {};
  if (n > 0) std::memcpy(padded, p, static_cast<size_t>(n) * sizeof(T));
  LoadStored(padded, a, b);
}

// How keys are ordered that are read as they are stored: in stored order.
struct Stored {
  template <typename T>
  static HWY_INLINE void Load(const T* p, int64_t n, VF& a, VF& b) {
    LoadStoredUpTo(p, n, a, b);
  }
  static HWY_INLINE int64_t Row(int64_t c) { return c; }
};

// kLanes rows of n elements each, times `factor`, become [wide][kLanes] in an order of channels; a row that
// is null, and channels past n, become zeros.
template <class Order, typename T>
HWY_INLINE void TransposeRows(const T* const* rows, int64_t n, int64_t wide, float factor, float* to) {
  const DF d;
  const VF f = hn::Set(d, factor);
  for (int64_t c = 0; c < wide; c += kPair) {
    HWY_ALIGN float panel[kLanes * kPair];
    for (int64_t i = 0; i < kLanes; ++i) {
      VF a = hn::Zero(d), b = hn::Zero(d);
      if (rows[i]) Order::Load(rows[i] + std::min(c, n), n - c, a, b);
      Store(hn::Mul(a, f), panel + i * kPair);
      Store(hn::Mul(b, f), panel + i * kPair + kLanes);
    }
#if HWY_TARGET == HWY_SCALAR
    std::copy_n(panel, kPair, to + c);
#else
    const hn::Full128<float> d4;
    const hn::Full128<uint64_t> d2;
    for (int64_t i = 0; i < kPair; i += 4) {
      for (int64_t q = 0; q < kLanes; q += 4) {
        const float* at = panel + q * kPair + i;
        const auto r0 = hn::LoadU(d4, at), r1 = hn::LoadU(d4, at + kPair);
        const auto r2 = hn::LoadU(d4, at + 2 * kPair), r3 = hn::LoadU(d4, at + 3 * kPair);
        const auto low01 = hn::BitCast(d2, hn::InterleaveLower(d4, r0, r1));
        const auto low23 = hn::BitCast(d2, hn::InterleaveLower(d4, r2, r3));
        const auto high01 = hn::BitCast(d2, hn::InterleaveUpper(d4, r0, r1));
        const auto high23 = hn::BitCast(d2, hn::InterleaveUpper(d4, r2, r3));
        const auto out = [&](int64_t k) HWY_ATTR { return to + Order::Row(c + i + k) * kLanes + q; };
        hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, low01, low23)), d4, out(0));
        hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, low01, low23)), d4, out(1));
        hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, high01, high23)), d4, out(2));
        hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, high01, high23)), d4, out(3));
      }
    }
#endif
  }
}

// Asks for kBytes from byte `at` of a row on.
inline constexpr int64_t kLine = 64;
template <int64_t kBytes, typename T>
HWY_INLINE void Prefetch(const T* row, int64_t at) {
  const auto* from = reinterpret_cast<const char*>(row) + at;
  for (int64_t i = 0; i < kBytes; i += kLine) __builtin_prefetch(from + i, 0, 2);
}

// ---- a tile of the cache

// Where its rows lie. Those from `count` on are the last one again, so that loops may run over.
template <typename L, typename R>
struct TileRows {
  using Latent = L;
  using Rope = R;
  const L* latent[kTile];
  const R* rope[kTile];
  const float* scale[kTile];  // with an E4M3 latent only
  int64_t count;
};

// The last panel of rows that do not fill it. Apart, so that it is not unrolled along with what calls it.
template <typename T>
HWY_NOINLINE void WidenPartOfPanel(const T* const* rows, int64_t count, int64_t c, int64_t n, float* to) {
  for (int64_t j = 0; j < count; ++j) {
    VF a, b;
    LoadStoredUpTo(rows[j] + c, n - c, a, b);
    Store(a, to + j * kPair);
    Store(b, to + j * kPair + kLanes);
  }
}

// A panel: kPair channels of each of `count` rows, from channel c of the n that there are.
template <typename T>
HWY_INLINE void WidenPanel(const T* const* rows, int64_t count, int64_t c, int64_t n, float* to) {
  if (n - c < kPair) return WidenPartOfPanel(rows, count, c, n, to);
  for (int64_t j = 0; j < count; ++j) {
    VF a, b;
    LoadStored(rows[j] + c, a, b);
    Store(a, to + j * kPair);
    Store(b, to + j * kPair + kLanes);
  }
}

// Asks for the rows of a run of tiles before they are read, in the order of addresses: the products touch one
// line of many rows in turn, which no hardware prefetcher follows. Tile i is in ring[i % kRing].
inline constexpr int64_t kRing = 4;
inline constexpr int64_t kChunk = 32;  // tokens between two looks ahead in the weighted sums
template <class Rows>
class ReadAhead {
 public:
  // So that, with blocks of `queries`, a tile's products get through the next tile's rows.
  ReadAhead(const Rows* ring, const attention::Layout& layout, int64_t queries)
      : ring_(ring),
        latent_(layout.latent * static_cast<int64_t>(sizeof(typename Rows::Latent))),
        rope_(layout.rope * static_cast<int64_t>(sizeof(typename Rows::Rope))) {
    const int64_t scores = layout.channels / kPair * (kTile / kTokens1);
    const int64_t sums = layout.wide / kPair * DivideUp(queries, kRows) * (kTile / kChunk);
    pieces_ = DivideUp(kTile * DivideUp(latent_, kPiece), scores + sums);
  }

  // The products turn to tile `now`; tiles up to `end` are in the ring.
  HWY_INLINE void Turn(int64_t now, int64_t end) {
    now_ = now;
    end_ = end;
    if (tile_ < now) {
      tile_ = now;
      row_ = at_ = 0;
    }
  }
  HWY_INLINE void Step() {
    for (int64_t i = 0; i < pieces_ && tile_ < end_; ++i) Piece();
  }
  // So many rows of the current tile at least.
  HWY_INLINE void Reach(int64_t rows) {
    while (tile_ == now_ && row_ < rows) Piece();
  }

 private:
  static constexpr int64_t kPiece = 8 * kLine;

  HWY_INLINE void Piece() {
    const Rows& tile = ring_[tile_ % kRing];
    Prefetch<kPiece>(tile.latent[row_], at_);
    if ((at_ += kPiece) < latent_) return;
    at_ = 0;
    for (int64_t i = 0; i < rope_; i += kLine) Prefetch<kLine>(tile.rope[row_], i);
    if (std::is_same_v<typename Rows::Latent, E4m3>) Prefetch<kLine>(tile.scale[row_], 0);
    if (++row_ < tile.count) return;
    row_ = 0;
    ++tile_;
  }

  const Rows* const ring_;
  const int64_t latent_, rope_;  // bytes of a row
  int64_t pieces_;
  int64_t now_ = 0, end_ = 0;
  int64_t tile_ = 0, row_ = 0, at_ = 0;
};

// ---- scores

// A tile's part in the scores: its rows, how wide they are, and room for some of them widened.
template <typename T>
struct Keys {
  using Rows = TileRows<T, T>;
  using Order = Stored;
  const Rows* rows;
  int64_t latent, wide, rope, channels;  // wide: latent, padded; channels: all, padded
  float* widened;                        // [2][kM][kPair]

  // [kM][kPair] of the panel from channel c on, for tokens from `first` on. What `turn` 0 gave holds until
  // the next turn 0, and that of turn 1 likewise.
  template <int kM>
  HWY_INLINE const float* Panel(int64_t first, int64_t c, int64_t turn) const {
    float* to = widened + turn * kM * kPair;
    if (c < wide) {
      WidenPanel(rows->latent + first, kM, c, latent, to);
    } else if (c < channels) {
      WidenPanel(rows->rope + first, kM, c - wide, rope, to);
    }
    return to;
  }
};

// out[j][q] = sum over c of key[j][c] * query[c][q] for kM tokens from `first` on and kN vectors of queries,
// which lie `channels` rows apart. While one panel of kPair channels is multiplied, the next is made ready.
template <int kM, int kN, class Keys, class Ahead>
HWY_INLINE void ScoreTile(const Keys& keys, int64_t first, const float* HWY_RESTRICT query,
                          float* HWY_RESTRICT out, int64_t out_stride, Ahead& ahead) {
  const DF d;
  VF sum[kM][kN];
  for (int m = 0; m < kM; ++m)
    for (int n = 0; n < kN; ++n) sum[m][n] = hn::Zero(d);
  const float* HWY_RESTRICT key = keys.template Panel<kM>(first, 0, 0);
  for (int64_t c = 0, turn = 1; c < keys.channels; c += kPair, turn ^= 1) {
    ahead.Step();
    const float* HWY_RESTRICT next = keys.template Panel<kM>(first, c + kPair, turn);
#pragma GCC unroll 4
    for (int64_t i = 0; i < kPair; ++i) {
      VF x[kN];
      for (int n = 0; n < kN; ++n) x[n] = Load(query + (n * keys.channels + c + i) * kLanes);
      for (int m = 0; m < kM; ++m) {
        const VF k = hn::Set(d, key[m * kPair + i]);
        for (int n = 0; n < kN; ++n) sum[m][n] = hn::MulAdd(k, x[n], sum[m][n]);
      }
    }
    key = next;
  }
  for (int m = 0; m < kM; ++m)
    for (int n = 0; n < kN; ++n) Store(sum[m][n], out + m * out_stride + n * kLanes);
}

template <int kM, int kTail, int kN, class Keys, class Ahead>
HWY_INLINE void ScoreColumn(const Keys& keys, int64_t tokens, const float* query, float* out,
                            int64_t out_stride, Ahead& ahead) {
  int64_t j = 0;
  for (; 2 * (tokens - j) > kM; j += kM) {
    ahead.Reach(j + 2 * kM);
    ScoreTile<kM, kN>(keys, j, query, out + j * out_stride, out_stride, ahead);
  }
  for (; j < tokens; j += kTail)
    ScoreTile<kTail, kN>(keys, j, query, out + j * out_stride, out_stride, ahead);
}

// Scores of `tokens` tokens, and of some after them that mean nothing. `queries` is a multiple of kLanes.
template <class Keys, class Ahead>
HWY_INLINE void Scores(const Keys& keys, int64_t tokens, const float* query, int64_t queries, float* out,
                       int64_t out_stride, Ahead& ahead) {
  int64_t q = 0;
  for (; q + 2 * kLanes <= queries; q += 2 * kLanes)
    ScoreColumn<kTokens2, kTail2, 2>(keys, tokens, query + q * keys.channels, out + q, out_stride, ahead);
  if (q < queries)
    ScoreColumn<kTokens1, kTail1, 1>(keys, tokens, query + q * keys.channels, out + q, out_stride, ahead);
}

// ---- softmax

inline constexpr float kLowest = std::numeric_limits<float>::lowest();  // "no score yet"; -inf - -inf is NaN

// weight[j][lane] becomes exp(weight - largest), 0 for tokens that the lane's query does not see: those from
// seen[lane] on, where `masked`.
HWY_INLINE void Exponentials(float* weight, int64_t stride, int64_t tokens, bool masked, VF seen, VF& largest,
                             VF& sum) {
  const DF d;
  const VF never = hn::Set(d, -std::numeric_limits<float>::infinity());
  if (masked) {
    for (int64_t j = 0; j < tokens; ++j) {
      const auto visible = hn::Gt(seen, hn::Set(d, static_cast<float>(j)));
      Store(hn::IfThenElse(visible, Load(weight + j * stride), never), weight + j * stride);
    }
  }
  largest = hn::Set(d, kLowest);
  for (int64_t j = 0; j < tokens; ++j) largest = hn::Max(largest, Load(weight + j * stride));
  sum = hn::Zero(d);
  for (int64_t j = 0; j < tokens; ++j) {
    const VF e = Exp(hn::Sub(Load(weight + j * stride), largest));
    Store(e, weight + j * stride);
    sum = hn::Add(sum, e);
  }
}

// Factors that bring two results to their common largest score, `most`.
HWY_INLINE void Rescale(VF before, VF now, VF& most, VF& old, VF& fresh) {
  most = hn::Max(before, now);
  old = Exp(hn::Sub(before, most));
  fresh = Exp(hn::Sub(now, most));
}
// The one way in which a tile's result joins that of the tiles before it.
HWY_INLINE VF Merge(VF total, VF old, VF part, VF fresh) {
  return hn::MulAdd(total, old, hn::Mul(part, fresh));
}

// ---- weighted sums

// out[q][c] = sum over j of weight[j][q] * value[j][c] for kM queries and kPair channels; with `old`, merged
// into what is there. Values are `widened`, [token][kPair], or, kWiden, come from `rows` and are left there.
template <int kM, bool kWiden, typename T, class Ahead>
HWY_INLINE void SumTile(const float* HWY_RESTRICT weight, int64_t weight_stride, const T* const* rows,
                        int64_t c, float* HWY_RESTRICT widened, int64_t tokens, float* HWY_RESTRICT out,
                        int64_t out_stride, const float* old, const float* fresh, Ahead& ahead) {
  const DF d;
  VF sum0[kM], sum1[kM];
  for (int m = 0; m < kM; ++m) sum0[m] = sum1[m] = hn::Zero(d);
  for (int64_t begin = 0; begin < tokens; begin += kChunk) {
    ahead.Step();
    const int64_t end = std::min(tokens, begin + kChunk);
#pragma GCC unroll 4
    for (int64_t j = begin; j < end; ++j) {
      VF v0, v1;
      if (kWiden) {
        LoadStored(rows[j] + c, v0, v1);
        Store(v0, widened + j * kPair);
        Store(v1, widened + j * kPair + kLanes);
      } else {
        v0 = Load(widened + j * kPair);
        v1 = Load(widened + j * kPair + kLanes);
      }
      for (int m = 0; m < kM; ++m) {
        const VF w = hn::Set(d, weight[j * weight_stride + m]);
        sum0[m] = hn::MulAdd(w, v0, sum0[m]);
        sum1[m] = hn::MulAdd(w, v1, sum1[m]);
      }
    }
  }
  for (int m = 0; m < kM; ++m) {
    float* to = out + m * out_stride;
    if (old) {
      const VF o = hn::Set(d, old[m]), f = hn::Set(d, fresh[m]);
      sum0[m] = Merge(Load(to), o, sum0[m], f);
      sum1[m] = Merge(Load(to + kLanes), o, sum1[m], f);
    }
    Store(sum0[m], to);
    Store(sum1[m], to + kLanes);
  }
}

// Of all queries and channels; keys.widened holds [kTile][kPair].
template <typename T>
HWY_INLINE void Sums(const Keys<T>& keys, int64_t tokens, const float* weight, int64_t weight_stride,
                     int64_t queries, float* out, int64_t out_stride, const float* old, const float* fresh,
                     ReadAhead<TileRows<T, T>>& ahead) {
  const T* const* rows = keys.rows->latent;
  for (int64_t c = 0; c < keys.wide; c += kPair) {
    int64_t q = 0;
    const auto step = [&](auto count, auto widen) HWY_ATTR {
      SumTile<count(), widen()>(weight + q, weight_stride, rows, c, keys.widened, tokens,
                                out + q * out_stride + c, out_stride, old ? old + q : nullptr,
                                old ? fresh + q : nullptr, ahead);
      q += count();
    };
    if (queries >= kRows && c + kPair <= keys.latent) {
      step(Constant<int, kRows>(), Constant<bool, true>());
    } else {
      WidenPanel(rows, tokens, c, keys.latent, keys.widened);
    }
    while (q + kRows <= queries) step(Constant<int, kRows>(), Constant<bool, false>());
    if (q + 4 <= queries) step(Constant<int, 4>(), Constant<bool, false>());
    if (q + 2 <= queries) step(Constant<int, 2>(), Constant<bool, false>());
    if (q < queries) step(Constant<int, 1>(), Constant<bool, false>());
  }
}

}  // namespace attention_loops
}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // QIAO_KERNELS_CPU_LATENT_ATTENTION_INL_H_
