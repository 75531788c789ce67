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
inline constexpr bool kUnits = HWY_TARGET != HWY_SCALAR&& std::is_same_v<T, E4m3>;

template <typename T>
struct Decode {
  static constexpr int kSteps = kWide ? 2 : 1;
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
  using D8 = hn::Repartition<uint8_t, DF>;
  using D16 = hn::Repartition<uint16_t, DF>;

  HWY_INLINE explicit Decode(bool nans) : nans(nans) {
    alignas(16) constexpr uint8_t kUpper[16] = {60,  61,  62,  63,  64,  65,  66,  67,
                                                188, 189, 190, 191, 192, 193, 194, 195};
    upper = hn::LoadDup128(D8(), kUpper);
  }
  HWY_INLINE void operator()(const E4m3* p, VF (&w)[kSteps][kV]) const {
    const D8 d8;
    const D16 d16;
    const DU du;
    for (int v = 0; v < kV; ++v) {
      const auto code = hn::LoadU(d8, reinterpret_cast<const uint8_t*>(p) + v * 4 * kLanes);
      const auto words = hn::BitCast(d16, code);
      const auto low = hn::BitCast(d8, hn::And(hn::ShiftLeft<4>(words), hn::Set(d16, uint16_t{0xf0f0})));
      const auto nibble = hn::BitCast(d8, hn::And(hn::ShiftRight<4>(words), hn::Set(d16, uint16_t{0x0f0f})));
      const auto high = hn::TableLookupBytes(upper, nibble);
      const auto k01 = hn::BitCast(du, hn::InterleaveLower(d8, low, high));
      const auto k23 = hn::BitCast(du, hn::InterleaveUpper(d8, low, high));
      const auto odd = hn::Set(du, 0xffff0000u);
      w[0][v] = hn::BitCast(DF(), hn::ShiftLeft<16>(k01));
      w[1][v] = hn::BitCast(DF(), hn::And(k01, odd));
      w[2][v] = hn::BitCast(DF(), hn::ShiftLeft<16>(k23));
      w[3][v] = hn::BitCast(DF(), hn::And(k23, odd));
      const auto subnormal = hn::Eq(hn::And(code, hn::Set(d8, uint8_t{0x78})), hn::Zero(d8));
      if (HWY_UNLIKELY(nans || !hn::AllFalse(d8, subnormal)))
        for (int k = 0; k < kSteps; ++k) w[k][v] = Mend(w[k][v]);
    }
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
