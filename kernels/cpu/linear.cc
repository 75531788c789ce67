// linear and grouped_linear: rows times weights that lie as the files hold them (f32, bf16, f16, E4M3, E5M2;
// block scales or none).
//
// Rows are widened to f32 once a launch. Up to four rows read the weights straight from the file, decoded in
// registers. More rows share a panel: sixteen rows of the weight, decoded once into f32 that stays in the
// second-level cache. Both form the same products and add them in the same order (linear-inl.h), so decoding
// one token and prefilling many agree bit for bit. K is never divided among threads; outputs and blocks of
// rows are.
#include <algorithm>
#include <cstdint>

#include "kernels/cpu/ops.h"
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/linear.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/elements.h"
#include "kernels/cpu/linear-inl.h"
#include "kernels/cpu/linear_problem.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

void Finish(const Problem& p, int64_t group, int64_t row, int64_t n0, int64_t n, const float* sum) {
  const float* bias = p.bias ? p.bias + group * p.bias_group + n0 : nullptr;
  const int64_t y_at = group * p.y_group + row * p.y_row + n0;
  const int64_t r_at = group * p.residual_group + row * p.residual_row + n0;
  const auto finish = [&](auto* y) HWY_ATTR {
    if (p.residual && p.residual_dtype == QIAO_BF16) {
      FinishRow(sum, bias, static_cast<const Bf16*>(p.residual) + r_at, n, y + y_at);
    } else {
      const float* residual = p.residual ? static_cast<const float*>(p.residual) + r_at : nullptr;
      FinishRow(sum, bias, residual, n, y + y_at);
    }
  };
  if (p.y_dtype == QIAO_BF16) {
    finish(static_cast<Bf16*>(p.y));
  } else {
    finish(static_cast<float*>(p.y));
  }
}

// kM rows times the `count` rows of w, in tiles of as many outputs as the registers hold.
template <int kM, bool kPadded, typename T>
void MultiplyChunk(const Problem& p, const Blocks& blocks, const float* x, const T* const* w,
                   const float* const* w_scale, const float* const* x_scale, int64_t count, float* out) {
  constexpr int kN = kM == 1 ? (kManyRegisters ? 8 : 4) : (kManyRegisters ? 4 : 2);
  for (int64_t n = 0; n < count; n += kN)
    MultiplyTile<kM, kN, kPadded>(blocks, x, p.x_row, w + n, w_scale + n, x_scale, p.factor, out + n, kChunk);
}

template <bool kPadded, typename T>
void MultiplyRows(const Problem& p, const Blocks& blocks, int64_t group, int64_t row, int64_t rows,
                  const T* const* w, const float* const* w_scale, int64_t n0, int64_t count) {
  HWY_ALIGN float out[kRowTile * kChunk];
  for (; rows > 0; row += kRowTile, rows -= kRowTile) {
    const int64_t m = std::min(rows, kRowTile);
    const float* x = p.x + group * p.x_group + row * p.x_row;
    const float* scales[kRowTile];
    for (int64_t i = 0; p.x_scale && i < m; ++i)
      scales[i] = p.x_scale + group * p.x_scale_group + (row + i) * p.x_scale_row;
    const float* const* x_scale = p.x_scale ? scales : nullptr;
    switch (m) {
      case 1:
        MultiplyChunk<1, kPadded>(p, blocks, x, w, w_scale, x_scale, count, out);
        break;
      case 2:
        MultiplyChunk<2, kPadded>(p, blocks, x, w, w_scale, x_scale, count, out);
        break;
      case 3:
        MultiplyChunk<3, kPadded>(p, blocks, x, w, w_scale, x_scale, count, out);
        break;
      default:
        MultiplyChunk<4, kPadded>(p, blocks, x, w, w_scale, x_scale, count, out);
        break;
    }
    for (int64_t i = 0; i < m; ++i) Finish(p, group, row + i, n0, count, out + i * kChunk);
  }
}

