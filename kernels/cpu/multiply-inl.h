// The inner loops of the products, once per target: decoding a weight's elements, bringing rows as they lie in
// files into lanes, and tiles of multiply-adds whose lanes run over the 16 outputs of a group.

#if defined(QIAO_KERNELS_CPU_MULTIPLY_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QIAO_KERNELS_CPU_MULTIPLY_INL_H_
#undef QIAO_KERNELS_CPU_MULTIPLY_INL_H_
#else
#define QIAO_KERNELS_CPU_MULTIPLY_INL_H_
#endif

#include <type_traits>

#include "hwy/cache_control.h"

#include "kernels/cpu/multiply.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

// Vectors that hold a group, and the shapes of tiles that leave the accumulators in registers: rows of x times
// groups. Few rows must make chains enough to hide an addition's latency, so one row takes several groups.
inline constexpr int kV = static_cast<int>(kGroup / kLanes);
inline constexpr bool kWide = kLanes == 16;
inline constexpr bool kManyRegisters = kWide || HWY_TARGET == HWY_NEON;
inline constexpr int kFewRows = kWide ? 8 : 4;
inline constexpr int kFewGroups = kWide ? 4 : kV == 2 || kManyRegisters ? 2 : 1;
inline constexpr int kManyGroups = kWide ? 2 : 1;
inline constexpr int64_t kCacheLine = 64;
inline constexpr int kTileRows = kWide ? 12 : kV == 2 || kManyRegisters ? 6 : 2;

// ---- elements of k .. k + kSteps of a group as f32 vectors

template <typename T>
struct Decode {
  static constexpr int kSteps = kWide ? 2 : 1;
  HWY_INLINE Decode() {}
  HWY_INLINE void operator()(const T* p, VF (&w)[kSteps][kV]) const {
    if constexpr (kWide) {
      LoadPair(p, w[0][0], w[1][0]);
    } else if constexpr (kV == 1) {
      w[0][0] = Load(p);
    } else {
      for (int v = 0; v < kV; v += 2) LoadPair(p + v * kLanes, w[0][v], w[0][v + 1]);
    }
  }
};

#if HWY_TARGET == HWY_AVX3_DL

// E4M3 by table look-up (VBMI): the two upper bytes of the f32 number, each from 128 entries, 64 elements at
// once; one more permutation for each k spreads 16 of them over the lanes. Exact for all codes, subnormals
// and NaN included, so nothing is left over for the scale.
struct E4m3Tables {
  alignas(64) uint8_t high[128], low[128], spread[4][64];
};
constexpr E4m3Tables MakeE4m3Tables() {
  E4m3Tables t{};
  for (uint32_t code = 0; code < 128; ++code) {
    uint32_t exponent = code >> 3, mantissa = code & 7, bits = 0;  // bits: of the bf16 number
    if (code == 127) {
      bits = 0x7fc0;
    } else if (exponent != 0) {
      bits = ((exponent + 120) << 7) | (mantissa << 4);
    } else if (mantissa != 0) {  // mantissa * 2^-9
      const uint32_t top = mantissa >= 4 ? 2 : mantissa >= 2 ? 1 : 0;
      bits = ((118 + top) << 7) | ((mantissa << (7 - top)) & 0x7f);
    }
    t.high[code] = static_cast<uint8_t>(bits >> 8);
    t.low[code] = static_cast<uint8_t>(bits & 0xff);
  }
  for (uint8_t k = 0; k < 4; ++k) {
    for (uint8_t n = 0; n < 16; ++n) {
      t.spread[k][4 * n + 2] = static_cast<uint8_t>(64 + 16 * k + n);  // of the second operand: low
      t.spread[k][4 * n + 3] = static_cast<uint8_t>(16 * k + n);
    }
  }
  return t;
}
inline constexpr E4m3Tables kE4m3Tables = MakeE4m3Tables();

template <>
struct Decode<E4m3> {
  static constexpr int kSteps = 4;
  HWY_INLINE Decode() {
    const auto load = [](const uint8_t* p) HWY_ATTR { return _mm512_load_si512(p); };
    high0 = load(kE4m3Tables.high);
    high1 = load(kE4m3Tables.high + 64);
    low0 = load(kE4m3Tables.low);
    low1 = load(kE4m3Tables.low + 64);
    for (int k = 0; k < 4; ++k) spread[k] = load(kE4m3Tables.spread[k]);
    sign = _mm512_set1_epi8(static_cast<char>(0x80));
  }
  HWY_INLINE void operator()(const E4m3* p, VF (&w)[kSteps][kV]) const {
    const __m512i code = _mm512_loadu_si512(p);
    const __m512i low = _mm512_permutex2var_epi8(low0, code, low1);
    __m512i high = _mm512_permutex2var_epi8(high0, code, high1);
    high = _mm512_ternarylogic_epi32(high, code, sign, 0xf8);  // high | (code & sign)
    constexpr __mmask64 kUpper = 0xccccccccccccccccULL;
    for (int k = 0; k < 4; ++k)
      w[k][0] = VF{_mm512_castsi512_ps(_mm512_maskz_permutex2var_epi8(kUpper, high, spread[k], low))};
  }
  __m512i high0, high1, low0, low1, spread[4], sign;
};

