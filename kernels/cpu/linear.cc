// linear and grouped_linear: which rows meet which outputs, and on which thread. The products themselves are
// behind multiply.h.
//
// Rows are packed once a launch. K is never divided among threads; outputs and blocks of rows are.
#include <algorithm>
#include <cstdint>

#include "kernels/common/elements.h"
#include "kernels/cpu/linear_arguments.h"
#include "kernels/cpu/multiply.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/weight_groups.h"
#include "kernels/cpu/work.h"

namespace qiao::kernels::cpu {
namespace {

const std::byte* Bytes(const KernelCall& call, int i) { return call.data<const std::byte>(i); }

void Linear(const KernelCall& call, ThreadPool& pool, Isa isa) {
  using namespace linear_arg;
  const qiao_tensor xt = WithBatch(call.tensor[kX]), yt = WithBatch(call.tensor[kY]);
  const qiao_tensor rt = WithBatch(call.tensor[kResidual]), st = WithBatch(call.tensor[kXScale]);
  const qiao_tensor& wt = call.tensor[kW];
  const bool transposed = call.as<qiao_linear_params>().w_transposed != 0, scaled_x = call.has(kXScale);
  const int64_t live = LiveRows(call, kX), heads = xt.dim[1], k = xt.dim[2], n = yt.dim[2];
  if (live <= 0 || n <= 0) return;
  const Blocks blocks(k, ScaleColumns(wt, call.pointer[kW], transposed, scaled_x ? xt.block[1] : 0));
  const Products& products = ProductsFor(isa, xt.dtype, wt, blocks, transposed);
  const int64_t padded = blocks.padded();

  Memory memory(call.workspace);
  float* x = memory.Take<float>(live * heads * padded);
  float* x_scale = scaled_x ? memory.Take<float>(live * heads * blocks.count) : nullptr;
  const int64_t row_block = RowBlock(live, products);
  const int64_t row_blocks = DivideUp(live, row_block);
  // Packed rows of (head, row block), one after the other.
  const auto rows_of = [&](int64_t r) { return std::min(row_block, live - r * row_block); };
  pool.ParallelFor(live * heads, Grain(2 * k), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end;) {
      const int64_t head = i / live, t = i % live, r = t / row_block, rows = rows_of(r);
      const int64_t first = t - r * row_block, count = std::min(rows - first, end - i);
      const int64_t element = ElementBytes(xt.dtype), at = head * live + r * row_block;
      products.pack({.blocks = &blocks,
                     .dtype = xt.dtype,
                     .x = Bytes(call, kX) + (r * row_block * xt.stride[0] + head * xt.stride[1]) * element,
                     .stride = xt.stride[0] * element,
                     .index = nullptr,
                     .scale = scaled_x ? call.data<const float>(kXScale) + r * row_block * st.stride[0] +
                                             head * st.stride[1]
                                       : nullptr,
                     .scale_stride = st.stride[0],
                     .rows = rows,
                     .begin = first,
                     .end = first + count,
                     .out = x + at * padded,
                     .out_scale = x_scale + at * blocks.count});
      i += count;
    }
  });

