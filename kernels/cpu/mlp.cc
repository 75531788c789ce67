// mlp and moe_mlp: the dense feed-forward layer, and the mixture of experts from router to sum, each in one
// launch.
#include <algorithm>
#include <cstdint>

#include "kernels/common/elements.h"
#include "kernels/cpu/feed_forward.h"
#include "kernels/cpu/gate.h"
#include "kernels/cpu/multiply.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/weight_groups.h"

namespace qiao::kernels::cpu {
namespace {

namespace mlp_arg {
enum { kX, kGateUp, kDown, kY };
}
namespace moe_arg {
enum { kX, kRouter, kBias, kGateUp, kDown, kSharedGateUp, kSharedDown, kY, kIds, kWeights };
}

// The sets of a call, shapes only. Returns how many.
int MlpSet(const qiao_tensor* argument, FeedForwardSet* set) {
  set[0].gate_up = &argument[mlp_arg::kGateUp];
  set[0].down = &argument[mlp_arg::kDown];
  return 1;
}
int MoeSets(const qiao_tensor* argument, FeedForwardSet* set) {
  set[0].gate_up = &argument[moe_arg::kGateUp];
  set[0].down = &argument[moe_arg::kDown];
  if (argument[moe_arg::kSharedGateUp].dtype == QIAO_DTYPE_NONE) return 1;
  set[1].gate_up = &argument[moe_arg::kSharedGateUp];
  set[1].down = &argument[moe_arg::kSharedDown];
  return 2;
}

void Mlp(const KernelCall& call, ThreadPool& pool, Isa isa) {
  using namespace mlp_arg;
  const qiao_tensor &xt = call.tensor[kX], &yt = call.tensor[kY];
  const int64_t live = LiveRows(call, kX);
  if (live <= 0 || yt.dim[1] <= 0) return;
  FeedForwardSet set;
  MlpSet(call.tensor, &set);
  Memory memory(call.workspace);
  RowRun* run = memory.Take<RowRun>(MostRuns(1, xt.dim[0]));
  set.gate_up_data = call.pointer[kGateUp];
  set.down_data = call.pointer[kDown];
  ChooseProducts(isa, xt.dtype, set);
  set.run = run;
  set.runs = AppendRuns(set, 0, 0, live, run);
  set.rows = live;
  set.inner = memory.Take<std::byte>(live * set.down->dim[2] * ElementBytes(xt.dtype));
  FeedForward(&set, 1, xt, call.data<const std::byte>(kX), yt, call.data<std::byte>(kY), live, pool,
              memory.Take<std::byte>(0));
}

// logits[t, e] = W_router[e] . x[t]
void Router(const KernelCall& call, int64_t live, Isa isa, ThreadPool& pool, Memory memory, float* logits) {
  using namespace moe_arg;
  const qiao_tensor &xt = call.tensor[kX], &wt = call.tensor[kRouter];
  const int64_t experts = wt.dim[1], stride = xt.stride[0] * ElementBytes(xt.dtype);
  const Blocks blocks(wt.dim[2], ScaleColumns(wt, call.pointer[kRouter], false, 0));
  const Products& products = ProductsFor(isa, xt.dtype, wt, blocks, false);
  // One item takes some rows through all experts: the router is small, and its weights stay cached.
  const int64_t most = std::min<int64_t>(live, products.row_tile);
  const int64_t worker_bytes =
      RoundUp(most * blocks.padded() * 4, 64) + WorkerBytes(most, ResolverBytes(blocks, false));
  auto* workers = memory.Take<std::byte>(0);
  const auto items = [&](int64_t begin, int64_t end, int worker) {
    Memory own(workers + worker * worker_bytes);
    float* x = own.Take<float>(most * blocks.padded());
    const Worker w(own.Take<std::byte>(0), most);
    GroupResolver resolver(wt, call.pointer[kRouter], blocks, false, w.resolver);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t t0 = i * most, rows = std::min(most, live - t0);
      products.pack({.blocks = &blocks,
                     .dtype = xt.dtype,
                     .x = call.data<const std::byte>(kX) + t0 * stride,
                     .stride = stride,
                     .rows = rows,
                     .end = rows,
                     .out = x});
      for (int64_t e = 0; e < experts; e += kMaxGroups * kGroup) {
        const int64_t width = std::min(kMaxGroups * kGroup, experts - e);
        GroupRef group[kMaxGroups];
        const int count = resolver.ResolveRange(0, e, width, group);
        products.multiply({.blocks = &blocks,
                           .dtype = wt.dtype,
                           .group = group,
                           .groups = count,
                           .x = x,
                           .rows = rows,
                           .sum = w.sum,
                           .scratch = w.scratch});
        for (int64_t m = 0; m < rows; ++m)
          std::copy_n(w.sum + m * count * kGroup, width, logits + (t0 + m) * experts + e);
      }
    }
  };
  pool.ParallelFor(DivideUp(live, most), Grain(most * experts * wt.dim[2]), items);
}

// What the routing makes of the chosen experts: rows sorted by (expert, token), and runs of them.
struct Routed {
  int32_t* token;
  float* weight;
  RowRun* run;
  int64_t* next;  // [experts]
};

void Sort(const int32_t* ids, const float* w, int64_t live, int64_t k, int64_t experts, const Routed& routed,
          FeedForwardSet& set) {
  set.run = routed.run;
  set.rows = live * k;
  set.token = routed.token;
  set.weight = routed.weight;
  SortByExpert(
      ids, live * k, experts, routed.next,
      [&](int64_t e, int64_t first, int64_t rows) {
        set.runs += AppendRuns(set, static_cast<int32_t>(e), first, rows, routed.run + set.runs);
      },
      [&](int64_t i, int64_t at) {
        routed.token[at] = static_cast<int32_t>(i / k);
        routed.weight[at] = w[i];
      });
}

void MoeMlp(const KernelCall& call, ThreadPool& pool, Isa isa) {
  using namespace moe_arg;
  const auto& p = call.as<qiao_moe_mlp_params>();
  const qiao_tensor &xt = call.tensor[kX], &yt = call.tensor[kY];
  const int64_t bound = xt.dim[0], experts = call.tensor[kRouter].dim[1], k = p.gate.k;
  const int64_t live = LiveRows(call, kX);
  auto* ids = call.data<int32_t>(kIds);
  auto* w = call.data<float>(kWeights);
  std::fill(ids + live * k, ids + bound * k, -1);
  std::fill(w + live * k, w + bound * k, 0.0f);
  if (live <= 0) return;

  FeedForwardSet set[2];
  const int sets = MoeSets(call.tensor, set);
  const int64_t element = ElementBytes(xt.dtype);
  Memory memory(call.workspace);
  float* logits = memory.Take<float>(live * experts);
  const Routed routed{memory.Take<int32_t>(live * k), memory.Take<float>(live * k),
                      memory.Take<RowRun>(MostRuns(experts, live * k)), memory.Take<int64_t>(experts)};
  RowRun* shared = memory.Take<RowRun>(MostRuns(1, live));
  set[0].inner = memory.Take<std::byte>(live * k * set[0].down->dim[2] * element);
  if (sets > 1) set[1].inner = memory.Take<std::byte>(live * set[1].down->dim[2] * element);

  Router(call, live, isa, pool, memory, logits);
  const int64_t gate_bytes = GateBytes(experts, std::max(p.gate.groups, 1));
  auto* gate_memory = memory.Take<std::byte>(0);
  pool.ParallelFor(live, Grain(experts * 32), [&](int64_t begin, int64_t end, int worker) {
    auto* work = reinterpret_cast<float*>(gate_memory + worker * gate_bytes);
    const float* bias = call.has(kBias) ? call.data<const float>(kBias) : nullptr;
    for (int64_t t = begin; t < end; ++t)
      GateRow(p.gate, logits + t * experts, bias, experts, work, ids + t * k, w + t * k);
  });

  set[0].gate_up_data = call.pointer[kGateUp];
  set[0].down_data = call.pointer[kDown];
  ChooseProducts(isa, xt.dtype, set[0]);
  Sort(ids, w, live, k, experts, routed, set[0]);
  if (sets > 1) {
    set[1].gate_up_data = call.pointer[kSharedGateUp];
    set[1].down_data = call.pointer[kSharedDown];
    ChooseProducts(isa, xt.dtype, set[1]);
    set[1].run = shared;
    set[1].runs = AppendRuns(set[1], 0, 0, live, shared);
    set[1].rows = live;
  }
  FeedForward(set, sets, xt, call.data<const std::byte>(kX), yt, call.data<std::byte>(kY), live, pool,
              memory.Take<std::byte>(0));
}

}  // namespace

