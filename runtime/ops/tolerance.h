// How far a backend may be from the scalar definition: all tolerances of the catalogue. Each is derived from
// the dtypes of the call; a comment says how. Loosening one needs a reason, written beside it.
#pragma once

#include "runtime/ops/catalogue.h"

namespace qiao::ops::tolerance {

// For OpSpec::tolerance.
Tolerance Exact(const qiao_op_call&, int arg);
Tolerance Stored(const qiao_op_call&, int arg);
Tolerance Embedding(const qiao_op_call&, int arg);
Tolerance RmsNorm(const qiao_op_call&, int arg);
Tolerance Linear(const qiao_op_call&, int arg);
Tolerance GroupedLinear(const qiao_op_call&, int arg);
Tolerance MoeGate(const qiao_op_call&, int arg);
Tolerance MoeCombine(const qiao_op_call&, int arg);
Tolerance SwiGlu(const qiao_op_call&, int arg);
Tolerance RopeTable(const qiao_op_call&, int arg);
Tolerance LatentAttention(const qiao_op_call&, int arg);
Tolerance Mlp(const qiao_op_call&, int arg);
Tolerance MoeMlp(const qiao_op_call&, int arg);
Tolerance MlaProlog(const qiao_op_call&, int arg);

}  // namespace qiao::ops::tolerance
