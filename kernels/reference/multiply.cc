#include "kernels/reference/multiply.h"

#include <algorithm>

namespace qiao::kernels::reference {

void MultiplyRows(const ScaledRows& x, const WeightMatrix& w, bool transposed, std::vector<double>* sum) {
  const int64_t count = x.count;
  const int64_t k_size = transposed ? w.rows() : w.cols();
  const int64_t n_size = transposed ? w.cols() : w.rows();
  const int64_t x_scales = x.scale_block ? (k_size + x.scale_block - 1) / x.scale_block : 0;
  sum->assign(static_cast<size_t>(n_size * count), 0.0);
  if (count == 0 || n_size == 0) return;

  // Rows innermost: each row's sum keeps its order along K, and the compiler may work on several rows at
  // once.
  std::vector<double> x_by_k(static_cast<size_t>(k_size * count));
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t k = 0; k < k_size; ++k) {
      x_by_k[static_cast<size_t>(k * count + i)] =
          static_cast<double>(x.values[static_cast<size_t>(i * k_size + k)]);
    }
  }

  // A transposed matrix is read by columns; it is loaded once (heads are small).
  std::vector<float> matrix;
  if (transposed) {
    matrix.resize(static_cast<size_t>(k_size * n_size));
    for (int64_t k = 0; k < k_size; ++k) w.LoadRow(k, &matrix[static_cast<size_t>(k * n_size)]);
  }

  std::vector<float> w_row(static_cast<size_t>(k_size));
  std::vector<double> part(static_cast<size_t>(count));
  for (int64_t n = 0; n < n_size; ++n) {
    if (transposed) {
      for (int64_t k = 0; k < k_size; ++k)
        w_row[static_cast<size_t>(k)] = matrix[static_cast<size_t>(k * n_size + n)];
    } else {
      w.LoadRow(n, w_row.data());
    }
    double* total = sum->data() + n * count;
    for (int64_t begin = 0, end; begin < k_size; begin = end) {
      end = transposed ? w.ScaleEndInColumn(begin) : w.ScaleEndInRow(n, begin);
      if (x.scale_block) end = std::min(end, (begin / x.scale_block + 1) * x.scale_block);

      std::fill(part.begin(), part.end(), 0.0);
      for (int64_t k = begin; k < end; ++k) {
        const double wk = static_cast<double>(w_row[static_cast<size_t>(k)]);
        const double* xk = x_by_k.data() + k * count;
        for (int64_t i = 0; i < count; ++i) part[static_cast<size_t>(i)] += xk[i] * wk;
      }

      const double w_scale = static_cast<double>(transposed ? w.Scale(begin, n) : w.Scale(n, begin));
      for (int64_t i = 0; i < count; ++i) {
        const double x_scale =
            x.scale_block
                ? static_cast<double>(x.scales[static_cast<size_t>(i * x_scales + begin / x.scale_block)])
                : 1.0;
        if (x.integers) {  // one part: all of K
          const float scale = static_cast<float>(x_scale) * static_cast<float>(w_scale);
          total[i] = static_cast<double>(static_cast<float>(part[static_cast<size_t>(i)]) * scale);
          continue;
        }
        total[i] += part[static_cast<size_t>(i)] * x_scale * w_scale;
      }
    }
  }
}

}  // namespace qiao::kernels::reference
