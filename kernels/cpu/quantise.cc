// quantise: the largest magnitude of a block or row, then one division and one rounding an element, all as
// the scalar kernel does them, bit for bit.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/quantise.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/elements.h"
#include "kernels/cpu/ops.h"
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

enum { kX, kEnds, kQ, kScale };

int64_t RowsOf(const KernelCall& call) {
  const int64_t experts = call.has(kEnds) ? call.tensor[kEnds].dim[0] : 0;
  return LiveRows(call, kX, call.data<const int64_t>(kEnds), experts) * InnerRows(call.tensor[kX]);
}

// The largest magnitude is found among the bits, where NaNs are larger than all numbers, so that one is not
// lost.
template <typename T>
HWY_INLINE float LargestOrNan(const T* x, int64_t n, float floor) {
  const DI di;
  auto largest = hn::BitCast(di, hn::Set(DF(), floor));
  for (int64_t c = 0; c < n; c += kLanes)
    largest = hn::Max(largest, hn::BitCast(di, hn::Abs(LoadUpTo(x + c, n - c))));
  HWY_ALIGN float lanes[kLanes];
  hn::Store(hn::BitCast(DF(), largest), DF(), lanes);
  float most = lanes[0];
  for (const float lane : lanes) most = std::isnan(lane) || lane > most ? lane : most;
  return most;
}

HWY_INLINE void StoreI8(VF quotient, int8_t* to, int64_t n) {
  const hn::Rebind<int8_t, DF> d8;
  const auto numbers = hn::IfThenZeroElse(hn::IsNaN(quotient), quotient);
  const auto bytes = hn::DemoteTo(d8, hn::NearestInt(numbers));
  if (n >= kLanes) return hn::StoreU(bytes, d8, to);
  int8_t padded[kLanes];
  hn::StoreU(bytes, d8, padded);
  std::memcpy(to, padded, static_cast<size_t>(n));
}

// Rows become INT8.
template <typename T>
void QuantiseToI8(const KernelCall& call, ThreadPool& pool) {
  const auto& p = call.as<qiao_quantise_params>();
  const qiao_tensor &xt = call.tensor[kX], &qt = call.tensor[kQ], &st = call.tensor[kScale];
  const int64_t width = LastDim(xt);
  pool.ParallelFor(RowsOf(call), Grain(2 * width), [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t row = begin; row < end; ++row) {
      const T* x = call.data<const T>(kX) + RowOffset(xt, row);
      int8_t* q = call.data<int8_t>(kQ) + RowOffset(qt, row);
      const float scale = LargestOrNan(x, width, p.floor) / 127.0f;
      call.data<float>(kScale)[RowOffset(st, row)] = scale;
      const VF divisor = hn::Set(DF(), scale);
      for (int64_t c = 0; c < width; c += kLanes)
        StoreI8(hn::Div(LoadUpTo(x + c, width - c), divisor), q + c, width - c);
    }
  });
}

template <typename T>
void QuantiseRows(const KernelCall& call, ThreadPool& pool) {
  const auto& p = call.as<qiao_quantise_params>();
  const qiao_tensor &xt = call.tensor[kX], &qt = call.tensor[kQ], &st = call.tensor[kScale];
  const int64_t width = LastDim(xt);
  if (qt.dtype == QIAO_I8) return QuantiseToI8<T>(call, pool);
  pool.ParallelFor(RowsOf(call), Grain(8 * width), [&](int64_t begin, int64_t end, int) HWY_ATTR {
    const DF d;
    for (int64_t row = begin; row < end; ++row) {
      const T* x = call.data<const T>(kX) + RowOffset(xt, row);
      E4m3* q = call.data<E4m3>(kQ) + RowOffset(qt, row);
      float* scales = call.data<float>(kScale) + RowOffset(st, row);
      for (int64_t b0 = 0; b0 < width; b0 += p.block) {
        const int64_t b1 = std::min<int64_t>(width, b0 + p.block);
        VF largest = hn::Set(d, p.floor);
        for (int64_t c = b0; c < b1; c += kLanes) {
          const VF v = hn::Abs(LoadUpTo(x + c, b1 - c));
          largest = hn::IfThenElse(hn::Lt(largest, v), v, largest);  // a NaN is passed over
        }
        const float scale = Max(largest) / 448.0f;
        scales[b0 / p.block] = scale;
        for (int64_t c = b0; c < b1; c += kLanes)
          StoreE4m3(hn::Div(LoadUpTo(x + c, b1 - c), hn::Set(d, scale)), q + c, b1 - c);
      }
    }
  });
}

void Quantise(const KernelCall& call, ThreadPool& pool) {
  return call.tensor[0].dtype == QIAO_BF16 ? QuantiseRows<Bf16>(call, pool) : QuantiseRows<float>(call, pool);
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qiao::kernels::cpu {

QIAO_CPU_KERNEL(Quantise)

}  // namespace qiao::kernels::cpu
#endif
