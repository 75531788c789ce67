// gather_rows: y[i] = x[index[i]]; an index outside [0, T) gives zeros.
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kX, kIndex, kY };
}  // namespace

void GatherRows(const KernelCall& call) {
  const Rows x(call, kX), y(call, kY);
  const auto* index = call.data<const int32_t>(kIndex);
  const int64_t live = LiveRows(call, kIndex);
  std::vector<float> row(static_cast<size_t>(x.width()));
  for (int64_t i = 0; i < live; ++i) {
    if (index[i] >= 0 && index[i] < call.tensor[kX].dim[0]) {
      x.Load(index[i], row.data());
    } else {
      row.assign(row.size(), 0.0f);
    }
    y.Store(i, row.data());
  }
}

}  // namespace qiao::kernels::reference
