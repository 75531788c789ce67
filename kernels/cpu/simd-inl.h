// What the kernels share of each target: loads that widen to f32, stores that round, exp, sums over lanes.
// Included once per target, in the middle of a source, as Highway's own -inl headers are.

#if defined(QIAO_KERNELS_CPU_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QIAO_KERNELS_CPU_SIMD_INL_H_
#undef QIAO_KERNELS_CPU_SIMD_INL_H_
#else
#define QIAO_KERNELS_CPU_SIMD_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/cpu/elements.h"
#include "runtime/base/floats.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<DF>;
using DU = hn::RebindToUnsigned<DF>;
using VF = hn::Vec<DF>;
inline constexpr int64_t kLanes = hn::MaxLanes(DF());

// ---- loads: kLanes elements as f32, exactly

HWY_INLINE VF Load(const float* p) { return hn::LoadU(DF(), p); }
HWY_INLINE VF Load(const Bf16* p) {
  const hn::Rebind<uint16_t, DF> d16;
  return hn::BitCast(DF(), hn::ShiftLeft<16>(hn::PromoteTo(DU(), hn::LoadU(d16, &p->bits))));
}
// binary16. Where the target has no instruction for it, Highway computes it from the bits and takes an
// exponent of all ones for a number of 65536 and above; such numbers are infinities and NaNs.
template <typename V>
HWY_INLINE VF FromF16(V v) {
  const DF d;
  const VF f = hn::PromoteTo(d, v);
#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_EMU128
  const VF infinity = hn::BitCast(d, hn::Set(DU(), 0x7f800000u));
  return hn::IfThenElse(hn::Ge(hn::Abs(f), hn::Set(d, 65536.0f)), hn::Or(f, infinity), f);
#else
  return f;
#endif
}
HWY_INLINE VF Load(const F16* p) {
  const hn::Rebind<hwy::float16_t, DF> d16;
  return FromF16(hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(p)));
}

// ---- pairs: 2 * kLanes consecutive elements

template <typename T>
HWY_INLINE void LoadPair(const T* p, VF& low, VF& high) {
  low = Load(p);
  high = Load(p + kLanes);
}

// E4M3 becomes binary16 by moving its bits: seeeemmm is s0eeeemmm0000000, whose exponent bias of 15 instead
// of 7 makes it 2^-8 of the number (kDecodeFactor), for subnormals too. 2^8 is multiplied into the scale,
// where it is exact. The sign-extending load puts the sign into bit 15. Only the NaN 1111.111 carries into
// bit 14 when one is added to the mantissa; that bit makes binary16's exponent all ones. E5M2 is the upper
// byte of binary16.

#if HWY_TARGET == HWY_SCALAR

HWY_INLINE VF FromF16Bits(int32_t bits) { return hn::Set(DF(), F16ToFloat(static_cast<uint16_t>(bits))); }
HWY_INLINE int32_t E4m3ToF16Bits(uint8_t v) {
  const int32_t moved = (static_cast<int8_t>(v) * 128) & 0xbf80;
  return moved | ((moved + 0x80) & 0x4000);
}
HWY_INLINE void LoadPair(const E4m3* p, VF& low, VF& high) {
  low = FromF16Bits(E4m3ToF16Bits(p[0].bits));
  high = FromF16Bits(E4m3ToF16Bits(p[1].bits));
}
HWY_INLINE void LoadPair(const E5m2* p, VF& low, VF& high) {
  low = FromF16Bits(p[0].bits << 8);
  high = FromF16Bits(p[1].bits << 8);
}

#else

using DI16 = hn::Repartition<int16_t, DF>;
using DI8Half = hn::Rebind<int8_t, DI16>;

HWY_INLINE void PromoteF16Bits(hn::Vec<DI16> bits, VF& low, VF& high) {
  const hn::Half<DI16> half;
  const hn::Rebind<hwy::float16_t, DF> d16;
  low = FromF16(hn::BitCast(d16, hn::LowerHalf(half, bits)));
  high = FromF16(hn::BitCast(d16, hn::UpperHalf(half, bits)));
}

HWY_INLINE void LoadPair(const E4m3* p, VF& low, VF& high) {
  const DI16 d;
  const auto bytes = hn::LoadU(DI8Half(), reinterpret_cast<const int8_t*>(p));
  const auto moved =
      hn::And(hn::ShiftLeft<7>(hn::PromoteTo(d, bytes)), hn::Set(d, static_cast<int16_t>(0xbf80)));
  const auto nan = hn::And(hn::Add(moved, hn::Set(d, int16_t{0x80})), hn::Set(d, int16_t{0x4000}));
  PromoteF16Bits(hn::Or(moved, nan), low, high);
}

