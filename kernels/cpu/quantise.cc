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
#include "kernels/cpu/quantise-inl.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

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
    for (int64_t row = begin; row < end; ++row) {
      QuantiseRow(call.data<const T>(kX) + RowOffset(xt, row), width, p.block, p.floor,
                  call.data<E4m3>(kQ) + RowOffset(qt, row), call.data<float>(kScale) + RowOffset(st, row));
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
