// The kernels' selectors and workspaces, for the registry; one pair for each operation, defined in the source
// of the same name (elementwise.cc: add, cast, swiglu; moe.cc: moe_*; rows.cc: embedding, gather_rows,
// kv_write, attention_schedule).
#pragma once

#include <qiao/ops.h>

#include <cstdint>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel.h"

namespace qiao::kernels::cpu {

Kernel SelectEmbedding(Isa isa);
Kernel SelectRmsNorm(Isa isa);
Kernel SelectLinear(Isa isa);
Kernel SelectGroupedLinear(Isa isa);
Kernel SelectMlp(Isa isa);
Kernel SelectMoeMlp(Isa isa);
Kernel SelectMoeGate(Isa isa);
Kernel SelectMoePermute(Isa isa);
Kernel SelectMoeCombine(Isa isa);
Kernel SelectSwiGlu(Isa isa);
Kernel SelectRopeTable(Isa isa);
Kernel SelectRope(Isa isa);
Kernel SelectKvWrite(Isa isa);
Kernel SelectAttentionSchedule(Isa isa);
Kernel SelectLatentAttention(Isa isa);
Kernel SelectGatherRows(Isa isa);
Kernel SelectAdd(Isa isa);
Kernel SelectCast(Isa isa);
Kernel SelectQuantise(Isa isa);
Kernel SelectArgMax(Isa isa);

uint64_t LinearWorkspace(const qiao_op_call& call, int threads);
uint64_t GroupedLinearWorkspace(const qiao_op_call& call, int threads);
uint64_t MlpWorkspace(const qiao_op_call& call, int threads);
uint64_t MoeMlpWorkspace(const qiao_op_call& call, int threads);
uint64_t MoeGateWorkspace(const qiao_op_call& call, int threads);
uint64_t MoePermuteWorkspace(const qiao_op_call& call, int threads);
uint64_t LatentAttentionWorkspace(const qiao_op_call& call, int threads);

}  // namespace qiao::kernels::cpu
