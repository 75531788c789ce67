// One matrix of a weight argument (an expert, a head), whichever way the weight lies in memory.
#pragma once

#include <qiao/ops.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/common/elements.h"

namespace qiao::kernels {

// group_start of a qiao_weight_view over these pieces, which are in the order of their groups.
inline std::vector<int32_t> GroupStarts(const qiao_piece* piece, uint32_t count) {
  std::vector<int32_t> starts;
  for (uint32_t i = 0; i < count; ++i) {
    while (static_cast<int64_t>(starts.size()) <= piece[i].group) starts.push_back(static_cast<int32_t>(i));
  }
  starts.push_back(static_cast<int32_t>(count));
  return starts;
}

// The matrix [rows, cols] of one group, for QIAO_LAYOUT_STRIDED and QIAO_LAYOUT_PIECES. A view: the argument
// and the pages behind it must outlive it. Its elements are stored numbers times scales; the two are given
// separately, because kernels multiply sums over a scale block by the scale and not the elements.
class WeightMatrix {
 public:
  WeightMatrix(const qiao_tensor& tensor, const void* argument, int64_t group)
      : rows_(tensor.dim[1]), cols_(tensor.dim[2]) {
    if (tensor.layout == QIAO_LAYOUT_PIECES) {
      const auto& view = *static_cast<const qiao_weight_view*>(argument);
      piece_ = view.piece + view.group_start[group];
      return;
    }
    whole_.struct_size = sizeof(whole_);
    whole_.dtype = tensor.dtype;
    whole_.data = static_cast<const char*>(argument) + group * tensor.stride[0] * ElementBytes(tensor.dtype);
    whole_.rows = rows_;
    whole_.cols = cols_;
    whole_.ld = tensor.stride[1];
  }

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }

  // The stored elements of row r, without scales.
  void LoadRow(int64_t r, float* out) const {
    const qiao_piece& p = PieceOf(&r);
    LoadFloats(p.dtype, static_cast<const char*>(p.data) + r * p.ld * ElementBytes(p.dtype), cols_, out);
  }
  // Whether row r is stored as INT8 with a scale of its own.
  bool IsInt8Channel(int64_t r) const {
    const qiao_piece& p = PieceOf(&r);
    return p.dtype == QIAO_I8 && p.scheme == QIAO_SCHEME_CHANNEL;
  }
  // What element (r, c) is multiplied by.
  float Scale(int64_t r, int64_t c) const {
    const qiao_piece& p = PieceOf(&r);
    if (p.scheme == QIAO_SCHEME_NONE) return 1.0f;
    if (p.scheme == QIAO_SCHEME_CHANNEL) return p.scale[p.row0 + r];
    return p.scale[(p.row0 + r) / p.block[0] * p.scale_ld + c / p.block[1]];
  }
  // The columns c.. of row r up to here share one scale.
  int64_t ScaleEndInRow(int64_t r, int64_t c) const {
    const qiao_piece& p = PieceOf(&r);
    if (p.scheme != QIAO_SCHEME_BLOCK) return cols_;
    return std::min(cols_, (c / p.block[1] + 1) * p.block[1]);
  }
  // The rows r.. of any column up to here share one scale.
  int64_t ScaleEndInColumn(int64_t r) const {
    int64_t within = r;
    const qiao_piece& p = PieceOf(&within);
    int64_t left = p.rows - within;
    if (p.scheme == QIAO_SCHEME_BLOCK) left = std::min(left, p.block[0] - (p.row0 + within) % p.block[0]);
    if (p.scheme == QIAO_SCHEME_CHANNEL) left = 1;
    return r + left;
  }

 private:
  // The piece that holds row *r, which becomes the row within the piece.
  const qiao_piece& PieceOf(int64_t* r) const {
    if (!piece_) return whole_;
    const qiao_piece* p = piece_;
    for (; *r >= p->rows; ++p) *r -= p->rows;
    return *p;
  }

  int64_t rows_, cols_;
  const qiao_piece* piece_ = nullptr;  // of the group's first row
  qiao_piece whole_{};                 // where the weight is not in pieces
};

}  // namespace qiao::kernels
