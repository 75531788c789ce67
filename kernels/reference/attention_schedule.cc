// attention_schedule: the scalar attention walks rows one by one and needs no schedule, so its schedule has
// no bytes.
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {

void AttentionSchedule(const KernelCall&) {}

}  // namespace qiao::kernels::reference
