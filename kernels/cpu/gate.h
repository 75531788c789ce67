// The gate's choice for one row, for moe_gate and moe_mlp.
#pragma once

#include <qiao/ops.h>

#include <cstdint>

namespace qiao::kernels::cpu {

// Bytes of memory that a row's choice needs, a multiple of 64. groups >= 1.
int64_t GateBytes(int64_t experts, int64_t groups);

// ids[k] and w[k] of the chosen experts from logits[experts]; bias may be null. `work` holds GateBytes.
void GateRow(const qiao_moe_gate_params& p, const float* logits, const float* bias, int64_t experts,
             float* work, int32_t* ids, float* w);

}  // namespace qiao::kernels::cpu
