#include "kernels/cpu/feed_forward.h"

#include <algorithm>
#include <cstring>

#include "kernels/common/elements.h"
#include "kernels/cpu/weight_groups.h"

namespace qiao::kernels::cpu {
namespace {

constexpr int kMaxSets = 2;
constexpr int64_t kMaxSpan = 16;  // groups of y that an item of the second loop owns: their sums stay cached

Blocks BlocksOf(const qiao_tensor& w, const void* data) {
  return Blocks(w.dim[2], ScaleColumns(w, data, false, 0));
}
// When only shapes are known. K is the file's columns, so the scales' blocks are too.
Blocks BlocksOf(const qiao_tensor& w) {
  return Blocks(w.dim[2], w.scheme == QIAO_SCHEME_BLOCK ? w.block[1] : 0);
}

int64_t InnerOf(const FeedForwardSet& set) { return set.down->dim[2]; }

// Groups of y that an item owns: whole calls, and so many items a thread that all threads end together. Each
// item packs all rows again, which for few of them costs nothing.
int64_t Span(int64_t hidden, int threads, int64_t rows) {
  constexpr int64_t kFew = 16;
  const int64_t items = threads * (rows <= kFew ? 16 : 8), groups = DivideUp(hidden, kGroup);
  return std::clamp<int64_t>(groups / items / kMaxGroups * kMaxGroups, kMaxGroups, kMaxSpan);
}

struct Sizes {
  int64_t packed = 0, resolver = 0, y = 0;  // bytes of a worker
  int64_t rows = 0;
  int64_t worker() const { return RoundUp(packed, 64) + RoundUp(y, 64) + WorkerBytes(rows, resolver); }
};

Sizes SizesOf(const FeedForwardSet* set, int sets, int64_t rows, int threads) {
  Sizes s;
  s.rows = std::min(rows, kMostRows);
  for (int i = 0; i < sets; ++i) {
    for (const qiao_tensor* w : {set[i].gate_up, set[i].down}) {
      s.packed = std::max(s.packed, s.rows * BlocksOf(*w).padded() * 4);
      s.resolver = std::max(s.resolver, ResolverBytesBound(*w, false));
    }
  }
  s.y = rows * Span(set[0].down->dim[1], threads, rows) * kGroup * 4;
  return s;
}

struct OwnMemory {
  OwnMemory(std::byte* memory, const Sizes& sizes)
      : packed(reinterpret_cast<float*>(memory)),
        y(reinterpret_cast<float*>(memory + RoundUp(sizes.packed, 64))),
        worker(memory + RoundUp(sizes.packed, 64) + RoundUp(sizes.y, 64), sizes.rows) {}
  float* packed;
  float* y;
  Worker worker;
};

struct Loop {
  const FeedForwardSet* set;
  int sets;
  const qiao_tensor& xt;
  const std::byte* x;
  Sizes sizes;
  std::byte* memory;
  int64_t element;  // bytes of an activation
};

// One run's rows through some pairs of a gate group and its up group.
void GateUpItem(const Loop& loop, const FeedForwardSet& set, const Blocks& blocks, GroupResolver& resolver,
                const OwnMemory& own, const RowRun& run, int64_t first, int pairs) {
  const int64_t inner = InnerOf(set);
  GroupRef group[kMaxGroups];
  for (int i = 0; i < pairs; ++i) {
    const int64_t n = first + i * kGroup, count = std::min(kGroup, inner - n);
    group[i] = resolver.Resolve(i, run.matrix, n, count);
    group[pairs + i] = resolver.Resolve(pairs + i, run.matrix, inner + n, count);
  }
  set.gate_up_products->multiply({.blocks = &blocks,
                                  .dtype = set.gate_up->dtype,
                                  .group = group,
                                  .groups = 2 * pairs,
                                  .x = own.packed,
                                  .rows = run.rows,
                                  .sum = own.worker.sum,
                                  .scratch = own.worker.scratch});
  const int64_t width = std::min(pairs * kGroup, inner - first);
  for (int64_t m = 0; m < run.rows; ++m) {
    const float* sum = own.worker.sum + m * 2 * pairs * kGroup;
    set.gate_up_products->swiglu(sum, sum + pairs * kGroup, width,
                                 set.inner + ((run.first + m) * inner + first) * loop.element, loop.xt.dtype);
  }
}

void GateUp(const Loop& loop, ThreadPool& pool) {
  int64_t items[kMaxSets] = {}, chunks[kMaxSets] = {}, pairs[kMaxSets] = {}, total = 0, work = 0;
  for (int i = 0; i < loop.sets; ++i) {
    const FeedForwardSet& set = loop.set[i];
    if (set.runs == 0) continue;
    const int64_t groups = DivideUp(InnerOf(set), kGroup), rows = set.rows / set.runs;
    pairs[i] =
        std::max<int64_t>(1, Together(2 * groups * set.runs, rows, pool.size(), *set.gate_up_products) / 2);
    chunks[i] = DivideUp(groups, pairs[i]);
    items[i] = chunks[i] * set.runs;
    total += items[i];
    work += items[i] * rows * 2 * pairs[i] * kGroup * set.gate_up->dim[2];
  }
  if (total == 0) return;
  pool.ParallelFor(total, Grain(work / total), [&](int64_t begin, int64_t end, int worker) {
    const OwnMemory own(loop.memory + worker * loop.sizes.worker(), loop.sizes);
    for (int s = 0; s < loop.sets; begin = std::max<int64_t>(0, begin - items[s]), end -= items[s], ++s) {
      if (end <= 0) return;
      if (begin >= items[s]) continue;
      const FeedForwardSet& set = loop.set[s];
      const Blocks blocks = BlocksOf(*set.gate_up, set.gate_up_data);
      GroupResolver resolver(*set.gate_up, set.gate_up_data, blocks, false, own.worker.resolver);
      resolver.set_step(pairs[s]);
      int64_t packed = -1;  // the run whose rows lie packed
      for (int64_t i = begin; i < std::min(end, items[s]); ++i) {
        const RowRun& run = set.run[i / chunks[s]];
        if (packed != i / chunks[s]) {
          packed = i / chunks[s];
          const int64_t stride = loop.xt.stride[0] * loop.element;
          set.gate_up_products->pack({.blocks = &blocks,
                                      .dtype = loop.xt.dtype,
                                      .x = set.token ? loop.x : loop.x + run.first * stride,
                                      .stride = stride,
                                      .index = set.token ? set.token + run.first : nullptr,
                                      .rows = run.rows,
                                      .end = run.rows,
                                      .out = own.packed});
        }
        const int64_t g = i % chunks[s] * pairs[s];
        const int64_t count = std::min(pairs[s], DivideUp(InnerOf(set), kGroup) - g);
        GateUpItem(loop, set, blocks, resolver, own, run, g * kGroup, static_cast<int>(count));
      }
    }
  });
}

// Columns n0 .. n0 + width of y, over all sets.
void DownItem(const Loop& loop, const OwnMemory& own, int64_t n0, int64_t width) {
  for (int s = 0; s < loop.sets; ++s) {
    const FeedForwardSet& set = loop.set[s];
    if (set.runs == 0) continue;
    const Blocks blocks = BlocksOf(*set.down, set.down_data);
    GroupResolver resolver(*set.down, set.down_data, blocks, false, own.worker.resolver);
    const Products& products = *set.down_products;
    const int64_t inner = InnerOf(set), stride = inner * loop.element;
    for (int64_t r = 0; r < set.runs; ++r) {
      const RowRun& run = set.run[r];
      products.pack({.blocks = &blocks,
                     .dtype = loop.xt.dtype,
                     .x = set.inner + run.first * stride,
                     .stride = stride,
                     .rows = run.rows,
                     .end = run.rows,
                     .out = own.packed});
      const int64_t together = run.rows <= products.few_rows ? products.few_groups : products.many_groups;
      resolver.set_step(together);
      for (int64_t n = 0; n < width; n += together * kGroup) {
        const int64_t live = std::min(together * kGroup, width - n);
        GroupRef group[kMaxGroups];
        const int count = resolver.ResolveRange(run.matrix, n0 + n, live, group);
        products.multiply({.blocks = &blocks,
                           .dtype = set.down->dtype,
                           .group = group,
                           .groups = count,
                           .x = own.packed,
                           .rows = run.rows,
                           .sum = own.worker.sum,
                           .scratch = own.worker.scratch});
        for (int64_t m = 0; m < run.rows; ++m) {
          const int64_t row = run.first + m, t = set.token ? set.token[row] : row;
          products.accumulate(own.worker.sum + m * count * kGroup, set.weight ? set.weight[row] : 1.0f, live,
                              own.y + t * width + n);
        }
      }
    }
  }
}

}  // namespace

int64_t FeedForwardBytes(const FeedForwardSet* set, int sets, int64_t rows, int threads) {
  return threads * SizesOf(set, sets, rows, threads).worker();
}

void FeedForward(const FeedForwardSet* set, int sets, const qiao_tensor& xt, const std::byte* x,
                 const qiao_tensor& yt, std::byte* y, int64_t live, ThreadPool& pool, void* memory) {
  const Loop loop{.set = set,
                  .sets = sets,
                  .xt = xt,
                  .x = x,
                  .sizes = SizesOf(set, sets, live, pool.size()),
                  .memory = static_cast<std::byte*>(memory),
                  .element = ElementBytes(xt.dtype)};
  GateUp(loop, pool);

  const int64_t hidden = yt.dim[1], span = Span(hidden, pool.size(), live) * kGroup;
  const int64_t items = DivideUp(hidden, span);
  int64_t work = 0;
  for (int i = 0; i < sets; ++i) work += set[i].rows * span * InnerOf(set[i]);
  pool.ParallelFor(items, Grain(work), [&](int64_t begin, int64_t end, int worker) {
    const OwnMemory own(loop.memory + worker * loop.sizes.worker(), loop.sizes);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n0 = i * span, width = std::min(span, hidden - n0);
      std::memset(own.y, 0, static_cast<size_t>(live * width) * sizeof(float));
      DownItem(loop, own, n0, width);
      for (int64_t t = 0; t < live; ++t) {
        set[0].down_products->finish(own.y + t * width, nullptr, nullptr, QIAO_F32, width,
                                     y + (t * yt.stride[0] + n0) * ElementBytes(yt.dtype), yt.dtype);
      }
    }
  });
}

void ChooseProducts(Isa isa, uint32_t x, FeedForwardSet& set) {
  set.gate_up_products = &ProductsFor(isa, x, *set.gate_up, BlocksOf(*set.gate_up, set.gate_up_data), false);
  set.down_products = &ProductsFor(isa, x, *set.down, BlocksOf(*set.down, set.down_data), false);
}

int64_t AppendRuns(const FeedForwardSet& set, int32_t matrix, int64_t first, int64_t rows, RowRun* run) {
  const int64_t step = std::min(RowBlock(rows, *set.gate_up_products), RowBlock(rows, *set.down_products));
  return AppendRuns(matrix, first, rows, step, run);
}

}  // namespace qiao::kernels::cpu