#endif

// Whether decoding leaves kDecodeFactor to the scale.
template <typename T>
inline constexpr float kLeftOver = HWY_TARGET == HWY_AVX3_DL ? 1.0f : kDecodeFactor<T>;

// ---- blocks of a group, [k][16]

#if HWY_TARGET != HWY_SCALAR

// A vector of one row's elements, of which each 128-bit block is stored apart, `stride` elements on.
template <class D, class V, typename U>
HWY_INLINE void StoreBlocks(D d, V v, U* to, int64_t stride) {
  constexpr size_t kBytes = hn::MaxLanes(d) * sizeof(U);
  if constexpr (kBytes <= 16) {
    hn::StoreU(v, d, to);
  } else {
    const hn::Half<D> half;
    StoreBlocks(half, hn::LowerHalf(half, v), to, stride);
    StoreBlocks(half, hn::UpperHalf(half, v), to + static_cast<int64_t>(kBytes) / 32 * stride, stride);
  }
}

// Rows of a whole vector each. Interleaving rows i and i + L/2 moves one bit of the row's number into the
// column's; log2 L times, and each block of L x L elements is transposed.
template <typename U>
HWY_INLINE void TransposeVector(const std::byte* const* row, int64_t k, U* to) {
  const hn::ScalableTag<U> d;
  constexpr int kL = static_cast<int>(16 / sizeof(U));  // elements of a 128-bit block
  for (int set = 0; set < 16 / kL; ++set) {
    hn::Vec<decltype(d)> a[kL], b[kL];
    for (int i = 0; i < kL; ++i) a[i] = hn::LoadU(d, reinterpret_cast<const U*>(row[set * kL + i]) + k);
    for (int stage = 1; stage < kL; stage *= 2) {
      for (int i = 0; i < kL / 2; ++i) {
        b[2 * i] = hn::InterleaveLower(d, a[i], a[i + kL / 2]);
        b[2 * i + 1] = hn::InterleaveUpper(d, a[i], a[i + kL / 2]);
      }
      for (int i = 0; i < kL; ++i) a[i] = b[i];
    }
    for (int i = 0; i < kL; ++i) StoreBlocks(d, a[i], to + i * kGroup + set * kL, kL * kGroup);
  }
}

#endif

// Columns k0 .. k0 + n of 16 rows, and zeros up to `padded`.
template <typename T>
void TransposeBlock(const std::byte* const* row, int64_t k0, int64_t n, int64_t padded, T* to) {
  int64_t k = 0;
#if HWY_TARGET != HWY_SCALAR
  using U = std::conditional_t<sizeof(T) == 1, uint8_t,
                               std::conditional_t<sizeof(T) == 2, uint16_t, uint32_t>>;
  constexpr int64_t kStep = hn::MaxLanes(hn::ScalableTag<U>());
  for (; k + kStep <= n; k += kStep)
    TransposeVector(row, k0 + k, reinterpret_cast<U*>(to) + k * kGroup);
#endif
  for (int64_t r = 0; r < kGroup; ++r) {
    const T* from = reinterpret_cast<const T*>(row[r]) + k0;
    for (int64_t i = k; i < n; ++i) to[i * kGroup + r] = from[i];
  }
  std::memset(to + n * kGroup, 0, static_cast<size_t>((padded - n) * kGroup) * sizeof(T));
}

// The same from rows that hold the outputs side by side.
template <typename T>
void CopyColumns(const std::byte* const* line, int64_t column, int64_t count, int64_t n, int64_t padded,
                 T* to) {
  if (count == kGroup) {
    for (int64_t k = 0; k < n; ++k)
      std::memcpy(to + k * kGroup, reinterpret_cast<const T*>(line[k]) + column, kGroup * sizeof(T));
  } else {
    std::memset(to, 0, static_cast<size_t>(n * kGroup) * sizeof(T));
    for (int64_t k = 0; k < n; ++k)
      std::memcpy(to + k * kGroup, reinterpret_cast<const T*>(line[k]) + column,
                  static_cast<size_t>(count) * sizeof(T));
  }
  std::memset(to + n * kGroup, 0, static_cast<size_t>((padded - n) * kGroup) * sizeof(T));
}

// Where to look for what follows block b of a packed group, or of one of its rows; null: not known.
HWY_INLINE const std::byte* NextBlock(const Blocks& blocks, int64_t b, int64_t block_bytes, int64_t ahead,
                                      const std::byte* begin) {
  if (b + 1 < blocks.count) return begin + (b + 1) * block_bytes;
  return ahead ? begin + ahead : nullptr;
}

