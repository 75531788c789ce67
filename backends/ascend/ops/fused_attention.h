// latent_attention by FusedInferAttentionScore: the absorbed form of MLA over a page table, in one call for the whole
// batch.
#pragma once

#include "backends/ascend/ops/kernel.h"

namespace qiao::ascend {

// Whether the operator takes a call: bf16, a latent of 512 and a rope key of 64, a power of two of heads, pages of a
// multiple of 16 tokens, everything contiguous. Says why not.
plugin::Answer FusedAttentionTakes(const qiao_op_call& call);

// `mask`: i8 [2048, 2048] on the device, 1 above the diagonal.
void EmitFusedAttention(Launcher& l, const Arguments& a, void* mask);

}  // namespace qiao::ascend
