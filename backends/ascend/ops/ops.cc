#include "backends/ascend/ops/ops.h"

namespace qiao::ascend {

void RegisterOperations(AscendDevice& device, plugin::Operations& to) {
  AddElementwise(device, to);
  AddRows(device, to);
  AddNorms(device, to);
  AddRope(device, to);
  AddLinear(device, to);
  AddGroupedLinear(device, to);
  AddMoeGate(device, to);
  AddMoeRows(device, to);
  AddKvWrite(device, to);
  AddLatentAttention(device, to);
  AddQuantise(device, to);
}

}  // namespace qiao::ascend
