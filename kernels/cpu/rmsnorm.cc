// rmsnorm: two vector accumulators of squares over a row, then (x * 1/rms) * g.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rmsnorm.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/elements.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

template <typename T>
void RmsNormRows(const KernelCall& call, ThreadPool& pool) {
  enum { kX, kG, kY };
  const qiao_tensor &xt = call.tensor[kX], &yt = call.tensor[kY];
  const int64_t width = LastDim(xt);
  const float eps = call.as<qiao_rmsnorm_params>().eps;
  const float* g = call.data<const float>(kG);
  pool.ParallelFor(LiveRows(call, kX) * InnerRows(xt), Grain(4 * width),
                   [&](int64_t begin, int64_t end, int) HWY_ATTR {
                     const DF d;
                     for (int64_t row = begin; row < end; ++row) {
                       const T* x = call.data<const T>(kX) + RowOffset(xt, row);
                       T* y = call.data<T>(kY) + RowOffset(yt, row);
                       VF even = hn::Zero(d), odd = hn::Zero(d);
                       for (int64_t c = 0; c < width; c += 2 * kLanes) {
                         const VF a = LoadUpTo(x + c, width - c);
                         even = hn::MulAdd(a, a, even);
                         if (c + kLanes >= width) break;
                         const VF b = LoadUpTo(x + c + kLanes, width - c - kLanes);
                         odd = hn::MulAdd(b, b, odd);
                       }
                       const float mean = Sum(hn::Add(even, odd)) / static_cast<float>(width);
                       const VF inverse = hn::Set(d, 1.0f / std::sqrt(mean + eps));
                       for (int64_t c = 0; c < width; c += kLanes) {
                         const VF v = hn::Mul(LoadUpTo(x + c, width - c), inverse);
                         StoreUpTo(hn::Mul(v, LoadUpTo(g + c, width - c)), y + c, width - c);
                       }
                     }
                   });
}

void RmsNorm(const KernelCall& call, ThreadPool& pool) {
  return call.tensor[0].dtype == QIAO_BF16 ? RmsNormRows<Bf16>(call, pool) : RmsNormRows<float>(call, pool);
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qiao::kernels::cpu {

QIAO_CPU_KERNEL(RmsNorm)

}  // namespace qiao::kernels::cpu
#endif
