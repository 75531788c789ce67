// argmax: the index of each row's largest element; the lowest of equal ones; NaN only where all are (then
// index 0).
#include <cmath>

#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kX, kIds };
}  // namespace

void ArgMax(const KernelCall& call) {
  const int64_t width = call.tensor[kX].dim[1];
  const int64_t live = LiveRows(call, kX);
  for (int64_t t = 0; t < live; ++t) {
    const float* x = call.data<const float>(kX) + t * width;
    int64_t best = 0;
    for (int64_t i = 1; i < width; ++i) {
      if (x[i] > x[best] || (std::isnan(x[best]) && !std::isnan(x[i]))) best = i;
    }
    call.data<int32_t>(kIds)[t] = static_cast<int32_t>(best);
  }
}

}  // namespace qiao::kernels::reference
