// Keys of latent_attention whose latent is cached as E4M3 with a scale for each block of channels, once per
// target. A tile's rows become f32 numbers once for a block of queries, latents as the product of element and
// scale, and both products of the tile read those: panels of kPair channels, [token][kPair].
//
// The order of channels is that in which decoding 4 * kLanes elements gives them: the even and the odd ones
// of the lower 8 in each 16, then those of the upper. Queries are brought into it and outputs out of it; rope
// keys, which are bf16, keep theirs.

#if defined(QIAO_KERNELS_CPU_LATENT_ATTENTION_F8_BLOCK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QIAO_KERNELS_CPU_LATENT_ATTENTION_F8_BLOCK_INL_H_
#undef QIAO_KERNELS_CPU_LATENT_ATTENTION_F8_BLOCK_INL_H_
#else
#define QIAO_KERNELS_CPU_LATENT_ATTENTION_F8_BLOCK_INL_H_
#endif

#include <array>

#include "kernels/cpu/decode-inl.h"
#include "kernels/cpu/latent_attention-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {
namespace attention_loops {

// Channels that are decoded at once.
inline constexpr int64_t kQuad = 4 * kLanes;
static_assert(attention::kDecodeWidth % kQuad == 0);

// Where each of kQuad channels goes.
inline constexpr std::array<int64_t, kQuad> kPlaces = [] {
  std::array<int64_t, kQuad> places{};
  for (int64_t c = 0; c < kQuad; ++c) {
    const int64_t lane = (c / 16 * 8 + c % 8) / 2, vector = c % 16 / 8 * 2 + c % 2;
    places[static_cast<size_t>(c)] = HWY_TARGET == HWY_SCALAR ? c : vector * kLanes + lane;
  }
  return places;
}();

template <typename T>
HWY_INLINE void LoadPairUpTo(const T* p, int64_t n, VF& a, VF& b) {
  if (n >= kPair) return LoadPair(p, a, b);
  LoadPairN(p, std::max<int64_t>(n, 0), a, b);
}
struct Natural {
  template <typename T>
  static HWY_INLINE void Load(const T* p, int64_t n, VF& a, VF& b) {
    LoadPairUpTo(p, n, a, b);
  }
  static HWY_INLINE int64_t Row(int64_t c) { return c; }
};
struct Decoded : Natural {
  static HWY_INLINE int64_t Row(int64_t c) {
    return c / kQuad * kQuad + kPlaces[static_cast<size_t>(c % kQuad)];
  }
};

// kQuad elements times `scale`.
HWY_INLINE void DecodeQuad(const E4m3* p, float scale, VF (&v)[4]) {
  const DF d;
#if HWY_TARGET == HWY_SCALAR
  const VF s = hn::Set(d, scale * kDecodeFactor<E4m3>);
  LoadPair(p, v[0], v[1]);
  LoadPair(p + 2, v[2], v[3]);
#else
  const VF s = hn::Set(d, scale);
  using D8 = Decode<E4m3>::D8;
  const D8 d8;
  const hn::RebindToSigned<D8> di8;
  const Decode<E4m3> decode(false);
  const auto code = hn::LoadU(d8, reinterpret_cast<const uint8_t*>(p));
  hn::Vec<DU> k01, k23;
  decode.ToPairs(code, k01, k23);
  v[0] = Decode<E4m3>::Even(k01);
  v[1] = Decode<E4m3>::Odd(k01);
  v[2] = Decode<E4m3>::Even(k23);
  v[3] = Decode<E4m3>::Odd(k23);
  // Subnormals have magnitudes 0..7 and NaN has 127: one more is below 9, or the least of all.
  const auto magnitude = hn::BitCast(di8, hn::And(code, hn::Set(d8, uint8_t{0x7f})));
  const auto rare = hn::Lt(hn::Add(magnitude, hn::Set(di8, int8_t{1})), hn::Set(di8, int8_t{9}));
  if (HWY_UNLIKELY(!hn::AllFalse(di8, rare)))
    for (VF& w : v) w = Decode<E4m3>::Mend(w);
#endif
  for (VF& w : v) w = hn::Mul(w, s);
}

struct DecodedKeys {
  using Rows = TileRows<E4m3, Bf16>;
  using Order = Decoded;
  int64_t wide, channels;  // of the latent and of all, padded
  float* decoded;

  // Panels lie apart by an odd number of lines.
  HWY_INLINE float* At(int64_t token, int64_t c) const {
    return decoded + c / kPair * (kTile * kPair + attention::kOdd) + token * kPair;
  }
  // Panels follow each other in no order that a prefetcher knows.
  template <int kM>
  HWY_INLINE const float* Panel(int64_t first, int64_t c, int64_t) const {
    const float* panel = At(first, c);
    if (c < channels) Prefetch1<kM * kPair* static_cast<int64_t>(sizeof(float))>(panel);
    return panel;
  }