// Rows row .. row + rows of a group times outputs n0 .. n0 + kChunk.
template <typename T>
void LinearItem(const Problem& p, const Blocks& blocks, int64_t group, int64_t row, int64_t rows, int64_t n0,
                float* panel) {
  const int64_t count = std::min(kChunk, p.w.rows() - n0);
  const T* w[kChunk];
  const float* w_scale[kChunk];
  for (int64_t n = 0; n < kChunk; ++n) {  // those past the end repeat the last; their results are dropped
    const WeightRow found = p.w.Row(group, n0 + std::min(n, count - 1));
    w[n] = reinterpret_cast<const T*>(found.data);
    w_scale[n] = found.scale;
  }
  if (rows <= kRowTile) {
    MultiplyRows<false>(p, blocks, group, row, rows, w, w_scale, n0, count);
    return;
  }
  const float* decoded[kChunk];
  for (int64_t n = 0; n < kChunk; ++n) {
    if (n < count) WidenRow(w[n], blocks, panel + n * blocks.padded);
    decoded[n] = panel + std::min(n, count - 1) * blocks.padded;
  }
  MultiplyRows<true>(p, blocks, group, row, rows, decoded, w_scale, n0, count);
}

using ItemFn = void (*)(const Problem&, const Blocks&, int64_t, int64_t, int64_t, int64_t, float*);
ItemFn ItemFor(uint32_t dtype) {
  switch (dtype) {
    case QIAO_BF16:
      return LinearItem<Bf16>;
    case QIAO_F16:
      return LinearItem<F16>;
    case QIAO_F8E4M3:
      return LinearItem<E4m3>;
    case QIAO_F8E5M2:
      return LinearItem<E5m2>;
    default:
      return LinearItem<float>;
  }
}

// Outputs n0 .. n0 + kPair of one group for all its rows.
template <typename T>
void TransposedItem(const Problem& p, int64_t group, int64_t row, int64_t rows, int64_t n0, float* panel) {
  const DF d;
  const int64_t k_size = p.w.rows(), count = std::min(kPair, p.w.cols() - n0), block = p.w.block_cols();
  float* scale = panel + k_size * kMaxPair;
  auto* run_end = reinterpret_cast<int64_t*>(scale + k_size * kMaxPair);
  int64_t runs = 0, block_row = -1;
  for (int64_t k = 0; k < k_size; ++k) {
    const WeightRow found = p.w.Row(group, k);
    const T* from = reinterpret_cast<const T*>(found.data) + n0;
    VF low, high;
    if (count == kPair) {
      LoadPair(from, low, high);
    } else {
      LoadPairN(from, count, low, high);
    }
    hn::StoreU(low, d, panel + k * kPair);
    hn::StoreU(high, d, panel + k * kPair + kLanes);
    if (k == 0 || found.block_row != block_row) {
      float* s = scale + runs * kPair;
      for (int64_t i = 0; i < kPair; ++i)
        s[i] = (found.scale && i < count ? found.scale[(n0 + i) / block] : 1.0f) * p.factor;
      block_row = found.block_row;
      ++runs;
    }
    run_end[runs - 1] = k + 1;
  }
  HWY_ALIGN float out[kRowTile * kPair];
  for (int64_t m = 0; m < rows; m += kRowTile) {
    const float* x = p.x + group * p.x_group + (row + m) * p.x_row;
    const int64_t n = std::min(rows - m, kRowTile);
    switch (n) {
      case 1:
        MultiplyTransposedTile<1>(x, p.x_row, panel, runs, run_end, scale, out, kPair);
        break;
      case 2:
        MultiplyTransposedTile<2>(x, p.x_row, panel, runs, run_end, scale, out, kPair);
        break;
      case 3:
        MultiplyTransposedTile<3>(x, p.x_row, panel, runs, run_end, scale, out, kPair);
        break;
      default:
        MultiplyTransposedTile<4>(x, p.x_row, panel, runs, run_end, scale, out, kPair);
        break;
    }
    for (int64_t i = 0; i < n; ++i) Finish(p, group, row + m + i, n0, count, out + i * kPair);
  }
}

using TransposedFn = void (*)(const Problem&, int64_t, int64_t, int64_t, int64_t, float*);
TransposedFn TransposedFor(uint32_t dtype) {
  switch (dtype) {
    case QIAO_BF16:
      return TransposedItem<Bf16>;
    case QIAO_F16:
      return TransposedItem<F16>;
    case QIAO_F8E4M3:
      return TransposedItem<E4m3>;
    case QIAO_F8E5M2:
      return TransposedItem<E5m2>;
    default:
      return TransposedItem<float>;
  }
}

