// embedding: y[t] = W[ids[t]], each element times its scale where W is block-scaled; an id outside [0, V)
// gives zeros.
#include <vector>

#include "kernels/common/weights.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kIds, kW, kY };
}  // namespace

void Embedding(const KernelCall& call) {
  const Rows y(call, kY);
  const WeightMatrix w(call.tensor[kW], call.pointer[kW], 0);
  const auto* ids = call.data<const int32_t>(kIds);
  const int64_t live = LiveRows(call, kIds);

  std::vector<float> row(static_cast<size_t>(w.cols()));
  for (int64_t t = 0; t < live; ++t) {
    const int64_t id = ids[t];
    const bool known = id >= 0 && id < w.rows();
    if (known) w.LoadRow(id, row.data());
    void* to = y.at(t);
    for (int64_t c = 0; c < w.cols(); ++c) {
      y.Set(to, c,
            known ? static_cast<double>(row[static_cast<size_t>(c)]) * static_cast<double>(w.Scale(id, c))
                  : 0.0);
    }
  }
}

}  // namespace qiao::kernels::reference
