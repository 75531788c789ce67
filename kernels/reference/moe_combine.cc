// moe_combine: y[t] = sum over j of w[t,j] * yp[slot[t,j]], j ascending, then + shared[t]; slot -1 adds
// nothing.
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kYp, kSlot, kW, kShared, kY };
}  // namespace

void MoeCombine(const KernelCall& call) {
  const Rows yp(call, kYp), shared(call, kShared), y(call, kY);
  const auto* slot = call.data<const int32_t>(kSlot);
  const auto* w = call.data<const float>(kW);
  const int64_t k = call.tensor[kSlot].dim[1];
  const int64_t live = LiveRows(call, kSlot);

  std::vector<float> row(static_cast<size_t>(y.width()));
  std::vector<double> sum(row.size());
  for (int64_t t = 0; t < live; ++t) {
    sum.assign(sum.size(), 0.0);
    for (int64_t j = 0; j < k; ++j) {
      if (slot[t * k + j] < 0) continue;
      yp.Load(slot[t * k + j], row.data());
      const double weight = static_cast<double>(w[t * k + j]);
      for (size_t c = 0; c < row.size(); ++c) sum[c] += weight * static_cast<double>(row[c]);
    }
    if (call.has(kShared)) {
      shared.Load(t, row.data());
      for (size_t c = 0; c < row.size(); ++c) sum[c] += static_cast<double>(row[c]);
    }
    y.Store(t, sum.data());
  }
}

}  // namespace qiao::kernels::reference
