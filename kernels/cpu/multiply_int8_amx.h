// Rows times weights through AMX's tiles, both int8: W8A8 with a scale for each row of the weight and one for
// each row of the activations. x86-64 only; where Isa::kAmx was chosen.
//
// Products are summed in i32 over all of K, exactly while K <= 2^17; then
//   sum[m][n] = float(i32) * (weight scale[n] * activation scale[m])
// each operation rounded to nearest. Exact sums do not depend on their order, so a column's bits depend on
// nothing but its row and the weight.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/panel_amx.h"

namespace qiao::kernels::cpu {

// Sixteen rows of an int8 weight. Where there are fewer, repeat one and leave its sums alone.
struct AmxInt8Rows {
  const void* row[16];
  float scale[16];
};

// Bytes that one call needs, for any number of row groups.
uint64_t MultiplyInt8AmxScratch(int64_t columns);

// sums[m * stride + 16 * g + n] for the `groups` groups of 16 rows of `k` elements and all columns m, whose
// scales are x_scale[m]. Configures tiles and releases them. As in MultiplyBf16Amx, more columns than the
// second-level cache holds are better cut.
void MultiplyInt8Amx(int64_t k, const AmxInt8Rows* rows, int64_t groups, const AmxColumns& x,
                     const float* x_scale, std::byte* scratch, float* sums, int64_t stride);

}  // namespace qiao::kernels::cpu
