#include "kernels/cpu/weight_groups.h"

#include <algorithm>
#include <numeric>

#include "kernels/common/elements.h"

namespace qiao::kernels::cpu {
namespace {

// Floats of one slot's gathered scales.
int64_t ScaleFloats(const Blocks& blocks) { return kGroup * blocks.scales(); }

int64_t Bytes(int64_t lines, int64_t scale_floats) {
  return RoundUp(lines * static_cast<int64_t>(sizeof(void*)), 64) +
         RoundUp(kMaxGroups * scale_floats * static_cast<int64_t>(sizeof(float)), 64);
}

int64_t LinesOf(int64_t k, bool transposed) { return transposed ? k : 2 * kMaxGroups * kGroup; }

}  // namespace

int64_t ScaleColumns(const qiao_tensor& w, const void* pointer, bool transposed, int64_t x_block) {
  if (w.scheme != QIAO_SCHEME_BLOCK) return x_block;
  if (w.layout == QIAO_LAYOUT_OPAQUE) return static_cast<const PackedHeader*>(pointer)->scale_columns;
  if (!transposed) return w.block[1];
  int64_t common = w.block[0];
  if (w.layout == QIAO_LAYOUT_PIECES) {
    const auto& view = *static_cast<const qiao_weight_view*>(pointer);
    for (uint32_t g = 0; g < view.groups; ++g) {
      int64_t k = 0;  // where the piece begins along K
      for (int32_t i = view.group_start[g]; i < view.group_start[g + 1]; ++i) {
        const qiao_piece& piece = view.piece[i];
        // A scale ends where row0 + r is a multiple of the block, so K is cut at k - row0 modulo the block;
        // and at the piece's beginning, where the scales of another tensor may start.
        common = std::gcd(common, k);
        common = std::gcd(common, piece.row0);
        k += piece.rows;
      }
    }
  }
  return common;
}

int64_t ResolverBytes(const Blocks& blocks, bool transposed) {
  return Bytes(LinesOf(blocks.size, transposed), ScaleFloats(blocks));
}

int64_t ResolverBytesBound(const qiao_tensor& w, bool transposed) {
  const int64_t k = transposed ? w.dim[w.rank - 2] : w.dim[w.rank - 1];
  const bool scaled = w.scheme == QIAO_SCHEME_BLOCK;
  const int64_t scales = !scaled ? 1 : transposed ? k : DivideUp(k, std::max(1, w.block[1]));
  return Bytes(LinesOf(k, transposed), kGroup * std::max<int64_t>(scales, DivideUp(k, kMaxBlock)));
}

GroupResolver::GroupResolver(const qiao_tensor& tensor, const void* pointer, const Blocks& blocks,
                             bool transposed, std::byte* memory)
    : weight_(tensor, pointer),
      packed_(tensor.layout == QIAO_LAYOUT_OPAQUE ? static_cast<const PackedHeader*>(pointer) : nullptr),
      blocks_(blocks),
      transposed_(transposed),
      element_(ElementBytes(tensor.dtype)),
      lines_(reinterpret_cast<const std::byte**>(memory)),
      scale_floats_(ScaleFloats(blocks)) {
  const int64_t lines = LinesOf(blocks.size, transposed) * static_cast<int64_t>(sizeof(void*));
  scales_ = reinterpret_cast<float*>(memory + RoundUp(lines, 64));
}

GroupRef GroupResolver::Resolve(int slot, int64_t matrix, int64_t first, int64_t count) {
  if (packed_) return Packed(matrix, first, count);
  return transposed_ ? Columns(slot, matrix, first, count) : Rows(slot, matrix, first, count);
}

int GroupResolver::ResolveRange(int64_t matrix, int64_t first, int64_t width, GroupRef* group) {
  int slot = 0;
  for (int64_t n = 0; n < width; n += kGroup, ++slot)
    group[slot] = Resolve(slot, matrix, first + n, std::min(kGroup, width - n));
  return slot;
}

GroupRef GroupResolver::Packed(int64_t matrix, int64_t first, int64_t count) const {
  const PackedHeader& h = *packed_;
  const auto* base = reinterpret_cast<const std::byte*>(&h);
  const int64_t section = first / h.section_rows;
  const int64_t i = matrix * h.groups + section * h.section_groups + first % h.section_rows / kGroup;
  GroupRef group;
  group.form = GroupRef::kPacked;
  group.count = static_cast<uint32_t>(count);
  group.data = base + h.elements_at + i * h.group_bytes;
  group.ahead = step_ * h.group_bytes;
  group.nans = h.nans != 0;
  if (h.group_scales > 0) {
    group.scale = reinterpret_cast<const float*>(base + h.scales_at) + i * h.group_scales;
    group.scale_each = h.scale_each != 0;
  }
  return group;
}

GroupRef GroupResolver::Rows(int slot, int64_t matrix, int64_t first, int64_t count) {
  const std::byte** lines = lines_ + slot * kGroup;
  auto** scale = reinterpret_cast<const float**>(lines_ + (kMaxGroups + slot) * kGroup);
  GroupRef group;
  group.form = GroupRef::kRows;
  group.count = static_cast<uint32_t>(count);
  group.line = lines;
  group.ahead = step_ * kGroup * blocks_.size * element_;  // rows of a file's tensor lie one after the other
  bool same = true;
  for (int64_t i = 0; i < kGroup; ++i) {  // those past the end repeat the last; their results are dropped
    const WeightRow row = weight_.Row(matrix, first + std::min(i, count - 1));
    lines[i] = row.data;
    scale[i] = row.scale;
    same = same && row.scale == scale[0];
  }
  if (scale[0] == nullptr) return group;
  group.row_scale = scale;
  if (same) {
    group.scale = scale[0];
    return group;
  }
  float* each = scales_ + slot * scale_floats_;
  for (int64_t b = 0; b < blocks_.scales(); ++b)
    for (int64_t i = 0; i < kGroup; ++i) each[b * kGroup + i] = scale[i][b];
  group.scale = each;
  group.scale_each = true;
  return group;
}

void GroupResolver::FindLines(int64_t matrix) {
  if (matrix == matrix_) return;
  matrix_ = matrix;
  for (int64_t k = 0; k < blocks_.size; ++k) lines_[k] = weight_.Row(matrix, k).data;
}

GroupRef GroupResolver::Columns(int slot, int64_t matrix, int64_t first, int64_t count) {
  FindLines(matrix);
  GroupRef group;
  group.form = GroupRef::kColumns;
  group.count = static_cast<uint32_t>(count);
  group.line = lines_;
  group.column = first;
  if (!weight_.scaled()) return group;
  float* each = scales_ + slot * scale_floats_;
  const int64_t columns = weight_.block_cols();
  for (int64_t b = 0; b < blocks_.scales(); ++b) {
    const float* scale = weight_.Row(matrix, b * blocks_.per_scale * blocks_.block).scale;
    for (int64_t i = 0; i < kGroup; ++i)
      each[b * kGroup + i] = scale[(first + std::min(i, count - 1)) / columns];
  }
  group.scale = each;
  group.scale_each = true;
  return group;
}

}  // namespace qiao::kernels::cpu