  // Items run through the outputs first, so that a thread meets the same rows of x again while they are
  // cached.
  const int64_t groups = DivideUp(n, kGroup);
  const int64_t together = Together(groups * heads * row_blocks, rows_of(0), pool.size(), products);
  const int64_t chunks = DivideUp(groups, together);
  const int64_t y_element = ElementBytes(yt.dtype), r_element = ElementBytes(rt.dtype);
  std::byte* workers = memory.Take<std::byte>(0);
  const int64_t worker_bytes = WorkerBytes(row_block, ResolverBytes(blocks, transposed));
  const float factor = DecodeFactor(xt.dtype);
  const int64_t grain = Grain(rows_of(0) * together * kGroup * k);
  pool.ParallelFor(heads * row_blocks * chunks, grain, [&](int64_t begin, int64_t end, int worker) {
    const Worker own(workers + worker * worker_bytes, row_block);
    GroupResolver resolver(wt, call.pointer[kW], blocks, transposed, own.resolver);
    resolver.set_step(together);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t head = i / chunks / row_blocks, r = i / chunks % row_blocks;
      const int64_t rows = rows_of(r), g0 = i % chunks * together, at = head * live + r * row_block;
      const int count = static_cast<int>(std::min(together, groups - g0));
      GroupRef group[kMaxGroups];
      for (int g = 0; g < count; ++g) {
        const int64_t first = (g0 + g) * kGroup;
        group[g] = resolver.Resolve(g, head, first, std::min(kGroup, n - first));
      }
      products.multiply({.blocks = &blocks,
                         .dtype = wt.dtype,
                         .group = group,
                         .groups = count,
                         .x = x + at * padded,
                         .x_scale = x_scale ? x_scale + at * blocks.count : nullptr,
                         .rows = rows,
                         .factor = factor,
                         .sum = own.sum,
                         .scratch = own.scratch});
      const int64_t n0 = g0 * kGroup, width = std::min(count * kGroup, n - n0);
      for (int64_t m = 0; m < rows; ++m) {
        const int64_t t = r * row_block + m;
        const int64_t y_at = t * yt.stride[0] + head * yt.stride[1] + n0;
        const int64_t r_at = t * rt.stride[0] + head * rt.stride[1] + n0;
        products.finish(own.sum + m * count * kGroup,
                        call.has(kBias) ? call.data<const float>(kBias) + head * n + n0 : nullptr,
                        call.has(kResidual) ? Bytes(call, kResidual) + r_at * r_element : nullptr, rt.dtype,
                        width, call.data<std::byte>(kY) + y_at * y_element, yt.dtype);
      }
    }
  });
}

void GroupedLinear(const KernelCall& call, ThreadPool& pool, Isa isa) {
  using namespace grouped_arg;
  const qiao_tensor &xt = call.tensor[kX], &yt = call.tensor[kY], &wt = call.tensor[kW];
  const int64_t experts = wt.dim[0], k = xt.dim[1], n = yt.dim[1];
  const bool scaled_x = call.has(kXScale);
  const auto* ends = call.data<const int64_t>(kEnds);
  const int64_t live = std::min(xt.dim[0], ends[experts - 1]);
  if (live <= 0 || n <= 0) return;
  const Blocks blocks(k, ScaleColumns(wt, call.pointer[kW], false, scaled_x ? xt.block[1] : 0));
  const Products& products = ProductsFor(isa, xt.dtype, wt, blocks, false);
  const int64_t padded = blocks.padded(), element = ElementBytes(xt.dtype);

  // Blocks of rows of one expert.
  Memory memory(call.workspace);
  struct Run {
    int32_t expert, first, rows;
  };
  Run* run = memory.Take<Run>(experts + MostBlocks(xt.dim[0]));
  float* x = memory.Take<float>(live * padded);
  float* x_scale = scaled_x ? memory.Take<float>(live * blocks.count) : nullptr;
  int64_t runs = 0, most = 0;
  for (int64_t e = 0; e < experts; ++e) {
    const int64_t first = e ? ends[e - 1] : 0, last = std::min(live, ends[e]);
    if (last <= first) continue;
    const int64_t step = RowBlock(last - first, products);
    for (int64_t r = first; r < last; r += step) {
      const int64_t rows = std::min(step, last - r);
      run[runs++] = {static_cast<int32_t>(e), static_cast<int32_t>(r), static_cast<int32_t>(rows)};
      most = std::max(most, rows);
    }
  }
  pool.ParallelFor(runs, Grain(2 * k * (live / runs)), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      products.pack(
          {.blocks = &blocks,
           .dtype = xt.dtype,
           .x = Bytes(call, kX) + run[i].first * xt.stride[0] * element,
           .stride = xt.stride[0] * element,
           .index = nullptr,
           .scale = scaled_x ? call.data<const float>(kXScale) + run[i].first * call.tensor[kXScale].stride[0]
                             : nullptr,
           .scale_stride = call.tensor[kXScale].stride[0],
           .rows = run[i].rows,
           .begin = 0,
           .end = run[i].rows,
           .out = x + run[i].first * padded,
           .out_scale = x_scale + run[i].first * blocks.count});
    }
  });

  const int64_t groups = DivideUp(n, kGroup);
  const int64_t together = Together(groups * runs, live / runs, pool.size(), products);
  const int64_t chunks = DivideUp(groups, together), y_element = ElementBytes(yt.dtype);
  std::byte* workers = memory.Take<std::byte>(0);
  const int64_t worker_bytes = WorkerBytes(most, ResolverBytes(blocks, false));
  const float factor = DecodeFactor(xt.dtype);
  const int64_t grain = Grain(live / runs * together * kGroup * k);
  pool.ParallelFor(runs * chunks, grain, [&](int64_t begin, int64_t end, int worker) {
    const Worker own(workers + worker * worker_bytes, most);
    GroupResolver resolver(wt, call.pointer[kW], blocks, false, own.resolver);
    resolver.set_step(together);
    for (int64_t i = begin; i < end; ++i) {
      const Run& at = run[i / chunks];
      const int64_t g0 = i % chunks * together;
      const int count = static_cast<int>(std::min(together, groups - g0));
      GroupRef group[kMaxGroups];
      for (int g = 0; g < count; ++g) {
        const int64_t first = (g0 + g) * kGroup;
        group[g] = resolver.Resolve(g, at.expert, first, std::min(kGroup, n - first));
      }
      products.multiply({.blocks = &blocks,
                         .dtype = wt.dtype,
                         .group = group,
                         .groups = count,
                         .x = x + at.first * padded,
                         .x_scale = x_scale ? x_scale + at.first * blocks.count : nullptr,
                         .rows = at.rows,
                         .factor = factor,
                         .sum = own.sum,
                         .scratch = own.scratch});
      const int64_t n0 = g0 * kGroup, width = std::min(count * kGroup, n - n0);
      for (int64_t m = 0; m < at.rows; ++m) {
        products.finish(own.sum + m * count * kGroup, nullptr, nullptr, QIAO_F32, width,
                        call.data<std::byte>(kY) + ((at.first + m) * yt.stride[0] + n0) * y_element,
                        yt.dtype);
      }
    }
  });
}

