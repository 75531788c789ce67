// linear and grouped_linear: which rows meet which outputs, and on which thread. The products themselves are
// behind multiply.h.
//
// Both are runs of rows that go through one matrix each: a block of a head's rows, or of an expert's. Rows
// are packed once a launch. K is never divided among threads; outputs and runs are.
#include <algorithm>
#include <cstdint>

#include "kernels/cpu/linear_arguments.h"
#include "kernels/cpu/multiply.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/weight_groups.h"
#include "kernels/cpu/work.h"

namespace qiao::kernels::cpu {
namespace {

struct Job {
  const qiao_tensor& w;
  const void* w_data;
  bool transposed;
  Operand x, x_scale, residual, y;
  const float* bias = nullptr;  // [B,N]
  Blocks blocks;
  const Products& products;
  // Rows of a head, each of which has a matrix of its own; 0 where matrices are experts, and x has no heads.
  int64_t head_rows = 0;

  Job(const KernelCall& call, int weight, int result, bool transposed, Isa isa)
      : w(call.tensor[weight]),
        w_data(call.pointer[weight]),
        transposed(transposed),
        x(call, kX),
        x_scale(call, kXScale),
        y(call, result),
        blocks(x->dim[2], ScaleColumns(w, w_data, transposed, x_scale.absent() ? 0 : x->block[1])),
        products(ProductsFor(isa, x->dtype, w, blocks, transposed)) {}

  int64_t head(const RowRun& run) const { return head_rows > 0 ? run.matrix : 0; }
  int64_t row(const RowRun& run) const { return run.first - head(run) * head_rows; }
};

// Rows of x as the products read them, one run after the other.
struct Packed {
  float* x;
  float* scale;  // null without

