// latent_attention by FusedInferAttentionScore: the absorbed form of MLA over a page table, in one call for the whole
// batch.
#pragma once

#include "backends/ascend/ops/kernel.h"

namespace qiao::ascend {

// The arguments of latent_attention.
enum { kQLatent, kQRope, kLatentPool, kRopePool, kQStart, kKvLen, kTable, kSchedule, kO };

// Whether the operator takes a call: bf16, a latent of 512 and a rope key of 64, a power of two of heads, pages of a
// multiple of 16 tokens, everything contiguous, on a chip that has this version. Says why not.
plugin::Answer FusedAttentionTakes(const qiao_op_call& call, const Chip& chip);

// `mask`: AscendDevice's upper triangle.
void EmitFusedAttention(Launcher& l, const Arguments& a, void* mask);

}  // namespace qiao::ascend
