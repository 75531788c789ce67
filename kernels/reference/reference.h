// The scalar kernels. Each is the definition of its operation: what every other implementation is compared
// with. They are written to be read. Sums are kept in double, in the order that is written, and a result is
// rounded once, where it is stored, unless the operation's formula names f32 steps. Dead rows are not
// touched, except where ops.h says what they hold.
#pragma once

#include <qiao/ops.h>

#include <string>

#include "kernels/common/args.h"

namespace qiao::kernels::reference {

using KernelFn = void (*)(const KernelCall&);

// Null for coarse and unknown operations: the coarse ones are defined by their decomposition (runtime/ops).
KernelFn Find(uint32_t op);

// Whether the scalar kernels take this call, which runtime/ops has checked; *why says why not. They take
// activations in f32 and bf16 with any strides, and weights in f32, bf16, f16, E4M3, E5M2 and INT8, strided
// or in pieces, with scales (blocks, or one a row) where in pieces. Products also take E4M3 and INT8 rows.
bool Supported(const qiao_op_call& call, std::string* why);

// One file each.
void Embedding(const KernelCall&);
void RmsNorm(const KernelCall&);
void Linear(const KernelCall&);
void GroupedLinear(const KernelCall&);
void MoeGate(const KernelCall&);
void MoePermute(const KernelCall&);
void MoeCombine(const KernelCall&);
void SwiGlu(const KernelCall&);
void RopeTable(const KernelCall&);
void Rope(const KernelCall&);
void KvWrite(const KernelCall&);
void AttentionSchedule(const KernelCall&);
void LatentAttention(const KernelCall&);
void GatherRows(const KernelCall&);
void Add(const KernelCall&);
void Cast(const KernelCall&);
void Quantise(const KernelCall&);
void ArgMax(const KernelCall&);

// A row of `width` numbers as E4M3 with a scale for each `block` of them: of quantise and kv_write.
void QuantiseToE4m3(const float* x, int64_t width, int64_t block, float floor, uint8_t* q, float* scales);

}  // namespace qiao::kernels::reference
