// What a launch of linear or grouped_linear consists of, and how its workspace is divided: x widened to f32,
// then one panel for each thread. Common to all targets; the sizes hold for the widest vectors.
#pragma once

#include <qiao/ops.h>

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/elements.h"

namespace qiao::kernels::cpu {

inline constexpr int64_t kChunk = 16;       // outputs of one item of work, and rows of a panel
inline constexpr int64_t kMaxPair = 32;     // two of the widest vectors
inline constexpr int64_t kRowTile = 4;      // rows that share one pass over a weight
inline constexpr int64_t kCachedX = 65536;  // floats of x that stay in the second-level cache during a panel

inline constexpr int kX = 0, kXScale = 1;
namespace linear_arg {
inline constexpr int kW = 2, kBias = 3, kResidual = 4, kY = 5;
}
namespace grouped_arg {
inline constexpr int kEnds = 2, kW = 3, kY = 4;
}

// Columns of K that share all scales.
inline int64_t ScaleBlock(const qiao_tensor& x, bool x_scaled, const qiao_tensor& w, int64_t k) {
  if (w.scheme == QIAO_SCHEME_BLOCK) return w.block[1];
  return x_scaled ? x.block[1] : k;
}

// Bytes, a multiple of 64. The layouts of different vector widths differ; this holds the largest.
inline int64_t PaddedFloats(int64_t k, int64_t block) {
  block = std::max<int64_t>(1, std::min(k, block));
  return DivideUp(k, block) * RoundUp(block, kMaxPair);
}
inline int64_t PanelFloats(int64_t k, int64_t block) { return kChunk * PaddedFloats(k, block); }
// Decoded columns and, at worst, scales for each k, and the ends of the runs.
inline int64_t TransposedPanelFloats(int64_t k) { return k * (2 * kMaxPair) + RoundUp(2 * k, 16); }

// What a launch of either operation is made of.
struct Problem {
  const Weight& w;
  const float* x;  // [group][row][padded]
  int64_t x_row, x_group;
  const float* x_scale;  // null without
  int64_t x_scale_row, x_scale_group;
  float factor;
  const float* bias;  // [groups * N]; null without
  int64_t bias_group;
  const void* residual;
  uint32_t residual_dtype;
  int64_t residual_row, residual_group;
  void* y;
  uint32_t y_dtype;
  int64_t y_row, y_group;
};

}  // namespace qiao::kernels::cpu
