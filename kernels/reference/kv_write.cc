// kv_write: row t of each kind goes to row slot[t] of its pool, slot = page * page_tokens + row within the
// page. Slot -1 and dead rows write nothing. Rows are converted where the pool's dtype is another.
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {

void KvWrite(const KernelCall& call) {
  const int kinds = call.as<qiao_kv_write_params>().kinds;
  const int slot_argument = kinds;  // rows x kinds, slot, pools x kinds
  const auto* slot = call.data<const int32_t>(slot_argument);
  const int64_t live = LiveRows(call, slot_argument);

  for (int kind = 0; kind < kinds; ++kind) {
    const Rows rows(call, kind), pool(call, slot_argument + 1 + kind);
    std::vector<float> row(static_cast<size_t>(rows.width()));
    for (int64_t t = 0; t < live; ++t) {
      if (slot[t] < 0) continue;
      rows.Load(t, row.data());
      pool.Store(slot[t], row.data());
    }
  }
}

}  // namespace qiao::kernels::reference
