// add, cast and swiglu: each element for itself, in f32, rounded once.
#include <algorithm>
#include <cstdint>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/elements.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

// For each live row of argument 0: body(row).
template <typename Body>
void ForRows(const KernelCall& call, ThreadPool& pool, int64_t live, int64_t work, const Body& body) {
  const int64_t rows = live * InnerRows(call.tensor[0]);
  pool.ParallelFor(rows, Grain(work), [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t row = begin; row < end; ++row) body(row);
  });
}

template <typename T>
void AddRows(const KernelCall& call, ThreadPool& pool) {
  const qiao_tensor &at = call.tensor[0], &bt = call.tensor[1], &yt = call.tensor[2];
  const int64_t width = LastDim(at);
  ForRows(call, pool, LiveRows(call, 0), 2 * width, [&](int64_t row) HWY_ATTR {
    const T* a = call.data<const T>(0) + RowOffset(at, row);
    const T* b = call.data<const T>(1) + RowOffset(bt, row);
    T* y = call.data<T>(2) + RowOffset(yt, row);
    for (int64_t c = 0; c < width; c += kLanes)
      StoreUpTo(hn::Add(LoadUpTo(a + c, width - c), LoadUpTo(b + c, width - c)), y + c, width - c);
  });
}

void Add(const KernelCall& call, ThreadPool& pool) {
  return call.tensor[0].dtype == QIAO_BF16 ? AddRows<Bf16>(call, pool) : AddRows<float>(call, pool);
}

template <typename X, typename Y>
void CastRows(const KernelCall& call, ThreadPool& pool) {
  const qiao_tensor &xt = call.tensor[0], &yt = call.tensor[1];
  const int64_t width = LastDim(xt);
  ForRows(call, pool, LiveRows(call, 0), 2 * width, [&](int64_t row) HWY_ATTR {
    const X* x = call.data<const X>(0) + RowOffset(xt, row);
    Y* y = call.data<Y>(1) + RowOffset(yt, row);
    for (int64_t c = 0; c < width; c += kLanes) StoreUpTo(LoadUpTo(x + c, width - c), y + c, width - c);
  });
}

template <typename X>
void CastFrom(const KernelCall& call, ThreadPool& pool) {
  return call.tensor[1].dtype == QIAO_BF16 ? CastRows<X, Bf16>(call, pool) : CastRows<X, float>(call, pool);
}

void Cast(const KernelCall& call, ThreadPool& pool) {
  switch (call.tensor[0].dtype) {
    case QIAO_BF16:
      return CastFrom<Bf16>(call, pool);
    case QIAO_F16:
      return CastFrom<F16>(call, pool);
    default:
      return CastFrom<float>(call, pool);
  }
}

template <typename T>
void SwiGluRows(const KernelCall& call, ThreadPool& pool) {
  enum { kX, kEnds, kY };
  const qiao_tensor &xt = call.tensor[kX], &yt = call.tensor[kY];
  const int64_t width = LastDim(yt);
  int64_t live = LiveRows(call, kX);
  if (call.has(kEnds))
    live = std::min(xt.dim[0], call.data<const int64_t>(kEnds)[call.tensor[kEnds].dim[0] - 1]);
  ForRows(call, pool, live, 16 * width, [&](int64_t row) HWY_ATTR {
    const DF d;
    const T* gate = call.data<const T>(kX) + RowOffset(xt, row);
    const T* up = gate + width;
    T* y = call.data<T>(kY) + RowOffset(yt, row);
    for (int64_t c = 0; c < width; c += kLanes) {
      const VF g = LoadUpTo(gate + c, width - c);
      const VF silu = hn::Div(g, hn::Add(hn::Set(d, 1.0f), Exp(hn::Neg(g))));
      StoreUpTo(hn::Mul(silu, LoadUpTo(up + c, width - c)), y + c, width - c);
    }
  });
}

void SwiGlu(const KernelCall& call, ThreadPool& pool) {
  return call.tensor[0].dtype == QIAO_BF16 ? SwiGluRows<Bf16>(call, pool) : SwiGluRows<float>(call, pool);
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qiao::kernels::cpu {

QIAO_CPU_KERNEL(Add)
QIAO_CPU_KERNEL(Cast)
QIAO_CPU_KERNEL(SwiGlu)

}  // namespace qiao::kernels::cpu
#endif
