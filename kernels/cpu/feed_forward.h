// W_down swiglu(W_gate_up x) for some sets of matrices at once: a dense layer, or the routed experts and the
// shared one of a mixture, whose outputs are added up with weights. What mlp and moe_mlp share.
//
// Two parallel loops over all sets together, cut by bytes of weights and not by expert: first gate, up and
// SwiGLU, whose result is rounded to the activation's dtype; then the down-projection, where an item owns
// some columns of y and adds up the experts in their order, so that no two threads meet in one sum. A row's
// result depends on its own experts only.
#pragma once

#include <qiao/ops.h>

#include <cstddef>
#include <cstdint>

#include "kernels/common/args.h"
#include "kernels/cpu/blocks.h"
#include "kernels/cpu/multiply.h"
#include "kernels/cpu/work.h"
#include "runtime/base/threads.h"

namespace qiao::kernels::cpu {

struct FeedForwardSet {
  const qiao_tensor* gate_up = nullptr;  // [E, 2I, H]: gate above up
  const void* gate_up_data = nullptr;
  const qiao_tensor* down = nullptr;  // [E, H, I]
  const void* down_data = nullptr;
  const Products* gate_up_products = nullptr;
  const Products* down_products = nullptr;
  const RowRun* run = nullptr;  // none longer than `gate_up_products` and `down_products` take
  int64_t runs = 0, rows = 0;
  const int32_t* token = nullptr;  // row of x and y of each row of the set; null: the same
  const float* weight = nullptr;   // of each row; null: 1
  std::byte* inner = nullptr;      // [rows, I] in x's dtype, between the two loops
};

// Bytes of workspace for `rows` rows of x, a multiple of 64; `sets` need shapes only.
int64_t FeedForwardBytes(const FeedForwardSet* set, int sets, int64_t rows, int threads);

// y[t] = sum over the sets, and over the rows of each that belong to t, in order. x and y act[T,H].
void FeedForward(const FeedForwardSet* set, int sets, const qiao_tensor& xt, const std::byte* x,
                 const qiao_tensor& yt, std::byte* y, int64_t live, ThreadPool& pool, void* memory);

// Chooses the products of a set whose weights are known.
void ChooseProducts(Isa isa, uint32_t x, FeedForwardSet& set);

// Divides rows first .. first + rows of one of a set's matrices into runs; returns how many.
int64_t AppendRuns(const FeedForwardSet& set, int32_t matrix, int64_t first, int64_t rows, RowRun* run);

}  // namespace qiao::kernels::cpu
