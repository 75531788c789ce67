// Copies whose every index is a function of one index of the output: slices, tiles, rolls, padding, enlargement.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "backends/ascend/emulator/nnopbase/executor.h"

namespace qiao::cann {

// For each dimension, the input's index for every index of the output; -1: the fill.
using IndexMaps = std::vector<std::vector<int64_t>>;

// The map of each dimension that `index` does not change.
IndexMaps IdentityMaps(const View& v);

// to[i, j, ..] = from[maps[0][i], maps[1][j], ..], bit for bit; where an entry is -1, the one element at `fill`. `to`
// and `from` have the same rank and dtype, of whole bytes; maps[d] has to.size(d) entries.
void CopyMapped(const View& to, const View& from, const IndexMaps& maps, const void* fill = nullptr);

// Checks that argument `out` has the maps' shape and the dtype of `self`, and finishes with the copy.
aclnnStatus FinishMapped(Operator& op, int self, int out, IndexMaps maps, const aclScalar* fill = nullptr);

}  // namespace qiao::cann
