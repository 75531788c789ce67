// The absorbed form of multi-head latent attention over pages, for the versions of FusedInferAttentionScore.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/ascend/emulator/nnopbase/view.h"

namespace qiao::cann {

struct LatentAttention {
  View query, query_rope;        // [T, N, 512], [T, N, 64]: f16 or bf16
  View latent, rope;             // [blocks, block, 512], [.., 64]: of query's dtype
  View table;                    // i32 [B, P]
  View out;                      // [T, N, 512], of query's dtype
  const View* lse = nullptr;     // f32 [T, N, 1], or none
  std::vector<int64_t> ends;     // of the sequences' rows
  std::vector<int64_t> lengths;  // of the sequences in the cache
  double scale = 1;
  bool causal = true;  // row i of n sees all but the last n - 1 - i tokens; else all of them
};

// Rows that see no token become 0; rows of a sequence whose table names a page that is not there become NaN. Rows past the
// last sequence are not written.
void RunLatentAttention(const LatentAttention& a);

}  // namespace qiao::cann
