// What the entries share for counting floating-point operations and bytes.
#pragma once

#include "runtime/ops/catalogue.h"

namespace qiao::ops {

// Live rows of dim[0].
double LiveOf(const qiao_tensor& tensor, const LiveCounts& live);
// Bytes of an argument's live rows; 0 for an absent one. For a weight: all groups, with their scales.
double BytesOf(const qiao_tensor& tensor, const LiveCounts& live);
// Bytes of one row of a cache's pool [pages, page_tokens, width], with its scales.
double PoolRowBytes(const qiao_tensor& pool);
// Every argument once, weights in whole, and `flops_per_element` for each live element of argument `counted`.
Cost StreamingCost(const qiao_op_call& call, const LiveCounts& live, int counted, double flops_per_element);

}  // namespace qiao::ops
