// Operations that move rows: embedding, gather_rows, kv_write; and attention_schedule, which has nothing to
// divide here (latent_attention finds its items in a few additions), so its output has no bytes.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rows.cc"
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

template <typename T, typename Y>
void EmbeddingRows(const KernelCall& call, ThreadPool& pool) {
  enum { kIds, kW, kY };
  const Weight w(call.tensor[kW], call.pointer[kW]);
  const qiao_tensor& yt = call.tensor[kY];
  const auto* ids = call.data<const int32_t>(kIds);
  const int64_t width = w.cols(), block = w.block_cols();
  pool.ParallelFor(LiveRows(call, kIds), Grain(2 * width), [&](int64_t begin, int64_t end, int) HWY_ATTR {
    const DF d;
    for (int64_t t = begin; t < end; ++t) {
      Y* y = call.data<Y>(kY) + RowOffset(yt, t);
      if (ids[t] < 0 || ids[t] >= w.rows()) {
        std::memset(y, 0, static_cast<size_t>(width) * sizeof(Y));
        continue;
      }
      const WeightRow row = w.Row(0, ids[t]);
      const T* from = reinterpret_cast<const T*>(row.data);
      for (int64_t b0 = 0; b0 < width; b0 += block) {
        const int64_t b1 = std::min(width, b0 + block);
        const VF scale = hn::Set(d, (row.scale ? row.scale[b0 / block] : 1.0f) * kDecodeFactor<T>);
        for (int64_t c = b0; c < b1; c += 2 * kLanes) {
          VF low, high;
          if (c + 2 * kLanes <= b1) {
            LoadPair(from + c, low, high);
          } else {
            LoadPairN(from + c, b1 - c, low, high);
          }
          StoreUpTo(hn::Mul(low, scale), y + c, b1 - c);
          if (c + kLanes < b1) StoreUpTo(hn::Mul(high, scale), y + c + kLanes, b1 - c - kLanes);
        }
      }
    }
  });
}

template <typename T>
void EmbeddingFrom(const KernelCall& call, ThreadPool& pool) {
  return call.tensor[2].dtype == QIAO_BF16 ? EmbeddingRows<T, Bf16>(call, pool)
                                           : EmbeddingRows<T, float>(call, pool);
}

void Embedding(const KernelCall& call, ThreadPool& pool) {
  switch (call.tensor[1].dtype) {
    case QIAO_BF16:
      return EmbeddingFrom<Bf16>(call, pool);
    case QIAO_F16:
      return EmbeddingFrom<F16>(call, pool);
    case QIAO_F8E4M3:
      return EmbeddingFrom<E4m3>(call, pool);
    case QIAO_F8E5M2:
      return EmbeddingFrom<E5m2>(call, pool);
    default:
      return EmbeddingFrom<float>(call, pool);
  }
}

void GatherRows(const KernelCall& call, ThreadPool& pool) {
  enum { kX, kIndex, kY };
  const qiao_tensor &xt = call.tensor[kX], &yt = call.tensor[kY];
  const int64_t element = ElementBytes(xt.dtype), width = LastDim(xt);
  const auto* index = call.data<const int32_t>(kIndex);
  pool.ParallelFor(LiveRows(call, kIndex), Grain(width * element), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      char* y = call.data<char>(kY) + RowOffset(yt, i) * element;
      if (index[i] < 0 || index[i] >= xt.dim[0]) {
        std::memset(y, 0, static_cast<size_t>(width * element));
      } else {
        std::memcpy(y, call.data<const char>(kX) + RowOffset(xt, index[i]) * element,
                    static_cast<size_t>(width * element));
      }
    }
  });
}

template <typename X, typename Y>
void WriteKind(const KernelCall& call, ThreadPool& pool, int from, int pool_argument, int slot_argument) {
  const qiao_tensor &xt = call.tensor[from], &pt = call.tensor[pool_argument];
  const auto* slot = call.data<const int32_t>(slot_argument);
  const int64_t width = LastDim(xt);
  pool.ParallelFor(LiveRows(call, slot_argument), Grain(2 * width),
                   [&](int64_t begin, int64_t end, int) HWY_ATTR {
                     for (int64_t t = begin; t < end; ++t) {
                       if (slot[t] < 0) continue;
                       const X* x = call.data<const X>(from) + RowOffset(xt, t);
                       Y* y = call.data<Y>(pool_argument) + RowOffset(pt, slot[t]);
                       for (int64_t c = 0; c < width; c += kLanes)
                         StoreUpTo(LoadUpTo(x + c, width - c), y + c, width - c);
                     }
                   });
}

// Quantised on the way.
template <typename X>
void WriteScaledKind(const KernelCall& call, ThreadPool& pool, int from, int pool_argument,
                     int scale_argument, int slot_argument) {
  const qiao_tensor &xt = call.tensor[from], &pt = call.tensor[pool_argument],
                    &st = call.tensor[scale_argument];
  const auto* slot = call.data<const int32_t>(slot_argument);
  const int64_t width = LastDim(xt);
  pool.ParallelFor(
      LiveRows(call, slot_argument), Grain(8 * width), [&](int64_t begin, int64_t end, int) HWY_ATTR {
        for (int64_t t = begin; t < end; ++t) {
          if (slot[t] < 0) continue;
          QuantiseRow(call.data<const X>(from) + RowOffset(xt, t), width, pt.block[1], QIAO_KV_SCALE_FLOOR,
                      call.data<E4m3>(pool_argument) + RowOffset(pt, slot[t]),
                      call.data<float>(scale_argument) + RowOffset(st, slot[t]));
        }
      });
}

void KvWrite(const KernelCall& call, ThreadPool& pool) {
  const int kinds = call.as<qiao_kv_write_params>().kinds;
  const uint32_t scaled = call.as<qiao_kv_write_params>().scaled;
  int scale = 2 * kinds + 1;  // of the next kind with scales
  for (int kind = 0; kind < kinds; ++kind) {
    const int to = kinds + 1 + kind;
    if (scaled >> kind & 1) {
      const auto write =
          call.tensor[kind].dtype == QIAO_BF16 ? WriteScaledKind<Bf16> : WriteScaledKind<float>;
      write(call, pool, kind, to, scale++, kinds);
      continue;
    }
    const bool x16 = call.tensor[kind].dtype == QIAO_BF16, y16 = call.tensor[to].dtype == QIAO_BF16;
    const auto write = x16 ? (y16 ? WriteKind<Bf16, Bf16> : WriteKind<Bf16, float>)
                           : (y16 ? WriteKind<float, Bf16> : WriteKind<float, float>);
    write(call, pool, kind, to, kinds);
  }
}

void AttentionSchedule(const KernelCall&, ThreadPool&) {}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qiao::kernels::cpu {

QIAO_CPU_KERNEL(Embedding)
QIAO_CPU_KERNEL(GatherRows)
QIAO_CPU_KERNEL(KvWrite)
QIAO_CPU_KERNEL(AttentionSchedule)

}  // namespace qiao::kernels::cpu
#endif
