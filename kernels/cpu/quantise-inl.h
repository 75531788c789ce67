// Rows of numbers as E4M3 with a scale for each block, as the scalar kernel makes them, bit for bit: of
// quantise and kv_write. Once per target.

#if defined(QIAO_KERNELS_CPU_QUANTISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QIAO_KERNELS_CPU_QUANTISE_INL_H_
#undef QIAO_KERNELS_CPU_QUANTISE_INL_H_
#else
#define QIAO_KERNELS_CPU_QUANTISE_INL_H_
#endif

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

// To E4M3, to nearest, ties to even, saturating at 448; NaN becomes the NaN of its sign. Normal numbers are
// rounded as integers at bit 20; below 2^-6, adding 2^14 makes the f32 adder round to multiples of 2^-9.
HWY_INLINE void StoreE4m3(VF v, E4m3* to, int64_t n) {
  const DF d;
  const DI di;
  const VF magnitude = hn::Min(hn::Abs(v), hn::Set(d, 448.0f));
  const auto bits = hn::BitCast(di, magnitude);
  const auto odd = hn::And(hn::ShiftRight<20>(bits), hn::Set(di, 1));
  const auto rounded = hn::ShiftRight<20>(hn::Add(bits, hn::Add(odd, hn::Set(di, 0x7ffff))));
  const auto normal = hn::Sub(rounded, hn::Set(di, (127 - 7) << 3));
  const VF magic = hn::Set(d, 16384.0f);
  const auto subnormal = hn::Sub(hn::BitCast(di, hn::Add(magnitude, magic)), hn::BitCast(di, magic));
  const auto small = hn::RebindMask(di, hn::Lt(magnitude, hn::Set(d, 0.015625f)));
  const auto nan = hn::RebindMask(di, hn::IsNaN(v));
  auto code = hn::IfThenElse(nan, hn::Set(di, 0x7f), hn::IfThenElse(small, subnormal, normal));
  code = hn::Or(code, hn::And(hn::ShiftRight<24>(hn::BitCast(di, v)), hn::Set(di, 0x80)));
  HWY_ALIGN int32_t codes[kLanes];
  hn::Store(code, di, codes);
  for (int64_t i = 0; i < std::min(n, kLanes); ++i) to[i].bits = static_cast<uint8_t>(codes[i]);
}

// One row: scale = max(max |x|, floor) / 448 for each `block` numbers, and q = e4m3(x / scale), in f32
// divisions; the largest passes over NaNs.
template <typename T>
HWY_INLINE void QuantiseRow(const T* x, int64_t width, int64_t block, float floor, E4m3* q, float* scales) {
  const DF d;
  for (int64_t b0 = 0; b0 < width; b0 += block) {
    const int64_t b1 = std::min(width, b0 + block);
    VF largest = hn::Set(d, floor);
    for (int64_t c = b0; c < b1; c += kLanes) {
      const VF v = hn::Abs(LoadUpTo(x + c, b1 - c));
      largest = hn::IfThenElse(hn::Lt(largest, v), v, largest);
    }
    const float scale = Max(largest) / 448.0f;
    scales[b0 / block] = scale;
    for (int64_t c = b0; c < b1; c += kLanes)
      StoreE4m3(hn::Div(LoadUpTo(x + c, b1 - c), hn::Set(d, scale)), q + c, b1 - c);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // QIAO_KERNELS_CPU_QUANTISE_INL_H_
