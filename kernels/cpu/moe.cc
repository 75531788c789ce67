// moe_gate, moe_permute and moe_combine.
//
// The gate computes its scores in double and rounds them, as the scalar kernel does, so that both see the
// same ties.
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
#include "kernels/cpu/ops.h"
#include "kernels/cpu/simd-inl.h"

#ifndef QIAO_KERNELS_CPU_MOE_CC_ONCE_
#define QIAO_KERNELS_CPU_MOE_CC_ONCE_
namespace qiao::kernels::cpu {
namespace {

// Of a worker of the gate: scores, choices and group scores in f32, and marks.
inline int64_t GateBytes(int64_t experts, int64_t groups) {
  return RoundUp((2 * experts + groups) * 4 + std::max(experts, groups), 64);
}

void GateScores(const float* logits, int64_t experts, int32_t kind, float* s) {
  if (kind == QIAO_SCORE_SIGMOID) {
    for (int64_t e = 0; e < experts; ++e)
      s[e] = static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(logits[e]))));
    return;
  }
  const double largest = *std::max_element(logits, logits + experts);
  double total = 0;
  for (int64_t e = 0; e < experts; ++e) total += std::exp(static_cast<double>(logits[e]) - largest);
  for (int64_t e = 0; e < experts; ++e)
    s[e] = static_cast<float>(std::exp(static_cast<double>(logits[e]) - largest) / total);
}

// The index of the largest unmarked value, the lowest of equal ones, which is then marked.
int64_t TakeLargest(const float* value, int64_t n, uint8_t* mark) {
  int64_t best = -1;
  for (int64_t i = 0; i < n; ++i)
    if (!mark[i] && (best < 0 || value[i] > value[best])) best = i;
  mark[best] = 1;
  return best;
}

float GroupScore(const float* c, int64_t size, int32_t kind) {
  float first = -std::numeric_limits<float>::infinity(), second = first;
  for (int64_t i = 0; i < size; ++i) {
    if (c[i] > first) {
      second = first;
      first = c[i];
    } else if (c[i] > second) {
      second = c[i];
    }
  }
  return kind == QIAO_GROUP_SCORE_MAX ? first : first + second;
}

// One row: ids and weights of the k chosen experts. `work` holds GateBytes.
void GateRow(const qiao_moe_gate_params& p, const float* logits, const float* bias, int64_t experts,
             float* work, int32_t* ids, float* w) {
  const int64_t groups = std::max(p.groups, 1);
  float *s = work, *c = s + experts, *group = c + experts;
  auto* mark = reinterpret_cast<uint8_t*>(group + groups);
  GateScores(logits, experts, p.score, s);
  for (int64_t e = 0; e < experts; ++e) c[e] = bias ? s[e] + bias[e] : s[e];
  if (groups > 1) {
    const int64_t size = experts / groups;
    for (int64_t g = 0; g < groups; ++g) group[g] = GroupScore(c + g * size, size, p.group_score);
    std::memset(mark, 0, static_cast<size_t>(groups));
    for (int32_t j = 0; j < p.topk_group; ++j) TakeLargest(group, groups, mark);
    for (int64_t g = 0; g < groups; ++g)
      if (!mark[g]) std::fill_n(c + g * size, size, p.mask_value);
  }
  std::memset(mark, 0, static_cast<size_t>(experts));
  double total = 0;
  for (int32_t j = 0; j < p.k; ++j) {
    ids[j] = static_cast<int32_t>(TakeLargest(c, experts, mark));
    total += s[ids[j]];
  }
  const double divisor = p.renormalise ? total + static_cast<double>(p.renorm_eps) : 1.0;
  for (int32_t j = 0; j < p.k; ++j)
    w[j] = static_cast<float>(s[ids[j]] / divisor * static_cast<double>(p.scale));
}

}  // namespace
}  // namespace qiao::kernels::cpu
#endif

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

  // A counting sort: stable, so equal experts keep the order of (row, choice).
  auto* next = static_cast<int64_t*>(call.workspace);
  std::fill_n(next, experts, 0);
  const auto known = [&](int32_t e) { return e >= 0 && e < experts; };
  for (int64_t i = 0; i < live * k; ++i)
    if (known(ids[i])) ++next[ids[i]];
  for (int64_t e = 0, sum = 0; e < experts; ++e) {
    const int64_t count = next[e];
    next[e] = sum;
    ends[e] = sum += count;
  }
  for (int64_t i = 0; i < live * k; ++i) slot[i] = known(ids[i]) ? static_cast<int32_t>(next[ids[i]]++) : -1;
  std::fill(slot + live * k, slot + it.dim[0] * k, -1);

  const int64_t bytes = LastDim(xt) * SizeOfElement(xt.dtype);
  pool.ParallelFor(live, Grain(k * bytes), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const char* from = call.data<const char>(kX) + RowOffset(xt, t) * SizeOfElement(xt.dtype);
      for (int64_t j = 0; j < k; ++j) {
        const int32_t to = slot[t * k + j];
        if (to >= 0)
          std::memcpy(call.data<char>(kXp) + RowOffset(pt, to) * SizeOfElement(pt.dtype), from,
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
