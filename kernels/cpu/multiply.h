// The product under linear, grouped_linear and the feed-forward operations: some packed rows of x times some
// groups of 16 weight rows, sums in f32. Launchers cut their work into such calls and finish the sums
// (bias, SwiGLU, weighted sum); only what is behind this table is compiled for each instruction set.
//
// What a row's sums are depends on the instruction set, the weight's format and K only: each output is one
// chain of fused multiply-adds through a block's columns, and one through the blocks (blocks.h). How many
// rows and groups share a call, and whether a weight is packed, changes nothing.
#pragma once

#include <qiao/ops.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/isa.h"

namespace qiao::kernels::cpu {

// Sixteen rows of one weight matrix (sixteen outputs), whichever way they lie in memory.
struct GroupRef {
  enum Form : uint32_t {
    kPacked,   // data: padded K x 16 elements, in the order of the instruction set
    kRows,     // line[i]: row i, K elements
    kColumns,  // line[k]: the row of the file that holds element k of all outputs; ours begin at `column`
  };
  Form form = kRows;
  uint32_t count = 0;  // outputs that exist, 1 .. 16; what lies behind the others is not used
  const std::byte* data = nullptr;
  const std::byte* const* line = nullptr;
  int64_t column = 0;
  // Scale of block b: scale[b / per_scale], or [b / per_scale][16], one an output. Null: 1.
  const float* scale = nullptr;
  bool scale_each = false;
  const float* const* row_scale = nullptr;  // kRows: the same, one pointer an output; null: 1
  bool nans = false;                        // kPacked: E4M3 codes may hold NaNs
  // Bytes from here to the group that the same worker will most likely take next in this place, so that its
  // beginning is on the way from memory when this one ends. 0: not known. Only ever prefetched.
  int64_t ahead = 0;
};

// Rows of x brought into the layout that `multiply` reads, which is never larger than [rows][padded columns]
// of f32; and their scales, [block][rows]. The memory is aligned to 64.
struct PackCall {
  const Blocks* blocks;
  uint32_t dtype;      // f32, bf16 or E4M3
  const std::byte* x;  // row r lies at x + index[r] * stride bytes, or r * stride without an index
  int64_t stride;      // bytes
  const int32_t* index = nullptr;
  const float* scale = nullptr;  // null without; scale[row * scale_stride + b / per_scale]
  int64_t scale_stride = 0;
  int64_t rows;            // of the packed x in all
  int64_t begin = 0, end;  // those to pack now
  float* out;
  float* out_scale = nullptr;
};

struct MultiplyCall {
  const Blocks* blocks;
  uint32_t dtype;                  // of the weight
  const GroupRef* group;           // [groups]
  int groups;                      // 1 .. kMaxGroups
  const float* x;                  // packed, in the order of the same Products
  const float* x_scale = nullptr;  // packed; null without
  int64_t rows;                    // of the packed x
  float factor = 1;                // multiplies every sum, exactly
  float* sum;                      // [rows][groups * 16]
  std::byte* scratch;              // kMultiplyScratch bytes, aligned to 64
};

inline constexpr int kMaxGroups = 4;
inline constexpr int64_t kMultiplyScratch = 128 << 10;

// One instruction set's products and what finishes them. All may be called from several threads at once.
struct Products {
  int few_rows;     // up to so many rows read the weights only once, straight from memory
  int few_groups;   // groups that a call should have then, and
  int many_groups;  // with more rows
  int row_tile;     // more rows are taken in tiles of so many
  // Rows that should share one pass over the decoded weights, at most kMostRows: enough that decoding hardly
  // counts, few enough that their sums and a good part of x stay in the second-level cache.
  int row_block;
  void (*pack)(const PackCall&);
  void (*multiply)(const MultiplyCall&);
  // y[0, n) = sum + bias + residual, each of which may be null; residual and y are f32 or bf16.
  void (*finish)(const float* sum, const float* bias, const void* residual, uint32_t residual_dtype,
                 int64_t n, void* y, uint32_t y_dtype);
  // y[0, n) = silu(gate) * up, rounded to bf16 or f32.
  void (*swiglu)(const float* gate, const float* up, int64_t n, void* y, uint32_t y_dtype);
  // y[0, n) += weight * sum.
  void (*accumulate)(const float* sum, float weight, int64_t n, float* y);
  // Rows of a weight, as GroupRef's kRows or kColumns give them, to kPacked: for storing weights. Returns
  // what GroupRef::nans has to say.
  bool (*pack_group)(const Blocks& blocks, uint32_t dtype, const GroupRef& from, std::byte* to);
};

inline constexpr int64_t kMostRows = 512;

// Those that every operand can go through.
const Products& ProductsFor(Isa isa);
// The best for rows of dtype `x` and this weight: matrix units take some formats and shapes only. Depends on
// these alone, never on the number of rows.
const Products& ProductsFor(Isa isa, uint32_t x, const qiao_tensor& w, const Blocks& blocks, bool transposed);

// What decoded elements of a dtype still have to be multiplied by; see LoadPair in simd-inl.h.
float DecodeFactor(uint32_t dtype);

}  // namespace qiao::kernels::cpu
