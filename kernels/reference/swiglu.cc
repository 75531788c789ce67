// swiglu: y[i] = silu(x[i]) * x[I + i], silu(g) = g / (1 + exp(-g))
//
// "GLU Variants Improve Transformer", arXiv 2002.05202, equation 6. With `ends` (rows sorted by expert), rows
// from ends[E-1] on are dead.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kX, kEnds, kY };
}  // namespace

void SwiGlu(const KernelCall& call) {
  const Rows x(call, kX), y(call, kY);
  const int64_t half = y.width();
  int64_t live = LiveRows(call, kX);
  if (call.has(kEnds)) {
    live = std::min(call.tensor[kX].dim[0], call.data<const int64_t>(kEnds)[call.tensor[kEnds].dim[0] - 1]);
  }

  std::vector<float> row(static_cast<size_t>(2 * half));
  for (int64_t t = 0; t < live; ++t) {
    x.Load(t, row.data());
    void* to = y.at(t);
    for (int64_t i = 0; i < half; ++i) {
      const double gate = static_cast<double>(row[static_cast<size_t>(i)]);
      const double up = static_cast<double>(row[static_cast<size_t>(half + i)]);
      y.Set(to, i, gate / (1.0 + std::exp(-gate)) * up);
    }
  }
}

}  // namespace qiao::kernels::reference
