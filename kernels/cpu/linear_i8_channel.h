// linear and grouped_linear of INT8 rows, one scale a row, and INT8 weights, one scale an output channel
// (W8A8): the launcher is common to all instruction sets, which differ in their tiles only.
//
// Sums of products are integers and exact, so whatever order they are made in, a row has the same bits on
// every instruction set, beside any other rows and with any number of threads: those of the scalar kernel, as
// long as there is no bias and no residual.
//
// Up to `few` rows are multiplied as they lie, while each row of the weight streams by once, fetched ahead.
// More rows are packed once a launch into panels, in which the same four bytes of `panel_rows` rows lie side
// by side; four bytes of a weight's row, broadcast, meet them, and each lane of a sum belongs to a row of x.
#pragma once

#include <qiao/ops.h>

#include <cstdint>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel.h"

namespace qiao::kernels::cpu {

inline constexpr int64_t kI8Chunk = 48;     // outputs of one item of work; a multiple of every tile's
inline constexpr int64_t kI8TileRows = 48;  // rows of x in the panels of a tile, at most
inline constexpr int64_t kI8PanelRows = 16;
inline constexpr int64_t kI8Outputs = 12;  // of a tile, at most
// Rows of the weight that are known, to be fetched, beyond a chunk.
inline constexpr int64_t kI8Ahead = kI8Outputs;

// A row of sums becomes a row of y.
struct I8Row {
  const int32_t* sum;
  int64_t count;  // outputs
  float x_scale;
  const float* w_scale;  // [count]
  const float* bias;     // [count], or null
  const void* residual;  // of y's dtype, or null
  void* y;
  uint32_t y_dtype;  // QIAO_F32 or QIAO_BF16
};

// What an instruction set brings. Weights are pointers to rows of k elements; `sum` is [row of x][kI8Chunk].
struct I8Tiles {
  int64_t panel_rows;  // at most kI8PanelRows
  int64_t panels;      // of a tile, at most
  int64_t outputs;     // of a tile: divides kI8Chunk
  int64_t few;
  int64_t group;  // elements of a packed row that take four bytes: 4 or 2

  // Packs `rows` <= panel_rows rows, `x_row` elements apart, into [DivideUp(k, group)][panel_rows][group].
  void (*pack)(const int8_t* x, int64_t x_row, int64_t rows, int64_t k, void* panel);
  // Some panels, `panel_bytes` apart, times `outputs` rows of the weight; the rows `next` are fetched
  // meanwhile. `scratch` holds I8ScratchBytes(k).
  void (*tile)(const void* panel, int64_t panel_bytes, int panels, const int8_t* const* w,
               const int8_t* const* next, int64_t k, void* scratch, int32_t* sum);
  // 1 <= rows <= few as they lie times `count` <= kI8Chunk rows of the weight. kI8Ahead more pointers follow
  // those in `w`; sums of up to kI8Chunk are written.
  void (*few_rows)(const int8_t* x, int64_t x_row, int64_t rows, const int8_t* const* w, int64_t count,
                   int64_t k, int32_t* sum);
  void (*finish)(const I8Row& row);
};

inline int64_t I8ScratchBytes(int64_t k) { return kI8Outputs * (k + 2) * 2; }

// A whole launch.
void RunLinearI8(const KernelCall& call, ThreadPool& pool, const I8Tiles& tiles);
void RunGroupedLinearI8(const KernelCall& call, ThreadPool& pool, const I8Tiles& tiles);
uint64_t LinearI8Workspace(const qiao_op_call& call, int threads);
uint64_t GroupedLinearI8Workspace(const qiao_op_call& call, int threads);

Kernel SelectLinearI8(Isa isa);
Kernel SelectGroupedLinearI8(Isa isa);

// The best for `isa`.
const I8Tiles& I8TilesFor(Isa isa);
// Those that Highway makes of pairwise products of 16-bit integers.
const I8Tiles& SimdI8Tiles(Isa isa);
// Those of VNNI's sums of four byte products, 512 bits wide; a row of sums is finished by `finish`. x86-64
// only; for kAvx512Vbmi and what is above it.
I8Tiles VnniI8Tiles(void (*finish)(const I8Row& row));

}  // namespace qiao::kernels::cpu
