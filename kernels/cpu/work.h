// How launchers of products cut their work: the workspace in parts, blocks of rows, groups that are taken
// together, and what a worker needs of its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel.h"
#include "kernels/cpu/multiply.h"

namespace qiao::kernels::cpu {

// Parts of a workspace, each aligned to 64 bytes.
class Memory {
 public:
  explicit Memory(void* begin) : next_(static_cast<std::byte*>(begin)) {}
  template <typename T>
  T* Take(int64_t count) {
    T* part = reinterpret_cast<T*>(next_);
    next_ += RoundUp(count * static_cast<int64_t>(sizeof(T)), 64);
    return part;
  }

 private:
  std::byte* next_;
};

// `rows` in blocks of equal length, whole tiles each, none above the products' row_block.
inline int64_t RowBlock(int64_t rows, const Products& products) {
  const int64_t most = products.row_block;
  if (rows <= most) return rows;
  const int64_t length = DivideUp(rows, DivideUp(rows, most));
  return std::min(most, RoundUp(length, products.row_tile));
}

// Rows first .. first + rows, of those that a launch packs, go through one matrix of a weight.
struct RowRun {
  int32_t matrix, first, rows;
};

// Divides rows first .. first + rows into runs of at most `step` rows; returns how many.
inline int64_t AppendRuns(int32_t matrix, int64_t first, int64_t rows, int64_t step, RowRun* run) {
  int64_t count = 0;
  for (int64_t r = 0; r < rows; r += step)
    run[count++] = {matrix, static_cast<int32_t>(first + r), static_cast<int32_t>(std::min(step, rows - r))};
  return count;
}

// Runs of whole RowBlocks that `rows` rows can make, whatever the matrices that they are divided among: the
// blocks of one matrix are no more than its rows fill, and one.
inline constexpr int64_t kLeastRowBlock = 64;  // no Products::row_block is smaller
inline int64_t MostRuns(int64_t matrices, int64_t rows) { return matrices + DivideUp(rows, kLeastRowBlock); }
// What Memory takes for so many.
inline int64_t RunBytes(int64_t runs) { return RoundUp(runs * static_cast<int64_t>(sizeof(RowRun)), 64); }

// Of the longest run.
inline int64_t MostRows(const RowRun* run, int64_t runs) {
  return std::max_element(run, run + runs, [](const RowRun& a, const RowRun& b) { return a.rows < b.rows; })
      ->rows;
}

// Groups of outputs that one call takes: what suits the rows, and fewer where threads would go without.
inline int64_t Together(int64_t groups, int64_t rows, int threads, const Products& products) {
  const int64_t most = rows <= products.few_rows ? products.few_groups : products.many_groups;
  constexpr int64_t kItemsAThread = 4;
  return std::clamp<int64_t>(groups / (threads * kItemsAThread), 1, most);
}

// A worker's own memory: sums of a block of rows, the products' scratch, the resolver's.
inline int64_t WorkerBytes(int64_t rows, int64_t resolver_bytes) {
  return RoundUp(rows * kMaxGroups * kGroup * 4, 64) + kMultiplyScratch + resolver_bytes;
}
struct Worker {
  Worker(std::byte* memory, int64_t rows)
      : sum(reinterpret_cast<float*>(memory)),
        scratch(memory + RoundUp(rows * kMaxGroups * kGroup * 4, 64)),
        resolver(scratch + kMultiplyScratch) {}
  float* sum;
  std::byte* scratch;
  std::byte* resolver;
};

}  // namespace qiao::kernels::cpu

// Defines Kernel SelectFUNCTION(Isa) for a FUNCTION(call, pool, isa) that is not itself compiled for each
// instruction set.
#define QIAO_CPU_LAUNCHER(FUNCTION)                                                \
  template <Isa kIsa>                                                              \
  void FUNCTION##On(const KernelCall& call, ThreadPool& pool) {                    \
    FUNCTION(call, pool, kIsa);                                                    \
  }                                                                                \
  Kernel Select##FUNCTION(Isa isa) {                                               \
    return LauncherFor(isa, [](auto on) -> Kernel { return FUNCTION##On<on()>; }); \
  }

namespace qiao::kernels::cpu {

// make(std::integral_constant<Isa, isa>).
template <typename Make, int... kIsa>
Kernel LauncherFor(Isa isa, const Make& make, std::integer_sequence<int, kIsa...>) {
  const Kernel of[] = {make(std::integral_constant<Isa, Isa{kIsa}>())...};
  return of[static_cast<int>(isa)];
}
template <typename Make>
Kernel LauncherFor(Isa isa, const Make& make) {
  return LauncherFor(isa, make, std::make_integer_sequence<int, kIsaCount>());
}

}  // namespace qiao::kernels::cpu
