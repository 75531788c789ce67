// The product that linear and grouped_linear are made of: some rows times one matrix of a weight, with the
// scales of block-quantised operands.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/common/weights.h"

namespace qiao::kernels::reference {

// Rows of K stored numbers, and, where they are quantised, one scale for each `scale_block` of them.
// `integers`: INT8 rows, with one scale a row and `scale_block` = K, for an INT8 weight with one scale an
// output.
struct ScaledRows {
  bool integers = false;
  int64_t count = 0;
  std::vector<float> values;  // [count, K]
  int64_t scale_block = 0;    // 0: no scales
  std::vector<float> scales;  // [count, ceil(K / scale_block)]
};

// sum[n * x.count + i] = sum over k of x[i, k] W[n, k], or of x[i, k] W[k, n] when transposed. K is cut
// wherever a scale of either operand changes; each part is summed in double and then multiplied by the two
// scales:
//
//   sum = sum over parts p of (sum over k in p of x[i, k] w[n, k]) * x_scale[i, p] * w_scale[n, p]
//
// Of integers the sum is exact, and f32 operations follow: sum = f32(sum over k of x[i, k] w[n, k]) *
// (x_scale[i] * w_scale[n]).
void MultiplyRows(const ScaledRows& x, const WeightMatrix& w, bool transposed, std::vector<double>* sum);

}  // namespace qiao::kernels::reference
