// rmsnorm: y = (x * r) * g with r = 1 / sqrt(mean over the row of x^2 + eps)
//
// "Root Mean Square Layer Normalization", arXiv 1910.07467, equation 4. The mean is a double sum; r is
// rounded to f32 and the two products are f32 products, in this order, because checkpoints were trained, and
// activations are quantised, after exactly that arithmetic. The result is rounded to y's dtype.
#include <cmath>
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kX, kG, kY };
}  // namespace

void RmsNorm(const KernelCall& call) {
  const Rows x(call, kX), y(call, kY);
  const auto* g = call.data<const float>(kG);
  const double eps = static_cast<double>(call.as<qiao_rmsnorm_params>().eps);
  const int64_t width = x.width();
  const int64_t rows = LiveRows(call, kX) * x.inner();

  std::vector<float> row(static_cast<size_t>(width));
  for (int64_t i = 0; i < rows; ++i) {
    x.Load(i, row.data());
    double squares = 0;
    for (float v : row) squares += static_cast<double>(v) * static_cast<double>(v);
    const float r = static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(width) + eps));
    for (int64_t c = 0; c < width; ++c) {
      const float scaled = row[static_cast<size_t>(c)] * r;
      row[static_cast<size_t>(c)] = scaled * g[c];
    }
    y.Store(i, row.data());
  }
}

}  // namespace qiao::kernels::reference
