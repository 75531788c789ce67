// kv_write: row t of each kind goes to row slot[t] of its pool, slot = page * page_tokens + row within the
// page. Slot -1 and dead rows write nothing. Rows are converted where the pool's dtype is another. A pool
// with scales gets, for each block of a row's channels,
//
//   scale = max(max |x|, floor) / 448,  q = e4m3(x / scale)
//
// in f32 divisions, as quantise does; the largest number passes over NaNs.
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {

void KvWrite(const KernelCall& call) {
  const int kinds = call.as<qiao_kv_write_params>().kinds;
  const int slot_argument = kinds;  // rows x kinds, slot, pools x kinds
  const auto* slot = call.data<const int32_t>(slot_argument);
  const uint32_t scaled = call.as<qiao_kv_write_params>().scaled;
  const int64_t live = LiveRows(call, slot_argument);
  int scale_argument = 2 * kinds + 1;  // of the next kind with scales

  for (int kind = 0; kind < kinds; ++kind) {
    const Rows rows(call, kind), pool(call, slot_argument + 1 + kind);
    std::vector<float> row(static_cast<size_t>(rows.width()));
    for (int64_t t = 0; t < live; ++t) {
      if (slot[t] < 0) continue;
      rows.Load(t, row.data());
      if (!(scaled >> kind & 1)) {
        pool.Store(slot[t], row.data());
        continue;
      }
      const Rows scales(call, scale_argument);
      QuantiseToE4m3(row.data(), rows.width(), call.tensor[slot_argument + 1 + kind].block[1],
                     QIAO_KV_SCALE_FLOOR, static_cast<uint8_t*>(pool.at(slot[t])),
                     static_cast<float*>(scales.at(slot[t])));
    }
    if (scaled >> kind & 1) ++scale_argument;
  }
}

}  // namespace qiao::kernels::reference