// Row `from` of x, of any activation dtype.
void Widen(uint32_t dtype, const void* x, int64_t from, const Blocks& blocks, float* to) {
  switch (dtype) {
    case QIAO_BF16:
      return WidenRow(static_cast<const Bf16*>(x) + from, blocks, to);
    case QIAO_F8E4M3:
      return WidenRow(static_cast<const E4m3*>(x) + from, blocks, to);
    default:
      return WidenRow(static_cast<const float*>(x) + from, blocks, to);
  }
}

float DecodeFactor(uint32_t dtype) { return dtype == QIAO_F8E4M3 ? kDecodeFactor<E4m3> : 1.0f; }

void Linear(const KernelCall& call, ThreadPool& pool) {
  using namespace linear_arg;
  const qiao_tensor xt = WithBatch(call.tensor[kX]), yt = WithBatch(call.tensor[kY]);
  const qiao_tensor rt = WithBatch(call.tensor[kResidual]);
  const Weight w(call.tensor[kW], call.pointer[kW]);
  const bool transposed = call.as<qiao_linear_params>().w_transposed != 0;
  const int64_t live = LiveRows(call, kX), heads = xt.dim[1], k = xt.dim[2], n = yt.dim[2];
  if (live <= 0 || n <= 0) return;
  const int64_t block = ScaleBlock(xt, call.has(kXScale), call.tensor[kW], k);
  const Blocks blocks(k, transposed ? k : block);

  auto* x = static_cast<float*>(call.workspace);
  const int64_t x_floats = xt.dim[0] * heads * PaddedFloats(k, transposed ? k : block);
  float* panels = x + RoundUp(x_floats, 16);
  const int64_t panel_floats = transposed ? TransposedPanelFloats(k) : PanelFloats(k, block);

  const qiao_tensor st = WithBatch(call.tensor[kXScale]);
  const Problem p{
      .w = w,
      .x = x,
      .x_row = blocks.padded,
      .x_group = live * blocks.padded,
      .x_scale = call.has(kXScale) ? call.data<const float>(kXScale) : nullptr,
      .x_scale_row = st.stride[0],
      .x_scale_group = st.stride[1],
      .factor = DecodeFactor(w.dtype()) * DecodeFactor(xt.dtype),
      .bias = call.has(kBias) ? call.data<const float>(kBias) : nullptr,
      .bias_group = n,
      .residual = call.has(kResidual) ? call.pointer[kResidual] : nullptr,
      .residual_dtype = rt.dtype,
      .residual_row = rt.stride[0],
      .residual_group = rt.stride[1],
      .y = call.pointer[kY],
      .y_dtype = yt.dtype,
      .y_row = yt.stride[0],
      .y_group = yt.stride[1],
  };

  pool.ParallelFor(live * heads, Grain(2 * k), [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / live, t = i % live;
      Widen(xt.dtype, call.pointer[kX], t * xt.stride[0] + b * xt.stride[1], blocks, x + i * blocks.padded);
    }
  });

  // Items run through the outputs first, so that a thread meets the same rows of x again while they are
  // cached.
  const int64_t row_block =
      std::clamp<int64_t>(kCachedX / std::max<int64_t>(blocks.padded, 1) / kRowTile * kRowTile, 16, 256);
  const int64_t outputs = transposed ? kPair : kChunk;
  const int64_t chunks = DivideUp(n, outputs), row_blocks = DivideUp(live, row_block);
  const int64_t grain = Grain(std::min(live, row_block) * outputs * k);
  const ItemFn item = ItemFor(w.dtype());
  const TransposedFn transposed_item = TransposedFor(w.dtype());
  pool.ParallelFor(heads * row_blocks * chunks, grain, [&](int64_t begin, int64_t end, int worker) HWY_ATTR {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t chunk = i % chunks, row = i / chunks % row_blocks * row_block,
                    b = i / chunks / row_blocks;
      const int64_t rows = std::min(row_block, live - row);
      float* panel = panels + worker * panel_floats;
      if (transposed) {
        transposed_item(p, b, row, rows, chunk * outputs, panel);
      } else {
        item(p, blocks, b, row, rows, chunk * outputs, panel);
      }
    }
  });
}

