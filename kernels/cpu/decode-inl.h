// A weight's elements as f32 vectors, whose lanes run over the 16 outputs of a group: once per target.

#if defined(QIAO_KERNELS_CPU_DECODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QIAO_KERNELS_CPU_DECODE_INL_H_
#undef QIAO_KERNELS_CPU_DECODE_INL_H_
#else
#define QIAO_KERNELS_CPU_DECODE_INL_H_
#endif

#include <type_traits>

#include "kernels/cpu/multiply.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

// Vectors that hold a group.
inline constexpr int kV = static_cast<int>(kGroup / kLanes);
inline constexpr bool kWide = kLanes == 16;

// ---- elements of k .. k + kSteps of a group as f32 vectors

// Whether elements lie in units of 4 k, and not one k after the other.
template <typename T>
inline constexpr bool kUnits = (HWY_TARGET != HWY_SCALAR) && std::is_same_v<T, E4m3>;

template <typename T>
struct Decode {
  static constexpr int kSteps = kWide ? 2 : 1;
  static constexpr int64_t At(int64_t k) { return k * kGroup; }
  HWY_INLINE explicit Decode(bool) {}
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

#if HWY_TARGET != HWY_SCALAR

// E4M3 in units of 4 k x 16 outputs. A code seeeemmm becomes the upper half of its f32 number in two bytes:
// the lower is emmm0000, a shift; the upper is s and 60 + the other three exponent bits, a table of 16.
// Interleaved they are bf16 numbers, and the order of a unit (UnitIndex) is such that the even and the odd
// ones are two k's of the same outputs. Exact, and nothing is left over for the scale.
//
// Subnormals (eeee = 0) come out as 2^-7 + m 2^-10 instead of m 2^-9, NaN as 480. Both are rare, so a unit is
// looked at again only if it holds a subnormal, or if the weight is known to hold NaNs.
template <>
struct Decode<E4m3> {
  static constexpr int kSteps = 4;
  static constexpr int64_t At(int64_t k) { return k * kGroup; }
  using D8 = hn::Repartition<uint8_t, DF>;
  using D16 = hn::Repartition<uint16_t, DF>;

