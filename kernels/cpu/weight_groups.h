// Finding groups of 16 outputs in a weight argument, whether it lies in pieces, strided or packed.
#pragma once

#include <qiao/ops.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/elements.h"
#include "kernels/cpu/multiply.h"
#include "kernels/cpu/packed_weight.h"

namespace qiao::kernels::cpu {

// Columns along K that share a scale: the block size of the weight, of a quantised x, or 0. In the transposed
// form K runs along the file's rows, where pieces may begin inside a block: then the largest number that
// divides all their beginnings. Never depends on anything but the format and the model's shapes.
int64_t ScaleColumns(const qiao_tensor& w, const void* pointer, bool transposed, int64_t x_block);

// Bytes of a worker's memory for resolving, a multiple of 64. For when the blocks are known, and the bound of
// it for when only shapes are.
int64_t ResolverBytes(const Blocks& blocks, bool transposed);
int64_t ResolverBytesBound(const qiao_tensor& w, bool transposed);

// One worker's view of a weight. Not thread-safe; cheap to make.
class GroupResolver {
 public:
  // `transposed`: outputs are columns of the file, K its rows. `memory`: ResolverBytes.
  GroupResolver(const qiao_tensor& tensor, const void* pointer, const Blocks& blocks, bool transposed,
                std::byte* memory);

  // The next call will take, in each slot, the group that lies `step` groups further on (GroupRef::ahead).
  void set_step(int64_t step) { step_ = step; }

  // Outputs first .. first + count (1 .. 16) of matrix `matrix` (an expert, a head), as group number `slot`
  // (0 .. kMaxGroups - 1) of a call. Valid until the slot is resolved again, or with kColumns another matrix
  // is. `first` is a multiple of 16 from the beginning of its section (packed_weight.h).
  GroupRef Resolve(int slot, int64_t matrix, int64_t first, int64_t count);
  // Outputs first .. first + width, at most kMaxGroups * 16, in the slots from 0 on. Returns how many groups.
  int ResolveRange(int64_t matrix, int64_t first, int64_t width, GroupRef* group);

 private:
  GroupRef Packed(int64_t matrix, int64_t first, int64_t count) const;
  GroupRef Rows(int slot, int64_t matrix, int64_t first, int64_t count);
  GroupRef Columns(int slot, int64_t matrix, int64_t first, int64_t count);
  void FindLines(int64_t matrix);

  Weight weight_;
  const PackedHeader* packed_;  // null: as the files hold it
  const Blocks& blocks_;
  bool transposed_;
  int64_t element_;
  const std::byte** lines_;
  float* scales_;
  int64_t scale_floats_;
  int64_t matrix_ = -1;
  int64_t step_ = 0;
};

}  // namespace qiao::kernels::cpu
