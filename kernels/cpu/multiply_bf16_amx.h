// Rows times weights through AMX's tiles, bf16 products and f32 sums: for E4M3 with block scales and for
// bf16. x86-64 only; where Isa::kAmx was chosen.
//
// Sixteen rows of the weight are the A operand, as they lie in the file; the activations are the B operand
// (panel_amx.h). For output (m, n) and each block of K that shares a scale, TDPBF16PS sums the block from
// zero, 32 elements an instruction in order of k (tiles_amx.h says how within one); then
//   total = fma(sum, scale, total)
// block after block. Without scales all of K is one block. So a column's bits depend on K, the format and the
// block only: one column and two thousand go the same way. Subnormal bf16 count as zero, as do f32 products
// and sums that are subnormal; E4M3 has no value that small.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/panel_amx.h"

namespace qiao::kernels::cpu {

// Sixteen rows of a weight. Where there are fewer, repeat one and leave its sums alone.
struct AmxRows {
  const void* row[16];
  // Per row, one scale for each block of K; rows of one row of blocks have the same pointer. All null: no
  // scales.
  const float* scale[16];
};

struct AmxWeight {
  bool e4m3 = true;  // or bf16
  int64_t k = 0;
  // Columns that share a scale: a multiple of 32, at most 512. Not used without scales.
  int64_t block = 128;

  int64_t blocks() const { return DivideUp(k, block); }
  int64_t steps() const { return AmxColumns::Steps(2 * k); }
};

// Bytes that one call needs, for any number of row groups.
uint64_t MultiplyBf16AmxScratch(int64_t columns);

// sums[m * stride + 16 * g + n] for the `groups` groups of 16 rows, all columns m. Configures tiles and
// releases them. Where x_scale is given, [column][block] with columns `x_scale_stride` apart, a
// block's scale is the weight's, which must have scales, times the column's (activations quantised in the
// same blocks).
//
// Each panel is decoded once a call, for all columns; columns beyond what the second-level cache holds
// (2 * K * count bytes) are better cut into several calls.
void MultiplyBf16Amx(const AmxWeight& weight, const AmxRows* rows, int64_t groups, const AmxColumns& x,
                     const float* x_scale, int64_t x_scale_stride, std::byte* scratch, float* sums,
                     int64_t stride);

}  // namespace qiao::kernels::cpu
