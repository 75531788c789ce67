// The operations of ops.h that this backend has, by file.
#pragma once

#include "backends/ascend/device.h"

namespace qiao::ascend {

void RegisterOperations(AscendDevice& device, plugin::Operations& to);

void AddElementwise(AscendDevice& device, plugin::Operations& to);
void AddRows(AscendDevice& device, plugin::Operations& to);
void AddNorms(AscendDevice& device, plugin::Operations& to);
void AddRope(AscendDevice& device, plugin::Operations& to);
void AddLinear(AscendDevice& device, plugin::Operations& to);
void AddGroupedLinear(AscendDevice& device, plugin::Operations& to);
void AddMoeGate(AscendDevice& device, plugin::Operations& to);
void AddMoeRows(AscendDevice& device, plugin::Operations& to);
void AddKvWrite(AscendDevice& device, plugin::Operations& to);
void AddLatentAttention(AscendDevice& device, plugin::Operations& to);
void AddQuantise(AscendDevice& device, plugin::Operations& to);

}  // namespace qiao::ascend
