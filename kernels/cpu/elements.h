// Element types as C++ types, so that kernels are templates over them, and the arithmetic of addresses: rows
// of strided tensors and of weights that lie in pieces.
#pragma once

#include <qiao/ops.h>

#include <cstddef>
#include <cstdint>

#include "kernels/common/elements.h"
#include "runtime/base/checked.h"

namespace qiao::kernels::cpu {

struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};
struct E4m3 {
  uint8_t bits;
};
struct E5m2 {
  uint8_t bits;
};

// What a decoded element must be multiplied by to be the number it stands for; see LoadPair in simd-inl.h.
template <typename T>
inline constexpr float kDecodeFactor = 1.0f;
template <>
inline constexpr float kDecodeFactor<E4m3> = 256.0f;

constexpr int64_t DivideUp(int64_t a, int64_t b) { return CeilDiv(a, b); }
constexpr int64_t RoundUp(int64_t a, int64_t b) { return qiao::RoundUp(a, b); }

// A tensor [T,..,D] as rows of D elements: how many rows a step of dim[0] has, and where a row begins.
inline int64_t InnerRows(const qiao_tensor& t) {
  int64_t rows = 1;
  for (uint32_t i = 1; i + 1 < t.rank; ++i) rows *= t.dim[i];
  return rows;
}

inline int64_t RowOffset(const qiao_tensor& t, int64_t row) {
  int64_t offset = 0;
  for (int i = static_cast<int>(t.rank) - 2; i > 0; --i) {
    offset += row % t.dim[i] * t.stride[i];
    row /= t.dim[i];
  }
  return t.rank >= 2 ? offset + row * t.stride[0] : row;
}

inline int64_t LastDim(const qiao_tensor& t) { return t.rank ? t.dim[t.rank - 1] : 1; }

// One row of a weight: its elements and the scales of its row of blocks (null without a scheme), one for each
// block[1] columns.
struct WeightRow {
  const std::byte* data;
  const float* scale;
  int64_t block_row;  // names the row of scale blocks within its group's pieces; equal rows share scales
};

// A weight argument [groups,rows,cols] or [rows,cols], STRIDED or PIECES.
class Weight {
 public:
  Weight(const qiao_tensor& t, const void* pointer)
      : t_(t),
        view_(t.layout == QIAO_LAYOUT_PIECES ? static_cast<const qiao_weight_view*>(pointer) : nullptr),
        data_(static_cast<const std::byte*>(pointer)),
        element_(ElementBytes(t.dtype)) {}

  int64_t groups() const { return t_.rank >= 3 ? t_.dim[t_.rank - 3] : 1; }
  int64_t rows() const { return t_.dim[t_.rank - 2]; }
  int64_t cols() const { return t_.dim[t_.rank - 1]; }
  uint32_t dtype() const { return t_.dtype; }
  bool scaled() const { return t_.scheme == QIAO_SCHEME_BLOCK; }
  // Columns that share a scale.
  int64_t block_cols() const { return scaled() ? t_.block[1] : cols(); }

  WeightRow Row(int64_t group, int64_t row) const {
    if (!view_) {
      const int64_t at = (t_.rank >= 3 ? group * t_.stride[t_.rank - 3] : 0) + row * t_.stride[t_.rank - 2];
      return {data_ + at * element_, nullptr, 0};
    }
    const int32_t first = view_->group_start[group], last = view_->group_start[group + 1] - 1;
    int32_t i = first;
    while (i < last && row >= view_->piece[i].rows) row -= view_->piece[i++].rows;
    const qiao_piece& piece = view_->piece[i];
    WeightRow found{static_cast<const std::byte*>(piece.data) + row * piece.ld * element_, nullptr, 0};
    if (scaled()) {
      const int64_t block_row = (piece.row0 + row) / t_.block[0];
      found.scale = piece.scale + block_row * piece.scale_ld;
      found.block_row = block_row + (static_cast<int64_t>(i - first) << 40);
    }
    return found;
  }

 private:
  const qiao_tensor& t_;
  const qiao_weight_view* view_;
  const std::byte* data_;
  int64_t element_;
};

// Pieces of a parallel loop: how many items make up about as much work as waking a thread costs. `work` is
// one item's, in vector-free multiply-adds or bytes.
constexpr int64_t Grain(int64_t work, int64_t enough = 1 << 17) {
  return work >= enough ? 1 : DivideUp(enough, work > 0 ? work : 1);
}

}  // namespace qiao::kernels::cpu
