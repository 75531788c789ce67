#include <array>

#include "kernels/cpu/kernel.h"
#include "kernels/cpu/linear_i8_channel.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/support.h"

namespace qiao::kernels::cpu {
namespace {

uint64_t None(const qiao_op_call&, int) { return 0; }

constexpr std::array<OpKernel, 20> kKernels{{
    {QIAO_OP_EMBEDDING, "embedding", SupportsEmbedding, None, SelectEmbedding},
    {QIAO_OP_RMSNORM, "rmsnorm", SupportsRmsNorm, None, SelectRmsNorm},
    {QIAO_OP_LINEAR, "linear", SupportsLinear, LinearWorkspace, SelectLinear},
    {QIAO_OP_GROUPED_LINEAR, "grouped_linear", SupportsGroupedLinear, GroupedLinearWorkspace,
     SelectGroupedLinear},
    {QIAO_OP_MOE_GATE, "moe_gate", SupportsMoeGate, MoeGateWorkspace, SelectMoeGate},
    {QIAO_OP_MOE_PERMUTE, "moe_permute", SupportsMoePermute, MoePermuteWorkspace, SelectMoePermute},
    {QIAO_OP_MOE_COMBINE, "moe_combine", SupportsMoeCombine, None, SelectMoeCombine},
    {QIAO_OP_SWIGLU, "swiglu", SupportsSwiGlu, None, SelectSwiGlu},
    {QIAO_OP_ROPE_TABLE, "rope_table", SupportsRopeTable, None, SelectRopeTable},
    {QIAO_OP_ROPE, "rope", SupportsRope, None, SelectRope},
    {QIAO_OP_KV_WRITE, "kv_write", SupportsKvWrite, None, SelectKvWrite},
    {QIAO_OP_ATTENTION_SCHEDULE, "attention_schedule", SupportsAttentionSchedule, None,
     SelectAttentionSchedule},
    {QIAO_OP_LATENT_ATTENTION, "latent_attention", SupportsLatentAttention, LatentAttentionWorkspace,
     SelectLatentAttention},
    {QIAO_OP_GATHER_ROWS, "gather_rows", SupportsGatherRows, None, SelectGatherRows},
    {QIAO_OP_ADD, "add", SupportsAdd, None, SelectAdd},
    {QIAO_OP_CAST, "cast", SupportsCast, None, SelectCast},
    {QIAO_OP_QUANTISE, "quantise", SupportsQuantise, None, SelectQuantise},
    {QIAO_OP_MLP, "mlp", SupportsMlp, MlpWorkspace, SelectMlp},
    {QIAO_OP_MOE_MLP, "moe_mlp", SupportsMoeMlp, MoeMlpWorkspace, SelectMoeMlp},
    {QIAO_OP_ARGMAX, "argmax", SupportsArgMax, None, SelectArgMax},
}};

constexpr OpKernel kLinearI8{QIAO_OP_LINEAR, "linear_i8_channel", SupportsLinearI8, LinearI8Workspace,
                             SelectLinearI8};
constexpr OpKernel kGroupedLinearI8{QIAO_OP_GROUPED_LINEAR, "grouped_linear_i8_channel",
                                    SupportsGroupedLinearI8, GroupedLinearI8Workspace, SelectGroupedLinearI8};

}  // namespace

const OpKernel& KernelFor(const OpKernel& kernel, const qiao_op_call& call) {
  const bool i8 = call.argument_count > 0 && call.argument[0].dtype == QIAO_I8;
  if (i8 && kernel.op == QIAO_OP_LINEAR) return kLinearI8;
  if (i8 && kernel.op == QIAO_OP_GROUPED_LINEAR) return kGroupedLinearI8;
  return kernel;
}

const OpKernel* FindKernel(uint32_t op) {
  for (const OpKernel& kernel : kKernels)
    if (kernel.op == op) return &kernel;
  return nullptr;
}

}  // namespace qiao::kernels::cpu
