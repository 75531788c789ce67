// FRACTAL_NZ: a matrix of R rows and C columns as tiles of 16 rows and c0 columns, c0 being 32 bytes' worth of elements.
// Tiles follow each other down the rows, then along the columns; a tile's rows follow each other. What is beyond the
// matrix is zero. In elements:
//     offset(r, c) = ((c / c0) * ceil(R / 16) + r / 16) * 16 * c0 + (r % 16) * c0 + c % c0
// (ascend.md, from what permissively licensed clients write.)
#pragma once

#include <algorithm>
#include <cstdint>

#include "backends/ascend/emulator/nnopbase/view.h"

namespace qiao::cann {

struct Fractal {
  static constexpr int64_t kRows = 16;

  int64_t rows = 0, cols = 0, c0 = 1;

  Fractal(int64_t rows, int64_t cols, aclDataType dtype)
      : rows(rows), cols(cols), c0(32 / std::max<int64_t>(1, BytesOf(dtype))) {}

  int64_t row_tiles() const { return (rows + kRows - 1) / kRows; }
  int64_t col_tiles() const { return (cols + c0 - 1) / c0; }
  // With the padding.
  int64_t elements() const { return row_tiles() * col_tiles() * kRows * c0; }
  // Of column c0 * tile of row r; the c0 elements of a row within a tile follow each other.
  int64_t TileRow(int64_t r, int64_t tile) const {
    return (tile * row_tiles() + r / kRows) * kRows * c0 + r % kRows * c0;
  }
};

// A view with format FRACTAL_NZ keeps the dimensions and strides of the matrix as it was before conversion, so a view
// whose last stride is not 1 is the transposed view of what was converted.
inline bool FractalTransposed(const View& v) { return v.step(-1) != 1 && v.step(-2) == 1; }
inline Fractal FractalOf(const View& v) {
  return FractalTransposed(v) ? Fractal(v.size(-1), v.size(-2), v.dtype)
                              : Fractal(v.size(-2), v.size(-1), v.dtype);
}
// The memory of the view's matrix whose leading dimensions have the row-major index `batch`.
inline char* FractalData(const View& v, int64_t batch) {
  const Fractal f = FractalOf(v);
  const int64_t matrix = std::max<int64_t>(1, f.rows * f.cols);
  const int64_t index = (v.offset + v.OffsetOf(batch, 0, v.rank - 2)) / matrix;
  return static_cast<char*>(v.base) + index * f.elements() * BytesOf(v.dtype);
}

}  // namespace qiao::cann