void GroupedLinear(const KernelCall& call, ThreadPool& pool) {
  using namespace grouped_arg;
  const qiao_tensor &xt = call.tensor[kX], &yt = call.tensor[kY];
  const Weight w(call.tensor[kW], call.pointer[kW]);
  const int64_t experts = w.groups(), k = xt.dim[1], n = yt.dim[1];
  const auto* ends = call.data<const int64_t>(kEnds);
  const int64_t live = std::min(xt.dim[0], ends[experts - 1]);
  if (live <= 0 || n <= 0) return;
  const int64_t block = ScaleBlock(xt, call.has(kXScale), call.tensor[kW], k);
  const Blocks blocks(k, block);

  auto* x = static_cast<float*>(call.workspace);
  float* panels = x + RoundUp(xt.dim[0] * PaddedFloats(k, block), 16);
  const int64_t panel_floats = PanelFloats(k, block);
  auto* active = reinterpret_cast<int32_t*>(panels + pool.size() * panel_floats);

  // Rows are numbered through all experts, so group strides of the activations are 0.
  const Problem p{
      .w = w,
      .x = x,
      .x_row = blocks.padded,
      .x_group = 0,
      .x_scale = call.has(kXScale) ? call.data<const float>(kXScale) : nullptr,
      .x_scale_row = call.tensor[kXScale].stride[0],
      .x_scale_group = 0,
      .factor = DecodeFactor(w.dtype()) * DecodeFactor(xt.dtype),
      .bias = nullptr,
      .bias_group = 0,
      .residual = nullptr,
      .residual_dtype = QIAO_DTYPE_NONE,
      .residual_row = 0,
      .residual_group = 0,
      .y = call.pointer[kY],
      .y_dtype = yt.dtype,
      .y_row = yt.stride[0],
      .y_group = 0,
  };

  pool.ParallelFor(live, Grain(2 * k), [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t i = begin; i < end; ++i)
      Widen(xt.dtype, call.pointer[kX], i * xt.stride[0], blocks, x + i * blocks.padded);
  });

  int64_t count = 0;
  for (int64_t e = 0; e < experts; ++e)
    if (ends[e] > (e ? ends[e - 1] : 0)) active[count++] = static_cast<int32_t>(e);
  const int64_t chunks = DivideUp(n, kChunk);
  const ItemFn item = ItemFor(w.dtype());
  pool.ParallelFor(
      count * chunks, Grain(live / count * kChunk * k), [&](int64_t begin, int64_t end, int worker) HWY_ATTR {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t e = active[i / chunks];
          const int64_t first = e ? ends[e - 1] : 0, last = std::min(live, ends[e]);
          item(p, blocks, e, first, last - first, i % chunks * kChunk, panels + worker * panel_floats);
        }
      });
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qiao::kernels::cpu {

QIAO_CPU_KERNEL(Linear)
QIAO_CPU_KERNEL(GroupedLinear)

uint64_t LinearWorkspace(const qiao_op_call& call, int threads) {
  const qiao_tensor x = WithBatch(call.argument[kX]);
  const qiao_tensor& w = call.argument[linear_arg::kW];
  const bool transposed = static_cast<const qiao_linear_params*>(call.params)->w_transposed != 0;
  const int64_t k = x.dim[2];
  const int64_t block = transposed ? k : ScaleBlock(x, call.argument[kXScale].dtype != QIAO_DTYPE_NONE, w, k);
  const int64_t rows = RoundUp(x.dim[0] * x.dim[1] * PaddedFloats(k, block), 16);
  const int64_t panel = transposed ? TransposedPanelFloats(k) : PanelFloats(k, block);
  return static_cast<uint64_t>(rows + threads * panel) * sizeof(float);
}

uint64_t GroupedLinearWorkspace(const qiao_op_call& call, int threads) {
  const qiao_tensor& x = call.argument[kX];
  const qiao_tensor& w = call.argument[grouped_arg::kW];
  const int64_t k = x.dim[1];
  const int64_t block = ScaleBlock(x, call.argument[kXScale].dtype != QIAO_DTYPE_NONE, w, k);
  const int64_t rows = RoundUp(x.dim[0] * PaddedFloats(k, block), 16);
  return static_cast<uint64_t>(rows + threads * PanelFloats(k, block)) * sizeof(float) +
         static_cast<uint64_t>(RoundUp(w.dim[0] * 4, 64));
}

}  // namespace qiao::kernels::cpu
#endif
