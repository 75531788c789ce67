// The gate's choice for one row, for moe_gate and moe_mlp, and the order of the chosen rows, for moe_permute
// and moe_mlp.
#pragma once

#include <qiao/ops.h>

#include <algorithm>
#include <cstdint>

namespace qiao::kernels::cpu {

// Bytes of memory that a row's choice needs, a multiple of 64. groups >= 1.
int64_t GateBytes(int64_t experts, int64_t groups);

// ids[k] and w[k] of the chosen experts from logits[experts]; bias may be null. `work` holds GateBytes.
void GateRow(const qiao_moe_gate_params& p, const float* logits, const float* bias, int64_t experts,
             float* work, int32_t* ids, float* w);

// Sorts choices 0 .. count by their expert ids[i]; those of one expert keep their order. First range(e,
// first, rows) for each expert in order: its choices are first .. first + rows of the sorted ones. Then
// place(i, at) for each choice: `at` is its place, or -1 where its expert is none of 0 .. experts. `next`:
// [experts].
template <typename Range, typename Place>
void SortByExpert(const int32_t* ids, int64_t count, int64_t experts, int64_t* next, const Range& range,
                  const Place& place) {
  const auto known = [&](int32_t e) { return e >= 0 && e < experts; };
  std::fill_n(next, experts, 0);
  for (int64_t i = 0; i < count; ++i)
    if (known(ids[i])) ++next[ids[i]];
  for (int64_t e = 0, first = 0; e < experts; ++e) {
    const int64_t rows = next[e];
    next[e] = first;
    range(e, first, rows);
    first += rows;
  }
  for (int64_t i = 0; i < count; ++i) place(i, known(ids[i]) ? next[ids[i]]++ : int64_t{-1});
}

}  // namespace qiao::kernels::cpu