  float* Of(const RowRun& run, const Blocks& blocks) const { return x + run.first * blocks.padded(); }
  float* ScaleOf(const RowRun& run, const Blocks& blocks) const {
    return scale ? scale + run.first * blocks.count : nullptr;
  }
};

void Pack(const Job& job, const RowRun* run, int64_t runs, const Packed& packed, ThreadPool& pool) {
  const RowRun& last = run[runs - 1];
  pool.ParallelFor(last.first + last.rows, Grain(2 * job.x->dim[2]), [&](int64_t begin, int64_t end, int) {
    const RowRun* of =
        std::upper_bound(run, run + runs, begin, [](int64_t row, const RowRun& r) { return row < r.first; }) -
        1;
    for (; begin < end; begin = of->first + of->rows, ++of) {
      const int64_t row = job.row(*of), head = job.head(*of);
      job.products.pack({.blocks = &job.blocks,
                         .dtype = job.x->dtype,
                         .x = job.x.At(row, head),
                         .stride = job.x.row_bytes(),
                         .scale = job.x_scale.At<float>(row, head),
                         .scale_stride = job.x_scale->stride[0],
                         .rows = of->rows,
                         .begin = begin - of->first,
                         .end = std::min<int64_t>(end - of->first, of->rows),
                         .out = packed.Of(*of, job.blocks),
                         .out_scale = packed.ScaleOf(*of, job.blocks)});
    }
  });
}

// The runs cover all rows without gaps, in order.
void Run(const Job& job, const RowRun* run, int64_t runs, Memory memory, ThreadPool& pool) {
  if (runs == 0) return;
  const Blocks& blocks = job.blocks;
  const Products& products = job.products;
  const int64_t rows = run[runs - 1].first + run[runs - 1].rows, n = job.y->dim[2];
  Packed packed{memory.Take<float>(rows * blocks.padded()), nullptr};
  if (!job.x_scale.absent()) packed.scale = memory.Take<float>(rows * blocks.count);
  Pack(job, run, runs, packed, pool);

  // Items run through the outputs first, so that a thread meets the same rows of x again while they are
  // cached.
  const int64_t groups = DivideUp(n, kGroup);
  const int64_t width = Together(groups * runs, rows / runs, pool.size(), products) * kGroup;
  const int64_t chunks = DivideUp(n, width), most = MostRows(run, runs);
  std::byte* workers = memory.Take<std::byte>(0);
  const int64_t worker_bytes = WorkerBytes(most, ResolverBytes(blocks, job.transposed));
  const float factor = DecodeFactor(job.x->dtype);
  const int64_t grain = Grain(rows / runs * width * blocks.size);
  pool.ParallelFor(runs * chunks, grain, [&](int64_t begin, int64_t end, int worker) {
    const Worker own(workers + worker * worker_bytes, most);
    GroupResolver resolver(job.w, job.w_data, blocks, job.transposed, own.resolver);
    resolver.set_step(width / kGroup);
    for (int64_t i = begin; i < end; ++i) {
      const RowRun& of = run[i / chunks];
      const int64_t n0 = i % chunks * width, live = std::min(width, n - n0), head = job.head(of);
      GroupRef group[kMaxGroups];
      const int count = resolver.ResolveRange(of.matrix, n0, live, group);
      products.multiply({.blocks = &blocks,
                         .dtype = job.w.dtype,
                         .group = group,
                         .groups = count,
                         .x = packed.Of(of, blocks),
                         .x_scale = packed.ScaleOf(of, blocks),
                         .rows = of.rows,
                         .factor = factor,
                         .sum = own.sum,
                         .scratch = own.scratch});
      for (int64_t m = 0; m < of.rows; ++m) {
        const int64_t row = job.row(of) + m;
        products.finish(own.sum + m * count * kGroup, job.bias ? job.bias + head * n + n0 : nullptr,
                        job.residual.At(row, head, n0), job.residual->dtype, live, job.y.At(row, head, n0),
                        job.y->dtype);
      }
    }
  });
}

void Linear(const KernelCall& call, ThreadPool& pool, Isa isa) {
  using namespace linear_arg;
  Job job(call, kW, kY, call.as<qiao_linear_params>().w_transposed != 0, isa);
  const int64_t live = LiveRows(call, kX), heads = job.x->dim[1];
  if (live <= 0 || job.y->dim[2] <= 0) return;
  job.residual = Operand(call, kResidual);
  if (call.has(kBias)) job.bias = call.data<const float>(kBias);
  job.head_rows = live;
  Memory memory(call.workspace);
  RowRun* run = memory.Take<RowRun>(heads * MostRuns(1, live));
  int64_t runs = 0;
  for (int64_t head = 0; head < heads; ++head) {
    runs +=
        AppendRuns(static_cast<int32_t>(head), head * live, live, RowBlock(live, job.products), run + runs);
  }
  Run(job, run, runs, memory, pool);
}

void GroupedLinear(const KernelCall& call, ThreadPool& pool, Isa isa) {
  using namespace grouped_arg;
  const Job job(call, kW, kY, false, isa);
  const auto* ends = call.data<const int64_t>(kEnds);
  const int64_t experts = job.w.dim[0], all = job.x->dim[0], live = std::min(all, ends[experts - 1]);
  if (live <= 0 || job.y->dim[2] <= 0) return;
  Memory memory(call.workspace);
  RowRun* run = memory.Take<RowRun>(MostRuns(experts, live));
  int64_t runs = 0;
  for (int64_t e = 0, first = 0; e < experts; first = ends[e++]) {
    const int64_t rows = std::min(live, ends[e]) - first;
    if (rows <= 0) continue;
    runs += AppendRuns(static_cast<int32_t>(e), first, rows, RowBlock(rows, job.products), run + runs);
  }
  Run(job, run, runs, memory, pool);
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
  const int64_t runs = RunBytes(x.dim[1] * MostRuns(1, x.dim[0]));
  const bool transposed = static_cast<const qiao_linear_params*>(call.params)->w_transposed != 0;
  const bool scaled_x = call.argument[kXScale].dtype != QIAO_DTYPE_NONE;
  const int64_t packed = PackedBytes(x.dim[0] * x.dim[1], x.dim[2], w, transposed, scaled_x, x);
  const int64_t worker = WorkerBytes(std::min(x.dim[0], kMostRows), ResolverBytesBound(w, transposed));
  return static_cast<uint64_t>(runs + packed + threads * worker);
}

uint64_t GroupedLinearWorkspace(const qiao_op_call& call, int threads) {
  const qiao_tensor &x = call.argument[kX], &w = call.argument[grouped_arg::kW];
  const bool scaled_x = call.argument[kXScale].dtype != QIAO_DTYPE_NONE;
  const int64_t runs = RunBytes(MostRuns(w.dim[0], x.dim[0]));
  const int64_t packed = PackedBytes(x.dim[0], x.dim[1], w, false, scaled_x, x);
  const int64_t worker = WorkerBytes(std::min(x.dim[0], kMostRows), ResolverBytesBound(w, false));
  return static_cast<uint64_t>(runs + packed + threads * worker);
}

}  // namespace qiao::kernels::cpu
