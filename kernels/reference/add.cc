// add: y = a + b, rounded once.
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kA, kB, kY };
}  // namespace

void Add(const KernelCall& call) {
  const Rows a(call, kA), b(call, kB), y(call, kY);
  std::vector<float> first(static_cast<size_t>(a.width())), second(first.size());
  const int64_t rows = LiveRows(call, kA) * a.inner();
  for (int64_t i = 0; i < rows; ++i) {
    a.Load(i, first.data());
    b.Load(i, second.data());
    void* to = y.at(i);
    for (size_t c = 0; c < first.size(); ++c) {
      y.Set(to, static_cast<int64_t>(c), static_cast<double>(first[c]) + static_cast<double>(second[c]));
    }
  }
}

}  // namespace qiao::kernels::reference
