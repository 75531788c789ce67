#include "kernels/reference/reference.h"

#include <array>

namespace qiao::kernels::reference {
namespace {

struct Entry {
  uint32_t op;
  KernelFn kernel;
  int weight;  // which argument is a weight, -1 for none
};

constexpr std::array<Entry, 18> kEntries = {{
    {QIAO_OP_EMBEDDING, Embedding, 1},
    {QIAO_OP_RMSNORM, RmsNorm, -1},
    {QIAO_OP_LINEAR, Linear, 2},
    {QIAO_OP_GROUPED_LINEAR, GroupedLinear, 3},
    {QIAO_OP_MOE_GATE, MoeGate, -1},
    {QIAO_OP_MOE_PERMUTE, MoePermute, -1},
    {QIAO_OP_MOE_COMBINE, MoeCombine, -1},
    {QIAO_OP_SWIGLU, SwiGlu, -1},
    {QIAO_OP_ROPE_TABLE, RopeTable, -1},
    {QIAO_OP_ROPE, Rope, -1},
    {QIAO_OP_KV_WRITE, KvWrite, -1},
    {QIAO_OP_ATTENTION_SCHEDULE, AttentionSchedule, -1},
    {QIAO_OP_LATENT_ATTENTION, LatentAttention, -1},
    {QIAO_OP_GATHER_ROWS, GatherRows, -1},
    {QIAO_OP_ADD, Add, -1},
    {QIAO_OP_CAST, Cast, -1},
    {QIAO_OP_QUANTISE, Quantise, -1},
    {QIAO_OP_ARGMAX, ArgMax, -1},
}};

const Entry* FindEntry(uint32_t op) {
  for (const Entry& entry : kEntries) {
    if (entry.op == op) return &entry;
  }
  return nullptr;
}

bool IsFloatDType(uint32_t dtype) { return dtype >= QIAO_F32 && dtype <= QIAO_F8E5M2; }

bool WeightSupported(const qiao_tensor& w, std::string* why) {
  if (w.layout == QIAO_LAYOUT_OPAQUE) {
    *why = "the weight is packed by another backend";
  } else if (!IsFloatDType(w.dtype) && w.dtype != QIAO_I8) {
    *why = "the weight's dtype is neither a float one nor i8";
  } else if (w.scheme != QIAO_SCHEME_NONE && w.layout != QIAO_LAYOUT_PIECES) {
    *why = "scales come with weights in pieces only";
  } else {
    return true;
  }
  return false;
}

}  // namespace

KernelFn Find(uint32_t op) {
  const Entry* entry = FindEntry(op);
  return entry ? entry->kernel : nullptr;
}

bool Supported(const qiao_op_call& call, std::string* why) {
  const Entry* entry = FindEntry(call.op);
  if (!entry) {
    *why = call.op >= QIAO_OP_COARSE ? "no scalar kernel: a coarse operation is its decomposition"
                                     : "no scalar kernel for this operation";
    return false;
  }
  for (uint32_t i = 0; i < call.argument_count; ++i) {
    const qiao_tensor& t = call.argument[i];
    if (t.dtype == QIAO_DTYPE_NONE) continue;
    if (static_cast<int>(i) == entry->weight) {
      if (!WeightSupported(t, why)) return false;
    } else if (t.layout == QIAO_LAYOUT_PIECES) {
      *why = "an activation cannot lie in pieces";
      return false;
    } else if (t.dtype == QIAO_F16 && !(call.op == QIAO_OP_CAST && i == 0)) {
      *why = "f16 activations are read by cast only";
      return false;
    } else if (t.dtype == QIAO_F8E5M2) {
      *why = "activations are f32, bf16, E4M3 or INT8";
      return false;
    }
  }
  if (call.op == QIAO_OP_LINEAR || call.op == QIAO_OP_GROUPED_LINEAR) {
    const bool scaled = call.argument[1].dtype != QIAO_DTYPE_NONE;
    const qiao_tensor &x = call.argument[0], &w = call.argument[entry->weight];
    if ((x.dtype == QIAO_F8E4M3 || x.dtype == QIAO_I8) != scaled) {
      *why = "quantised activations and their scales come together";
      return false;
    }
    if (x.dtype == QIAO_I8 && (w.dtype != QIAO_I8 || w.scheme != QIAO_SCHEME_CHANNEL)) {
      *why = "INT8 activations meet INT8 weights with a scale for each row";
      return false;
    }
  }
  return true;
}

}  // namespace qiao::kernels::reference