  HWY_INLINE explicit Decode(bool nans) : nans(nans) {
    alignas(16) constexpr uint8_t kUpper[16] = {60,  61,  62,  63,  64,  65,  66,  67,
                                                188, 189, 190, 191, 192, 193, 194, 195};
    upper = hn::LoadDup128(D8(), kUpper);
  }
  // bf16 numbers of columns k and k + 1, and of k + 2 and k + 3, in the halves of 32 bits.
  template <class V>
  HWY_INLINE void ToPairs(V code, hn::Vec<DU>& k01, hn::Vec<DU>& k23) const {
    const D8 d8;
#if HWY_TARGET == HWY_AVX3_DL
    // Both bytes are affine in the bits of the code (60 + 0eee is 0 or 4 more ones): one instruction each, as
    // assembly, since the target does not name GFNI. A matrix's byte i picks the bits that make bit 7 - i.
    hn::Vec<D8> low, high;
    const auto low_bits = hn::BitCast(d8, hn::Set(hn::Repartition<uint64_t, DF>(), 0x0000000001020408u));
    const auto high_bits = hn::BitCast(d8, hn::Set(hn::Repartition<uint64_t, DF>(), 0x1020404040404080u));
    asm("vgf2p8affineqb $0, %2, %1, %0" : "=v"(low.raw) : "v"(code.raw), "v"(low_bits.raw));
    asm("vgf2p8affineqb $0x3c, %2, %1, %0" : "=v"(high.raw) : "v"(code.raw), "v"(high_bits.raw));
#else
    const D16 d16;
    const auto words = hn::BitCast(d16, code);
    const auto low = hn::BitCast(d8, hn::And(hn::ShiftLeft<4>(words), hn::Set(d16, uint16_t{0xf0f0})));
    const auto nibble = hn::BitCast(d8, hn::And(hn::ShiftRight<4>(words), hn::Set(d16, uint16_t{0x0f0f})));
    const auto high = hn::TableLookupBytes(upper, nibble);
#endif
    k01 = hn::BitCast(DU(), hn::InterleaveLower(d8, low, high));
    k23 = hn::BitCast(DU(), hn::InterleaveUpper(d8, low, high));
  }
  template <class V>
  HWY_INLINE bool NeedsMending(V code) const {
    const D8 d8;
    const auto subnormal = hn::Eq(hn::And(code, hn::Set(d8, uint8_t{0x78})), hn::Zero(d8));
    return HWY_UNLIKELY(nans || !hn::AllFalse(d8, subnormal));
  }
  HWY_INLINE void operator()(const E4m3* p, VF (&w)[kSteps][kV]) const {
    for (int v = 0; v < kV; ++v) {
      const auto code = hn::LoadU(D8(), reinterpret_cast<const uint8_t*>(p) + v * 4 * kLanes);
      hn::Vec<DU> k01, k23;
      ToPairs(code, k01, k23);
      w[0][v] = Even(k01);
      w[1][v] = Odd(k01);
      w[2][v] = Even(k23);
      w[3][v] = Odd(k23);
      if (NeedsMending(code))
        for (int k = 0; k < kSteps; ++k) w[k][v] = Mend(w[k][v]);
    }
  }
  static HWY_INLINE VF Even(hn::Vec<DU> pair) { return hn::BitCast(DF(), hn::ShiftLeft<16>(pair)); }
  static HWY_INLINE VF Odd(hn::Vec<DU> pair) {
    return hn::BitCast(DF(), hn::And(pair, hn::Set(DU(), 0xffff0000u)));
  }
  static HWY_INLINE VF Mend(VF w) {
    const DF d;
    const VF magnitude = hn::Abs(w);
    const VF mended = hn::Sub(hn::Add(w, w), hn::CopySign(hn::Set(d, 0.015625f), w));
    const VF finite = hn::IfThenElse(hn::Lt(magnitude, hn::Set(d, 0.015625f)), mended, w);
    return hn::IfThenElse(hn::Eq(magnitude, hn::Set(d, 480.0f)), hn::NaN(d), finite);
  }
  bool nans;
  hn::Vec<D8> upper;
};

#endif

#if HWY_TARGET == HWY_AVX3_DL

// ---- the same as pairs of bf16, columns k and k + 1 of an output in 32 bits

struct Pair {
  uint32_t bits;
};

template <typename T>
struct DecodePairs;

template <>
struct DecodePairs<E4m3> {
  static constexpr int kSteps = 4;
  static constexpr int64_t At(int64_t k) { return k * kGroup; }
  HWY_INLINE explicit DecodePairs(bool nans) : codes(nans) {}
  HWY_INLINE void operator()(const E4m3* p, VF (&w)[2][kV]) const {
    const auto code = hn::LoadU(Decode<E4m3>::D8(), reinterpret_cast<const uint8_t*>(p));
    hn::Vec<DU> k01, k23;
    codes.ToPairs(code, k01, k23);
    if (codes.NeedsMending(code)) {
      k01 = Mended(k01);
      k23 = Mended(k23);
    }
    w[0][0] = hn::BitCast(DF(), k01);
    w[1][0] = hn::BitCast(DF(), k23);
  }
  static HWY_INLINE hn::Vec<DU> Mended(hn::Vec<DU> pair) {
    const auto even = hn::BitCast(DU(), Decode<E4m3>::Mend(Decode<E4m3>::Even(pair)));
    const auto odd = hn::BitCast(DU(), Decode<E4m3>::Mend(Decode<E4m3>::Odd(pair)));
    return hn::Or(hn::ShiftRight<16>(even), hn::And(odd, hn::Set(DU(), 0xffff0000u)));
  }
  Decode<E4m3> codes;
};

// [k][16]: two columns make a vector, whose elements are brought side by side.
template <>
struct DecodePairs<Bf16> {
  static constexpr int kSteps = 2;
  static constexpr int64_t At(int64_t k) { return k * kGroup; }
  HWY_INLINE explicit DecodePairs(bool) {
    alignas(64) uint16_t order[32];
    for (uint16_t i = 0; i < 32; ++i) order[i] = static_cast<uint16_t>(i / 2 + i % 2 * 16);
    side_by_side = _mm512_load_si512(order);
  }
  HWY_INLINE void operator()(const Bf16* p, VF (&w)[1][kV]) const {
    w[0][0] = VF{_mm512_castsi512_ps(_mm512_permutexvar_epi16(side_by_side, _mm512_loadu_si512(p)))};
  }
  __m512i side_by_side;
};

template <>
struct DecodePairs<Pair> {
  static constexpr int kSteps = 2;
  static constexpr int64_t At(int64_t k) { return k / 2 * kGroup; }
  HWY_INLINE explicit DecodePairs(bool) {}
  HWY_INLINE void operator()(const Pair* p, VF (&w)[1][kV]) const {
    w[0][0] = hn::BitCast(DF(), hn::Load(DU(), &p->bits));
  }
};

#endif

// Where element (k, n) of a group lies.
template <typename T>
constexpr int64_t UnitIndex(int64_t k, int64_t n) {
  if constexpr (kUnits<T>) return k / 4 * 64 + n / 4 * 16 + k % 4 / 2 * 8 + n % 4 * 2 + k % 2;
  return k * kGroup + n;
}

// Whether decoding leaves kDecodeFactor to the scale.
template <typename T>
inline constexpr float kLeftOver = kUnits<T> ? 1.0f : kDecodeFactor<T>;

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // QIAO_KERNELS_CPU_DECODE_INL_H_
