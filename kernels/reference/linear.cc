// linear: y[t,b,n] = sum over k of x[t,b,k] W[b,n,k] (+ bias[b,n]) (+ residual[t,b,n])
//
// W[b,k,n] in place of W[b,n,k] when w_transposed. Scales multiply partial sums, see multiply.h. Sum, bias
// and residual are added in double and rounded once.
#include <algorithm>
#include <vector>

#include "kernels/reference/multiply.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kX, kXScale, kW, kBias, kResidual, kY };
// Rows that are multiplied at once: bounds the memory, changes no result.
constexpr int64_t kRowChunk = 64;
}  // namespace

void Linear(const KernelCall& call) {
  const Rows x(call, kX), x_scale(call, kXScale), residual(call, kResidual), y(call, kY);
  const bool transposed = call.as<qiao_linear_params>().w_transposed != 0;
  const int64_t live = LiveRows(call, kX);
  const int64_t heads = x.inner();  // B
  const int64_t k_size = x.width(), n_size = y.width();

  std::vector<double> sum;
  std::vector<float> residual_row(static_cast<size_t>(n_size));
  for (int64_t b = 0; b < heads; ++b) {
    const WeightMatrix w(call.tensor[kW], call.pointer[kW], b);
    for (int64_t t0 = 0; t0 < live; t0 += kRowChunk) {
      const int64_t count = std::min(kRowChunk, live - t0);
      ScaledRows rows;
      rows.count = count;
      rows.values.resize(static_cast<size_t>(count * k_size));
      for (int64_t i = 0; i < count; ++i) {
        x.Load((t0 + i) * heads + b, &rows.values[static_cast<size_t>(i * k_size)]);
      }
      if (call.has(kXScale)) {
        rows.integers = call.tensor[kX].dtype == QIAO_I8;
        rows.scale_block = rows.integers ? k_size : call.tensor[kX].block[1];
        rows.scales.resize(static_cast<size_t>(count * x_scale.width()));
        for (int64_t i = 0; i < count; ++i) {
          x_scale.Load((t0 + i) * heads + b, &rows.scales[static_cast<size_t>(i * x_scale.width())]);
        }
      }
      MultiplyRows(rows, w, transposed, &sum);

      for (int64_t i = 0; i < count; ++i) {
        const int64_t row = (t0 + i) * heads + b;
        if (call.has(kResidual)) residual.Load(row, residual_row.data());
        void* to = y.at(row);
        for (int64_t n = 0; n < n_size; ++n) {
          double v = sum[static_cast<size_t>(n * count + i)];
          if (call.has(kBias)) v += static_cast<double>(call.data<const float>(kBias)[b * n_size + n]);
          if (call.has(kResidual)) v += static_cast<double>(residual_row[static_cast<size_t>(n)]);
          y.Set(to, n, v);
        }
      }
    }
  }
}

}  // namespace qiao::kernels::reference
