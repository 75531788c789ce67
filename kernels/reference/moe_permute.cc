// moe_permute: each row is copied once per chosen expert; the copies are sorted by (expert, row, choice).
//
//   slot[t,j] = number of (t', j') with ids[t',j'] < ids[t,j], or equal ids and (t', j') before (t, j)
//   xp[slot[t,j]] = x[t],  ends[e] = number of (t, j) with ids[t,j] <= e
//
// An id of -1, and a dead row, has slot -1 and no copy. Rows of xp from ends[E-1] on are not touched.
#include <cstring>

#include "kernels/common/elements.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kX, kIds, kXp, kEnds, kSlot };
}  // namespace

void MoePermute(const KernelCall& call) {
  const Rows x(call, kX), xp(call, kXp);
  const auto* ids = call.data<const int32_t>(kIds);
  auto* ends = call.data<int64_t>(kEnds);
  auto* slot = call.data<int32_t>(kSlot);
  const int64_t rows = call.tensor[kIds].dim[0], k = call.tensor[kIds].dim[1];
  const int64_t live = LiveRows(call, kIds);
  const int32_t experts = call.as<qiao_moe_permute_params>().experts;
  const auto bytes = static_cast<size_t>(x.width() * ElementBytes(x.dtype()));

  for (int64_t i = 0; i < rows * k; ++i) slot[i] = -1;
  int32_t next = 0;
  for (int32_t e = 0; e < experts; ++e) {
    for (int64_t i = 0; i < live * k; ++i) {
      if (ids[i] != e) continue;
      std::memcpy(xp.at(next), x.at(i / k), bytes);
      slot[i] = next++;
    }
    ends[e] = next;
  }
}

}  // namespace qiao::kernels::reference
