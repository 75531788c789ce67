// Both operands of a product of AMX tiles, in the order in which tiles read them. x86-64 only; where
// Isa::kAmx was chosen.
//
// A step is the K that one tile instruction covers: 64 bytes of a row, 32 bf16 or 64 int8.
//
//   panel    the A operand, 16 rows of a weight: [steps][16 rows][64 bytes]
//   columns  the B operand, rows of the activations as columns, in groups of 4 bytes along K (2 bf16 or 4
//            int8): [column tiles][steps][16 groups][columns][4 bytes]. Up to 16 columns are one tile of so
//            many; more are tiles of 16, the last one padded with zeros. The width of a tile changes no bit
//            of a column's sums, and no time either: the hardware works on whole rows.
//
// K ends in zeros up to a whole step in both. All memory is aligned to 64.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/elements.h"

namespace qiao::kernels::cpu {

inline constexpr int64_t kStepBytes = 64;
inline constexpr int64_t kPanelStep = 16 * kStepBytes;  // bytes of a panel's step

// The columns of one launch, or of one expert in it.
struct AmxColumns {
  const std::byte* data = nullptr;
  int64_t count = 0;  // 1 or more
  int64_t steps = 0;

  int64_t width() const { return count < 16 ? count : 16; }
  int64_t tiles() const { return DivideUp(count, int64_t{16}); }
  int64_t step_bytes() const { return width() * kStepBytes; }
  const std::byte* Tile(int64_t tile, int64_t step) const {
    return data + (tile * steps + step) * step_bytes();
  }
  static int64_t Steps(int64_t row_bytes) { return DivideUp(row_bytes, kStepBytes); }
  int64_t bytes() const { return tiles() * steps * step_bytes(); }
};

// Packs column tile `tile` of `columns` (whose count and steps are set; `to` is where its data begin) from
// rows of `row_bytes` bytes: row[m] is row m of the activations, of all `count`. Tiles may be packed by
// different threads.
void PackAmxColumns(const AmxColumns& columns, int64_t tile, const void* const* row, int64_t row_bytes,
                    std::byte* to);

// Steps [first, last) of the panel of 16 rows: bf16 or int8 as they lie, `row_bytes` of them.
void CopyAmxPanel(const void* const* row, int64_t row_bytes, int64_t first, int64_t last, std::byte* panel);
// The same from E4M3, `k` of them a row, which becomes bf16 exactly; NaN stays NaN. Fetches ahead in each
// row.
void DecodeAmxPanel(const void* const* row, int64_t k, int64_t first, int64_t last, std::byte* panel);

}  // namespace qiao::kernels::cpu