 private:
  template <int64_t kBytes>
  static HWY_INLINE void Prefetch1(const float* from) {
    for (int64_t i = 0; i < kBytes; i += kLine) __builtin_prefetch(reinterpret_cast<const char*>(from) + i);
  }
};

// The last channels of rows that do not fill kQuad, and the zeros after them. Apart, so that it is not
// unrolled along with what calls it.
HWY_NOINLINE inline void DecodePart(const E4m3* p, int64_t n, float scale, VF (&v)[4]) {
  HWY_ALIGN E4m3 padded[kQuad] = {};
  if (n > 0) std::memcpy(padded, p, static_cast<size_t>(n));
  DecodeQuad(padded, scale, v);
}

// Rows of the tile as numbers. Some rows at a time, so that what is read and written stays near.
HWY_INLINE void DecodeTile(const TileRows<E4m3, Bf16>& rows, int64_t tokens, const attention::Layout& layout,
                           int64_t block, const DecodedKeys& keys, ReadAhead<TileRows<E4m3, Bf16>>& ahead) {
  constexpr int64_t kRowsAtOnce = 16;
  for (int64_t j0 = 0; j0 < tokens; j0 += kRowsAtOnce) {
    const int64_t j1 = std::min(tokens, j0 + kRowsAtOnce);
    ahead.Reach(std::min(tokens, j1 + kRowsAtOnce));
    for (int64_t c = 0; c < layout.wide; c += kQuad) {
      const int64_t scale = std::min(c, layout.latent - 1) / block, n = layout.latent - c;
      for (int64_t j = j0; j < j1; ++j) {
        VF v[4];
        if (n >= kQuad) {
          DecodeQuad(rows.latent[j] + c, rows.scale[j][scale], v);
        } else {
          DecodePart(rows.latent[j] + std::min(c, layout.latent), n, rows.scale[j][scale], v);
        }
        for (int64_t i = 0; i < 4; ++i) Store(v[i], keys.At(j, c + i / 2 * kPair) + i % 2 * kLanes);
      }
    }
    for (int64_t c = layout.wide; c < layout.channels; c += kPair) {
      const int64_t at = c - layout.wide;
      for (int64_t j = j0; j < j1; ++j) {
        VF a, b;
        LoadPairUpTo(rows.rope[j] + std::min(at, layout.rope), layout.rope - at, a, b);
        Store(a, keys.At(j, c));
        Store(b, keys.At(j, c) + kLanes);
      }
    }
  }
}

// As Sums of rows that are widened on the way, over a tile that is decoded.
HWY_INLINE void Sums(const DecodedKeys& keys, int64_t tokens, const float* weight, int64_t weight_stride,
                     int64_t queries, float* out, int64_t out_stride, const float* old, const float* fresh,
                     ReadAhead<TileRows<E4m3, Bf16>>& ahead) {
  for (int64_t c = 0; c < keys.wide; c += kPair) {
    int64_t q = 0;
    const auto step = [&](auto count) HWY_ATTR {
      SumTile<count(), false, float>(weight + q, weight_stride, nullptr, c, keys.At(0, c), tokens,
                                     out + q * out_stride + c, out_stride, old ? old + q : nullptr,
                                     old ? fresh + q : nullptr, ahead);
      q += count();
    };
    while (q + kRows <= queries) step(Constant<int, kRows>());
    if (q + 4 <= queries) step(Constant<int, 4>());
    if (q + 2 <= queries) step(Constant<int, 2>());
    if (q < queries) step(Constant<int, 1>());
  }
}

// kQuad channels in the order of Decoded, to their own.
HWY_INLINE void StoreDecoded(const VF (&v)[4], float* to) {
#if HWY_TARGET == HWY_SCALAR
  for (int i = 0; i < 4; ++i) Store(v[i], to + i);
#else
  const DF d;
  HWY_ALIGN float quads[4][kLanes];
  Store(hn::InterleaveLower(d, v[0], v[1]), quads[0]);
  Store(hn::InterleaveUpper(d, v[0], v[1]), quads[1]);
  Store(hn::InterleaveLower(d, v[2], v[3]), quads[2]);
  Store(hn::InterleaveUpper(d, v[2], v[3]), quads[3]);
  for (int64_t i = 0; i < kLanes; ++i) std::memcpy(to + 4 * i, quads[i % 4] + i / 4 * 4, 4 * sizeof(float));
#endif
}
HWY_INLINE void StoreDecoded(const VF (&v)[4], Bf16* to) {
#if HWY_TARGET == HWY_SCALAR
  for (int i = 0; i < 4; ++i) Store(v[i], to + i);
#else
  HWY_ALIGN Bf16 halves[2][2 * kLanes];
  StoreStored(v[0], v[1], halves[0]);
  StoreStored(v[2], v[3], halves[1]);
  for (int64_t i = 0; i < kLanes / 2; ++i)
    std::memcpy(to + 8 * i, halves[i % 2] + i / 2 * 8, 8 * sizeof(Bf16));
#endif
}

// `latent` channels of a row in the order of Decoded, as `load` gives them.
template <typename T, typename F>
HWY_INLINE void StoreDecodedRow(int64_t latent, const F& load, T* to) {
  for (int64_t c = 0; c < latent; c += kQuad) {
    const VF v[4] = {load(c), load(c + kLanes), load(c + 2 * kLanes), load(c + 3 * kLanes)};
    if (c + kQuad <= latent) {
      StoreDecoded(v, to + c);
    } else {
      HWY_ALIGN T padded[kQuad];
      StoreDecoded(v, padded);
      std::memcpy(to + c, padded, static_cast<size_t>(latent - c) * sizeof(T));
    }
  }
}

}  // namespace attention_loops
}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // QIAO_KERNELS_CPU_LATENT_ATTENTION_F8_BLOCK_INL_H_
