// cast: y = x, rounded to y's dtype.
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kX, kY };
}  // namespace

void Cast(const KernelCall& call) {
  const Rows x(call, kX), y(call, kY);
  std::vector<float> row(static_cast<size_t>(x.width()));
  const int64_t rows = LiveRows(call, kX) * x.inner();
  for (int64_t i = 0; i < rows; ++i) {
    x.Load(i, row.data());
    y.Store(i, row.data());
  }
}

}  // namespace qiao::kernels::reference
