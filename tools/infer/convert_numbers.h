// Weights from one number format to another, some rows at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/base/dtype.h"
#include "tools/infer/weight_formats.h"

namespace qiao::tools {

// A matrix as it lies in a checkpoint; row-major, aligned to nothing. Values are stored * scale.
struct SourceMatrix {
  DType dtype = DType::kInvalid;  // f32, f16, bf16, f8_e4m3, or i8
  int64_t rows = 0, cols = 0;
  const std::byte* data = nullptr;
  const std::byte* scale = nullptr;  // f32, one for each block[0] x block[1] elements; null: no scale
  int64_t block[2] = {0, 0};
};

// Columns [col, col + count) of a row as f32. E4M3 becomes f32 exactly, and the product with its scale is
// rounded once.
void ReadRow(const SourceMatrix& matrix, int64_t row, int64_t col, int64_t count, float* out);

// FloatToF8E4M3 of numbers (no NaN, no infinity), faster.
uint8_t NumberToF8E4M3(float v);

// Rows [row, row + count) in `dtype` (f32, f16, bf16), row-major, to `out`.
void CastRows(const SourceMatrix& matrix, int64_t row, int64_t count, DType dtype, std::byte* out);

// A panel of rows in E4M3 as DeepSeek quantises weights (its weight_quant): for each kF8Block x kF8Block block
// of the matrix, scale = largest magnitude / 448 and stored = round(value / scale). A block of zeros gets the
// scale 1. `row` is a multiple of kF8Block, `count` at most that. `scales` gets one a block; `out` may be null,
// when only the scales are wanted. False where a value is not finite.
bool QuantisePanelF8(const SourceMatrix& matrix, int64_t row, int64_t count, std::byte* out, float* scales);

// Rows in INT8, one scale a row: largest magnitude / 127, or 1 for a row of zeros; stored = round(value /
// scale). `out` may be null. False where a value is not finite.
bool QuantiseRowsI8(const SourceMatrix& matrix, int64_t row, int64_t count, std::byte* out, float* scales);

}  // namespace qiao::tools
