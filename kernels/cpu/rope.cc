// rope_table and rope. The table is made once a step, so it uses the C library's double functions; rope
// itself is a few products a pair, left to the compiler's vectoriser over a widened copy of the rotated
// channels.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rope.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/elements.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

void RopeTable(const KernelCall& call, ThreadPool& pool) {
  enum { kPositions, kInvFreq, kCos, kSin };
  const auto* positions = call.data<const int32_t>(kPositions);
  const auto* inv_freq = call.data<const float>(kInvFreq);
  const double factor = call.as<qiao_rope_table_params>().factor;
  const int64_t pairs = call.tensor[kInvFreq].dim[0];
  pool.ParallelFor(LiveRows(call, kPositions), Grain(256 * pairs), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t i = 0; i < pairs; ++i) {
        const double angle =
            static_cast<float>(positions[t]) * inv_freq[i];  // rounded to f32, as the models were trained
        call.data<float>(kCos)[t * pairs + i] = static_cast<float>(std::cos(angle) * factor);
        call.data<float>(kSin)[t * pairs + i] = static_cast<float>(std::sin(angle) * factor);
      }
    }
  });
}

template <typename T>
void RopeRows(const KernelCall& call, ThreadPool& pool) {
  enum { kX, kCos, kSin, kY };
  const auto& p = call.as<qiao_rope_params>();
  const qiao_tensor &xt = call.tensor[kX], &yt = call.tensor[kY];
  const int64_t width = LastDim(xt), heads = InnerRows(xt), pairs = p.width / 2;
  // Where the partners of pair i lie, from its first channel on.
  const int64_t step = p.style == QIAO_ROPE_HALF ? 1 : 2, apart = p.style == QIAO_ROPE_HALF ? pairs : 1;
  const float sign = p.inverse ? -1.0f : 1.0f;
  pool.ParallelFor(LiveRows(call, kX), Grain(8 * width * heads),
                   [&](int64_t begin, int64_t end, int) HWY_ATTR {
                     for (int64_t t = begin; t < end; ++t) {
                       const float* cosine = call.data<const float>(kCos) + t * pairs;
                       const float* sine = call.data<const float>(kSin) + t * pairs;
                       for (int64_t h = 0; h < heads; ++h) {
                         const T* x = call.data<const T>(kX) + RowOffset(xt, t * heads + h);
                         T* y = call.data<T>(kY) + RowOffset(yt, t * heads + h);
                         if (x != y) {
                           std::memcpy(y, x, static_cast<size_t>(p.offset) * sizeof(T));
                           const int64_t rest = p.offset + p.width;
                           std::memcpy(y + rest, x + rest, static_cast<size_t>(width - rest) * sizeof(T));
                         }
                         // kLanes pairs at a time, so that any width passes through a small buffer.
                         for (int64_t i0 = 0; i0 < pairs; i0 += kLanes) {
                           const int64_t n = std::min(kLanes, pairs - i0);
                           HWY_ALIGN T first[kLanes] = {}, second[kLanes] = {};
                           HWY_ALIGN float c[kLanes] = {}, s[kLanes] = {};
                           const int64_t at = p.offset + i0 * step;
                           for (int64_t i = 0; i < n; ++i) {
                             first[i] = x[at + i * step];
                             second[i] = x[at + i * step + apart];
                             c[i] = cosine[i0 + i];
                             s[i] = sine[i0 + i] * sign;
                           }
                           const VF a = Load(first), b = Load(second), vc = Load(c), vs = Load(s);
                           Store(hn::NegMulAdd(b, vs, hn::Mul(a, vc)), first);
                           Store(hn::MulAdd(a, vs, hn::Mul(b, vc)), second);
                           for (int64_t i = 0; i < n; ++i) {
                             y[at + i * step] = first[i];
                             y[at + i * step + apart] = second[i];
                           }
                         }
                       }
                     }
                   });
}

void Rope(const KernelCall& call, ThreadPool& pool) {
  return call.tensor[0].dtype == QIAO_BF16 ? RopeRows<Bf16>(call, pool) : RopeRows<float>(call, pool);
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qiao::kernels::cpu {

QIAO_CPU_KERNEL(RopeTable)
QIAO_CPU_KERNEL(Rope)

}  // namespace qiao::kernels::cpu
#endif
