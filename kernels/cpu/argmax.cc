// argmax: the largest value first, then the first place that holds it.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/argmax.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/elements.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

int64_t FirstOf(const float* x, int64_t n, float value) {
  const DF d;
  const VF wanted = hn::Set(d, value);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    if (!hn::AllFalse(d, hn::Eq(Load(x + i), wanted))) break;
  }
  for (; i < n; ++i)
    if (x[i] == value) return i;
  return -1;
}

void ArgMax(const KernelCall& call, ThreadPool& pool) {
  const qiao_tensor& xt = call.tensor[0];
  const int64_t width = LastDim(xt);
  pool.ParallelFor(LiveRows(call, 0), Grain(width), [&](int64_t begin, int64_t end, int) HWY_ATTR {
    const DF d;
    for (int64_t t = begin; t < end; ++t) {
      const float* x = call.data<const float>(0) + RowOffset(xt, t);
      VF best = hn::Set(d, -std::numeric_limits<float>::infinity());
      int64_t c = 0;
      for (; c + kLanes <= width; c += kLanes) {
        const VF v = Load(x + c);
        best = hn::IfThenElse(hn::Gt(v, best), v, best);  // false for NaN
      }
      float most = Max(best);
      for (; c < width; ++c)
        if (x[c] > most) most = x[c];
      int64_t found = FirstOf(x, width, most);
      // Nothing above -infinity, where Highway's emulated maximum begins at the lowest finite number.
      if (found < 0) found = FirstOf(x, width, -std::numeric_limits<float>::infinity());
      call.data<int32_t>(1)[t] = found < 0 ? 0 : static_cast<int32_t>(found);  // -1: every element is NaN
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qiao::kernels::cpu {

QIAO_CPU_KERNEL(ArgMax)

}  // namespace qiao::kernels::cpu
#endif