// Block b of a group: where it lies, if it is packed, else in `scratch` (kMaxBlock * kGroup elements).
template <typename T>
HWY_INLINE const T* FindBlock(const Blocks& blocks, const GroupRef& group, int64_t b, T* scratch) {
  const int64_t k = b * blocks.block;
  switch (group.form) {
    case GroupRef::kPacked:
      return reinterpret_cast<const T*>(group.data) + b * blocks.padded_block * kGroup;
    case GroupRef::kRows:
      for (int64_t r = 0; r < kGroup; ++r) {
        const auto bytes = static_cast<int64_t>(sizeof(T)) * blocks.block;
        const std::byte* next = NextBlock(blocks, b, bytes, group.ahead, group.line[r]);
        for (int64_t at = 0; next && at < bytes; at += kCacheLine) hwy::Prefetch(next + at);
      }
      TransposeBlock(group.line, k, blocks.Length(b), blocks.Padded(b), scratch);
      return scratch;
    default:
      CopyColumns(group.line + k, group.column, group.count, blocks.Length(b), blocks.Padded(b), scratch);
      return scratch;
  }
}

template <typename T>
void DecodeBlock(const T* from, int64_t columns, const std::byte* next, float* to) {
  const Decode<T> decode;
  constexpr int kSteps = Decode<T>::kSteps;
  for (int64_t k = 0; k < columns; k += kSteps) {
    VF w[kSteps][kV];
    decode(from + k * kGroup, w);
    if (next) hwy::Prefetch(next + k * kGroup * static_cast<int64_t>(sizeof(T)));
    for (int s = 0; s < kSteps; ++s)
      for (int v = 0; v < kV; ++v) hn::Store(w[s][v], DF(), to + (k + s) * kGroup + v * kLanes);
  }
}

// ---- tiles

// One block of kM rows of x and kG groups. Rows and groups that the call does not have repeat its last one;
// they are computed and not stored.
struct TileCall {
  int64_t columns;  // of the block, padded
  const float* x[12];
  const float* scale[kMaxGroups];  // 16 each, the factor multiplied in
  const float* x_scale[12];        // one number each; null without
  float* sum[12];                  // += part * scale; [groups][16]
  const std::byte* next[kMaxGroups];  // the block after this one, to be prefetched; null: none
  int rows, groups;
};

template <int kM, int kG, typename T>
HWY_INLINE void MultiplyTile(const TileCall& call, const T* const* w) {
  const DF d;
  const Decode<T> decode;
  constexpr int kSteps = Decode<T>::kSteps;
  VF part[kM][kG][kV];
  for (int m = 0; m < kM; ++m)
    for (int g = 0; g < kG; ++g)
      for (int v = 0; v < kV; ++v) part[m][g][v] = hn::Zero(d);

  const float* x[kM];
  for (int m = 0; m < kM; ++m) x[m] = call.x[m];
  for (int64_t k = 0; k < call.columns; k += kSteps) {
    if constexpr (std::is_same_v<T, float>) {  // each x serves all groups: loads would be the limit
      VF wk[kG][kSteps][kV];
      for (int g = 0; g < kG; ++g) decode(w[g] + k * kGroup, wk[g]);
      for (int s = 0; s < kSteps; ++s) {
        for (int m = 0; m < kM; ++m) {
          const VF xk = hn::Set(d, x[m][k + s]);
          for (int g = 0; g < kG; ++g)
            for (int v = 0; v < kV; ++v) part[m][g][v] = hn::MulAdd(wk[g][s][v], xk, part[m][g][v]);
        }
      }
    } else {  // one group after the other: decoding takes registers, and its time covers the loads
      for (int g = 0; g < kG; ++g) {
        VF wk[kSteps][kV];
        decode(w[g] + k * kGroup, wk);
        if (call.next[g]) __builtin_prefetch(call.next[g] + k * kGroup * static_cast<int64_t>(sizeof(T)), 0, 2);
        for (int s = 0; s < kSteps; ++s) {
          for (int m = 0; m < kM; ++m) {
            const VF xk = hn::Set(d, x[m][k + s]);
            for (int v = 0; v < kV; ++v) part[m][g][v] = hn::MulAdd(wk[s][v], xk, part[m][g][v]);
          }
        }
      }
    }
  }
  for (int m = 0; m < kM && m < call.rows; ++m) {
    for (int g = 0; g < kG && g < call.groups; ++g) {
      for (int v = 0; v < kV; ++v) {
        VF scale = hn::Load(d, call.scale[g] + v * kLanes);
        if (call.x_scale[m]) scale = hn::Mul(scale, hn::Set(d, *call.x_scale[m]));
        float* to = call.sum[m] + g * kGroup + v * kLanes;
        hn::Store(hn::MulAdd(part[m][g][v], scale, hn::Load(d, to)), d, to);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // QIAO_KERNELS_CPU_MULTIPLY_INL_H_
