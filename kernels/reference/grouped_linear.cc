// grouped_linear: y[r,n] = sum over k of x[r,k] W[e,n,k] for the rows r of expert e, ends[e-1] <= r < ends[e]
//
// Scales multiply partial sums, see multiply.h. Rows from ends[E-1] on are not touched.
#include <algorithm>
#include <vector>

#include "kernels/reference/multiply.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kX, kXScale, kEnds, kW, kY };
constexpr int64_t kRowChunk = 64;
}  // namespace

void GroupedLinear(const KernelCall& call) {
  const Rows x(call, kX), x_scale(call, kXScale), y(call, kY);
  const auto* ends = call.data<const int64_t>(kEnds);
  const int64_t experts = call.tensor[kEnds].dim[0];
  const int64_t k_size = x.width(), n_size = y.width();

  std::vector<double> sum;
  for (int64_t e = 0; e < experts; ++e) {
    const WeightMatrix w(call.tensor[kW], call.pointer[kW], e);
    for (int64_t r0 = e ? ends[e - 1] : 0; r0 < ends[e]; r0 += kRowChunk) {
      ScaledRows rows;
      rows.count = std::min(kRowChunk, ends[e] - r0);
      rows.values.resize(static_cast<size_t>(rows.count * k_size));
      for (int64_t i = 0; i < rows.count; ++i) x.Load(r0 + i, &rows.values[static_cast<size_t>(i * k_size)]);
      if (call.has(kXScale)) {
        rows.integers = call.tensor[kX].dtype == QIAO_I8;
        rows.scale_block = rows.integers ? k_size : call.tensor[kX].block[1];
        rows.scales.resize(static_cast<size_t>(rows.count * x_scale.width()));
        for (int64_t i = 0; i < rows.count; ++i) {
          x_scale.Load(r0 + i, &rows.scales[static_cast<size_t>(i * x_scale.width())]);
        }
      }
      MultiplyRows(rows, w, /*transposed=*/false, &sum);
      for (int64_t i = 0; i < rows.count; ++i) {
        void* to = y.at(r0 + i);
        for (int64_t n = 0; n < n_size; ++n) y.Set(to, n, sum[static_cast<size_t>(n * rows.count + i)]);
      }
    }
  }
}

}  // namespace qiao::kernels::reference
