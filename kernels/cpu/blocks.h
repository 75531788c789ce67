// How the contraction dimension K of a product is cut: into blocks of at most kMaxBlock columns that share
// one scale. The partial sum of each block, in f32 and in the order of its columns, times the block's scale,
// is added to the total in the order of the blocks: this is the arithmetic of every product here, whatever
// the number of rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "kernels/cpu/elements.h"

namespace qiao::kernels::cpu {

inline constexpr int64_t kGroup = 16;      // rows of a weight that are multiplied together: a group
inline constexpr int64_t kMaxBlock = 128;  // columns whose partial sum is kept apart
inline constexpr int64_t kBlockStep = 4;   // blocks are padded with zeros to a multiple of this

struct Blocks {
  int64_t size;          // K
  int64_t block;         // columns of a block; the last one may be shorter
  int64_t count;         // blocks
  int64_t padded_block;  // columns that a block takes in packed rows and weights
  int64_t per_scale;     // blocks that share a scale

  // `scale_columns`: columns that share a scale; 0 where there are no scales.
  Blocks(int64_t k, int64_t scale_columns)
      : size(k),
        block(scale_columns <= 0           ? kMaxBlock
              : scale_columns <= kMaxBlock ? scale_columns
                                           : std::gcd(scale_columns, kMaxBlock)),
        count(DivideUp(k, block)),
        padded_block(RoundUp(block, kBlockStep)),
        per_scale(scale_columns <= 0 ? std::max<int64_t>(count, 1) : scale_columns / block) {}

  int64_t Length(int64_t b) const { return std::min(block, size - b * block); }
  int64_t Padded(int64_t b) const { return RoundUp(Length(b), kBlockStep); }
  // Columns of a packed row.
  int64_t padded() const { return count > 0 ? (count - 1) * padded_block + Padded(count - 1) : 0; }
  int64_t scales() const { return DivideUp(count, per_scale); }
};

}  // namespace qiao::kernels::cpu
