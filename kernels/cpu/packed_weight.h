// A weight as these kernels store it in memory of their own: groups of 16 outputs, the elements of each in
// the order in which the instruction set's products want them (column after column; E4M3 in units of four
// columns), so that a vector load brings the same columns of 16 outputs, and a group is read from end to end.
// Elements and scales are those of the file, unchanged; nothing is rounded.
//
//   PackedHeader | scales, f32 [matrix][group][block scales] or [..][16] | elements [matrix][group][padded K
//   * 16]
//
// A matrix whose outputs come in sections (gate above up) begins a new group with each, so that group g of
// one section has its partner in group g of the other.
#pragma once

#include <qiao/ops.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/isa.h"
#include "runtime/base/threads.h"

namespace qiao::kernels::cpu {

struct PackedHeader {
  static constexpr uint64_t kMagic = 0x716961b170616b31;  // says that a launch was given what Store wrote
  uint64_t magic;
  int64_t scale_columns;                         // as Blocks takes it
  int64_t section_rows, section_groups, groups;  // of one matrix
  int64_t group_scales;                          // floats a group; 0: no scales
  int64_t group_bytes;
  int64_t scales_at, elements_at, bytes;  // from the header's start
  uint32_t scale_each;                    // a scale for each output instead of one for the group
  uint32_t transposed;                    // outputs are the file's columns
  uint32_t nans;                          // E4M3 codes hold NaNs
};

// Into how many sections the outputs of argument `argument` of an operation fall: 2 for gate above up.
int64_t SectionsOf(uint32_t op, uint32_t argument);

// How a weight [matrices, rows, cols] that lies in pieces would be stored. `sections` divides the outputs
// evenly.
PackedHeader LayOutPacked(const qiao_tensor& w, const qiao_weight_view& view, bool transposed,
                          int64_t sections);

// Writes it to `to` (header.bytes, aligned to 64), with all threads of the pool.
void StorePacked(const PackedHeader& header, const qiao_tensor& w, const qiao_weight_view& view, Isa isa,
                 ThreadPool& pool, std::byte* to);

}  // namespace qiao::kernels::cpu
