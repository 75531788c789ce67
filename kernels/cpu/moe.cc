// moe_gate, moe_permute and moe_combine.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/moe.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/elements.h"
#include "kernels/cpu/gate.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

void MoeGate(const KernelCall& call, ThreadPool& pool) {
  enum { kLogits, kBias, kIds, kWeights };
  const auto& p = call.as<qiao_moe_gate_params>();
  const qiao_tensor& lt = call.tensor[kLogits];
  const int64_t rows = lt.dim[0], experts = lt.dim[1], live = LiveRows(call, kLogits);
  const float* bias = call.has(kBias) ? call.data<const float>(kBias) : nullptr;
  auto* ids = call.data<int32_t>(kIds);
  auto* w = call.data<float>(kWeights);
  const int64_t bytes = GateBytes(experts, std::max(p.groups, 1));
  pool.ParallelFor(live, Grain(experts * 32), [&](int64_t begin, int64_t end, int worker) {
    auto* work = reinterpret_cast<float*>(static_cast<char*>(call.workspace) + worker * bytes);
    for (int64_t t = begin; t < end; ++t) {
      GateRow(p, call.data<const float>(kLogits) + t * lt.stride[0], bias, experts, work, ids + t * p.k,
              w + t * p.k);
    }
  });
  std::fill(ids + live * p.k, ids + rows * p.k, -1);
  std::fill(w + live * p.k, w + rows * p.k, 0.0f);
}

void MoePermute(const KernelCall& call, ThreadPool& pool) {
  enum { kX, kIds, kXp, kEnds, kSlot };
  const qiao_tensor &xt = call.tensor[kX], &it = call.tensor[kIds], &pt = call.tensor[kXp];
  const auto* ids = call.data<const int32_t>(kIds);
  auto* ends = call.data<int64_t>(kEnds);
  auto* slot = call.data<int32_t>(kSlot);
  const int64_t experts = call.as<qiao_moe_permute_params>().experts, k = it.dim[1],
                live = LiveRows(call, kIds);

  SortByExpert(
      ids, live * k, experts, static_cast<int64_t*>(call.workspace),
      [&](int64_t e, int64_t first, int64_t count) { ends[e] = first + count; },
      [&](int64_t i, int64_t at) { slot[i] = static_cast<int32_t>(at); });
  std::fill(slot + live * k, slot + it.dim[0] * k, -1);

  const int64_t bytes = LastDim(xt) * ElementBytes(xt.dtype);
  pool.ParallelFor(live, Grain(k * bytes), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const char* from = call.data<const char>(kX) + RowOffset(xt, t) * ElementBytes(xt.dtype);
      for (int64_t j = 0; j < k; ++j) {
        const int32_t to = slot[t * k + j];
        if (to >= 0)
          std::memcpy(call.data<char>(kXp) + RowOffset(pt, to) * ElementBytes(pt.dtype), from,
                      static_cast<size_t>(bytes));
      }
    }
  });
}

template <typename T>
void CombineRows(const KernelCall& call, ThreadPool& pool) {
  enum { kYp, kSlot, kW, kShared, kY };
  const qiao_tensor &pt = call.tensor[kYp], &st = call.tensor[kShared], &yt = call.tensor[kY];
  const auto* slot = call.data<const int32_t>(kSlot);
  const auto* w = call.data<const float>(kW);
  const int64_t k = call.tensor[kSlot].dim[1], width = LastDim(yt);
  pool.ParallelFor(
      LiveRows(call, kSlot), Grain((k + 1) * width), [&](int64_t begin, int64_t end, int) HWY_ATTR {
        const DF d;
        for (int64_t t = begin; t < end; ++t) {
          const T* shared = call.has(kShared) ? call.data<const T>(kShared) + RowOffset(st, t) : nullptr;
          T* y = call.data<T>(kY) + RowOffset(yt, t);
          for (int64_t c = 0; c < width; c += kLanes) {
            VF sum = hn::Zero(d);
            for (int64_t j = 0; j < k; ++j) {
              const int32_t from = slot[t * k + j];
              if (from < 0) continue;
              const T* yp = call.data<const T>(kYp) + RowOffset(pt, from);
              sum = hn::MulAdd(hn::Set(d, w[t * k + j]), LoadUpTo(yp + c, width - c), sum);
            }
            if (shared) sum = hn::Add(sum, LoadUpTo(shared + c, width - c));
            StoreUpTo(sum, y + c, width - c);
          }
        }
      });
}

void MoeCombine(const KernelCall& call, ThreadPool& pool) {
  return call.tensor[0].dtype == QIAO_BF16 ? CombineRows<Bf16>(call, pool) : CombineRows<float>(call, pool);
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qiao::kernels::cpu {

QIAO_CPU_KERNEL(MoeGate)
QIAO_CPU_KERNEL(MoePermute)
QIAO_CPU_KERNEL(MoeCombine)

uint64_t MoeGateWorkspace(const qiao_op_call& call, int threads) {
  const auto& p = *static_cast<const qiao_moe_gate_params*>(call.params);
  return static_cast<uint64_t>(threads * GateBytes(call.argument[0].dim[1], std::max(p.groups, 1)));
}

uint64_t MoePermuteWorkspace(const qiao_op_call& call, int) {
  return static_cast<uint64_t>(static_cast<const qiao_moe_permute_params*>(call.params)->experts) *
         sizeof(int64_t);
}

}  // namespace qiao::kernels::cpu
#endif
