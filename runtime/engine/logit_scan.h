// Passes over one row of logits: the peak, the sum of the weights, the likeliest tokens. They are what sampling costs
// over a large vocabulary, so they are written as loops that compilers vectorise, and none of them sorts the row.
//
// A token's weight is exp((logit - top) * inverse_temperature), 1 for the likeliest. It is computed in float by a
// polynomial of this file (relative error below 1e-6 for weights above 1e-6; 0 below exp(-87)), not by the C
// library's exp, whose last bit differs between machines; the sums are in double and in a fixed order. NaN and -inf
// weigh 0 and are never selected.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace qiao::engine {

// A token with its logit as one number: less means likelier, and of equal logits the lower id is less.
using LogitKey = uint64_t;
inline LogitKey MakeKey(float logit, int32_t id) {
  const uint32_t bits = std::bit_cast<uint32_t>(logit + 0.0f);  // -0 becomes 0
  const uint32_t falling = (bits & 0x80000000u) != 0 ? bits : ~(bits | 0x80000000u);
  return static_cast<uint64_t>(falling) << 32 | static_cast<uint32_t>(id);
}
inline int32_t KeyId(LogitKey key) { return static_cast<int32_t>(key & 0xffffffffu); }
inline float KeyLogit(LogitKey key) {
  const auto falling = static_cast<uint32_t>(key >> 32);
  return std::bit_cast<float>((falling & 0x80000000u) != 0 ? falling : ~falling & 0x7fffffffu);
}

// The largest logit and the lowest id that has it; id is -1 where all are NaN or -inf.
struct LogitPeak {
  float logit = 0;
  int32_t id = -1;
};
LogitPeak FindPeak(absl::Span<const float> row);

// weights[i] of logits[i]; `top` is finite and at least every logit.
void Weigh(const float* logits, size_t count, float top, float inverse_temperature, float* weights);

// The sum of the weights. `block_sums`: one sum for each kWeighBlock tokens, for DrawFromRow.
inline constexpr size_t kWeighBlock = 512;
double SumWeights(absl::Span<const float> row, float top, float inverse_temperature,
                  std::vector<double>& block_sums);
// The token at which the running sum of weights, in order of id, passes `at`, which is in [0, the sum).
int32_t DrawFromRow(absl::Span<const float> row, float top, float inverse_temperature,
                    const std::vector<double>& block_sums, double at);

// The tokens with logits of at least `bound`, in order of id, as a part of `storage`, which only grows. `bound` is
// finite, or -inf, which selects -inf too.
absl::Span<LogitKey> SelectAbove(absl::Span<const float> row, float bound, std::vector<LogitKey>& storage);
// The `k` likeliest tokens, likeliest first; fewer where fewer are above -inf. `maxima`: work, which only grows.
absl::Span<LogitKey> SelectTop(absl::Span<const float> row, size_t k, std::vector<LogitKey>& storage,
                               std::vector<float>& maxima);

// Brings the `count` least of `keys` to its front, in order.
void SortFirst(absl::Span<LogitKey> keys, size_t count);

}  // namespace qiao::engine