QIAO_CPU_LAUNCHER(Mlp)
QIAO_CPU_LAUNCHER(MoeMlp)

uint64_t MlpWorkspace(const qiao_op_call& call, int threads) {
  const qiao_tensor& x = call.argument[mlp_arg::kX];
  FeedForwardSet set;
  const int sets = MlpSet(call.argument, &set);
  const int64_t rows = std::max<int64_t>(x.dim[0], 1);
  return static_cast<uint64_t>(RunBytes(MostRuns(1, rows)) +
                               RoundUp(rows * set.down->dim[2] * ElementBytes(x.dtype), 64) +
                               FeedForwardBytes(&set, sets, rows, threads));
}

uint64_t MoeMlpWorkspace(const qiao_op_call& call, int threads) {
  using namespace moe_arg;
  const auto& p = *static_cast<const qiao_moe_mlp_params*>(call.params);
  const qiao_tensor &x = call.argument[kX], &router = call.argument[kRouter];
  const int64_t rows = std::max<int64_t>(x.dim[0], 1), k = p.gate.k, experts = router.dim[1];
  FeedForwardSet set[2];
  const int sets = MoeSets(call.argument, set);
  int64_t bytes = RoundUp(rows * experts * 4, 64) + 2 * RoundUp(rows * k * 4, 64) + RoundUp(experts * 8, 64);
  bytes += RunBytes(MostRuns(experts, rows * k));
  bytes += RunBytes(MostRuns(1, rows));
  bytes += RoundUp(rows * k * set[0].down->dim[2] * ElementBytes(x.dtype), 64);
  if (sets > 1) bytes += RoundUp(rows * set[1].down->dim[2] * ElementBytes(x.dtype), 64);
  // The three loops use what follows one after the other.
  const Blocks blocks(router.dim[2], router.scheme == QIAO_SCHEME_BLOCK ? router.block[1] : 0);
  constexpr int64_t kMostTile = 16;
  const int64_t of_router = RoundUp(kMostTile * blocks.padded() * 4, 64) +
                            WorkerBytes(kMostTile, ResolverBytesBound(router, false));
  const int64_t of_gate = GateBytes(experts, std::max(p.gate.groups, 1));
  bytes += std::max({threads * of_router, threads * of_gate, FeedForwardBytes(set, sets, rows, threads)});
  return static_cast<uint64_t>(bytes);
}

}  // namespace qiao::kernels::cpu