// Floats of `rows` packed rows of K columns, with their scales, at most.
int64_t PackedBytes(int64_t rows, int64_t k, const qiao_tensor& w, bool transposed, bool scaled_x,
                    const qiao_tensor& x) {
  int64_t padded = k * kBlockStep, count = k;  // in the transposed form a block may be one column
  if (!transposed) {
    const Blocks blocks(k, w.scheme == QIAO_SCHEME_BLOCK ? w.block[1] : scaled_x ? x.block[1] : 0);
    padded = blocks.padded();
    count = blocks.count;
  } else if (w.scheme != QIAO_SCHEME_BLOCK) {
    padded = RoundUp(k, kBlockStep);
  }
  return RoundUp(rows * padded * 4, 64) + (scaled_x ? RoundUp(rows * count * 4, 64) : 0);
}

}  // namespace

QIAO_CPU_LAUNCHER(Linear)
QIAO_CPU_LAUNCHER(GroupedLinear)

uint64_t LinearWorkspace(const qiao_op_call& call, int threads) {
  const qiao_tensor x = WithBatch(call.argument[kX]);
  const qiao_tensor& w = call.argument[linear_arg::kW];
  const bool transposed = static_cast<const qiao_linear_params*>(call.params)->w_transposed != 0;
  const bool scaled_x = call.argument[kXScale].dtype != QIAO_DTYPE_NONE;
  const int64_t packed = PackedBytes(x.dim[0] * x.dim[1], x.dim[2], w, transposed, scaled_x, x);
  const int64_t worker = WorkerBytes(std::min(x.dim[0], kMostRows), ResolverBytesBound(w, transposed));
  return static_cast<uint64_t>(packed + threads * worker);
}

uint64_t GroupedLinearWorkspace(const qiao_op_call& call, int threads) {
  const qiao_tensor &x = call.argument[kX], &w = call.argument[grouped_arg::kW];
  const bool scaled_x = call.argument[kXScale].dtype != QIAO_DTYPE_NONE;
  const int64_t runs = (w.dim[0] + MostBlocks(x.dim[0])) * 12;
  const int64_t packed = PackedBytes(x.dim[0], x.dim[1], w, false, scaled_x, x);
  const int64_t worker = WorkerBytes(std::min(x.dim[0], kMostRows), ResolverBytesBound(w, false));
  return static_cast<uint64_t>(RoundUp(runs, 64) + packed + threads * worker);
}

}  // namespace qiao::kernels::cpu