HWY_INLINE void LoadPair(const E5m2* p, VF& low, VF& high) {
  const DI16 d;
  const auto bytes = hn::LoadU(DI8Half(), reinterpret_cast<const int8_t*>(p));
  PromoteF16Bits(hn::ShiftLeft<8>(hn::PromoteTo(d, bytes)), low, high);
}

#endif

// The first n of them, 0 <= n <= 2 * kLanes, zeros after; nothing past p + n is read.
template <typename T>
HWY_INLINE void LoadPairN(const T* p, int64_t n, VF& low, VF& high) {
  HWY_ALIGN T padded[2 * kLanes] = {};
  std::memcpy(padded, p, static_cast<size_t>(std::min(n, 2 * kLanes)) * sizeof(T));
  LoadPair(padded, low, high);
}

template <typename T>
HWY_INLINE VF LoadN(const T* p, int64_t n) {
  if constexpr (kLanes == 1) return n > 0 ? Load(p) : hn::Zero(DF());
  HWY_ALIGN T padded[kLanes] = {};
  std::memcpy(padded, p, static_cast<size_t>(std::min(n, kLanes)) * sizeof(T));
  return Load(padded);
}

// ---- stores: round to nearest, ties to even

HWY_INLINE void Store(VF v, float* p) { hn::StoreU(v, DF(), p); }
// v as bf16, in the lower halves.
HWY_INLINE hn::Vec<DU> RoundedToBf16(VF v) {
  const DU du;
  const auto bits = hn::BitCast(du, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fffu))));
  const auto quiet = hn::Or(hn::ShiftRight<16>(bits), hn::Set(du, 0x40u));
  return hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(v)), quiet, rounded);
}
HWY_INLINE void Store(VF v, Bf16* p) {
  const hn::Rebind<uint16_t, DF> d16;
  hn::StoreU(hn::DemoteTo(d16, hn::BitCast(DI(), RoundedToBf16(v))), d16, &p->bits);
}

template <typename T>
HWY_INLINE void StoreN(VF v, T* p, int64_t n) {
  if constexpr (kLanes == 1) {
    if (n > 0) Store(v, p);
    return;
  }
  HWY_ALIGN T padded[kLanes];
  Store(v, padded);
  std::memcpy(p, padded, static_cast<size_t>(std::min(n, kLanes)) * sizeof(T));
}

// y[i] = f(i, vector of inputs ...) over n elements: `step` gets the index and the count of live lanes; full
// vectors first, then one partial.
template <typename T>
HWY_INLINE VF LoadUpTo(const T* p, int64_t n) {
  return n >= kLanes ? Load(p) : LoadN(p, n);
}
template <typename T>
HWY_INLINE void StoreUpTo(VF v, T* p, int64_t n) {
  if (n >= kLanes) {
    Store(v, p);
  } else {
    StoreN(v, p, n);
  }
}

// ---- arithmetic

HWY_INLINE float Sum(VF v) { return hn::GetLane(hn::SumOfLanes(DF(), v)); }
HWY_INLINE float Max(VF v) { return hn::GetLane(hn::MaxOfLanes(DF(), v)); }

// e^x within 2 ulp for x <= 88; 0 below -87.3, where f32 has only subnormals left. x is n ln2 + r with |r| <=
// ln2 / 2 (n ln2 in two parts, the first with few enough bits that the product is exact), e^r a polynomial
// (Cephes' expf), and 2^n is added to the exponent. NaN gives NaN.
HWY_INLINE VF Exp(VF x) {
  const DF d;
  const VF clamped = hn::Min(hn::Max(x, hn::Set(d, -87.5f)), hn::Set(d, 88.3762626647949f));
  const VF n = hn::Round(hn::Mul(clamped, hn::Set(d, 1.44269504088896341f)));
  VF r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), clamped);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  VF p = hn::Set(d, 1.9875691500e-4f);
  p = hn::MulAdd(p, r, hn::Set(d, 1.3981999507e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 8.3334519073e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.1665795894e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.6666665459e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.0000001201e-1f));
  p = hn::Add(hn::MulAdd(hn::Mul(r, r), p, r), hn::Set(d, 1.0f));
  const DI di;
  const auto power = hn::ShiftLeft<23>(hn::ConvertTo(di, n));
  const VF result = hn::BitCast(d, hn::Add(hn::BitCast(di, p), power));
  const VF flushed = hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.3365447f)), result);
  return hn::IfThenElse(hn::IsNaN(x), x, flushed);
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // QIAO_KERNELS_CPU_SIMD_INL_H_
