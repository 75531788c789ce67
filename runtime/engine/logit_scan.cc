#include "runtime/engine/logit_scan.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace qiao::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// NaN is not above anything, so it never becomes the maximum. 16 lanes, because a float maximum with one
// accumulator is a chain that compilers must not reorder.
float MaxOf(const float* x, size_t count) {
  float lanes[16];
  std::fill(std::begin(lanes), std::end(lanes), -kInfinity);
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (size_t j = 0; j < 16; ++j) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  }
  for (; i < count; ++i) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
  float top = lanes[0];
  for (size_t j = 1; j < 16; ++j) top = lanes[j] > top ? lanes[j] : top;
  return top;
}

double SumOf(const float* x, size_t count) {
  double lanes[8] = {};
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (size_t j = 0; j < 8; ++j) lanes[j] += static_cast<double>(x[i + j]);
  }
  for (; i < count; ++i) lanes[0] += static_cast<double>(x[i]);
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

// Tokens looked at together by the selections: most blocks hold nothing that is wanted, and their maximum says so.
constexpr size_t kSelectBlock = 64;

}  // namespace

LogitPeak FindPeak(absl::Span<const float> row) {
  LogitPeak peak{-kInfinity, -1};
  size_t best = 0;
  for (size_t begin = 0; begin < row.size(); begin += kWeighBlock) {
    const float top = MaxOf(row.data() + begin, std::min(kWeighBlock, row.size() - begin));
    if (top > peak.logit) {
      peak.logit = top;
      best = begin;
    }
  }
  if (peak.logit == -kInfinity) return peak;
  while (row[best] != peak.logit) ++best;
  peak.id = static_cast<int32_t>(best);
  return peak;
}

void Weigh(const float* logits, size_t count, float top, float inverse_temperature, float* weights) {
  // exp(d) = 2^n exp(r), n the integer nearest to d / ln 2; adding 1.5 * 2^23 leaves n in the low bits of a float.
  // ln 2 in two parts, the first of which has few bits, so that n times it is exact; exp(r) by its series, |r| at
  // most ln(2) / 2, whose eighth term is below float's precision.
  constexpr float kRound = 12582912.0f;
  constexpr float kLog2e = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kLeast = -87.0f;
  for (size_t i = 0; i < count; ++i) {
    const float d = (logits[i] - top) * inverse_temperature;
    const float shifted = d * kLog2e + kRound;
    const float n = shifted - kRound;
    const float r = (d - n * kLn2High) - n * kLn2Low;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    const float power = std::bit_cast<float>((std::bit_cast<uint32_t>(shifted) << 23) + 0x3f800000u);
    // Of NaN and of what is far below, `power` is some number; the comparison is false for both. Masked as bits:
    // a choice between floats would keep compilers from vectorising, for the exceptions that the product may raise.
    const uint32_t keep = d > kLeast ? 0xffffffffu : 0;
    weights[i] = std::bit_cast<float>(std::bit_cast<uint32_t>(p * power) & keep);
  }
}

double SumWeights(absl::Span<const float> row, float top, float inverse_temperature,
                  std::vector<double>& block_sums) {
  block_sums.resize((row.size() + kWeighBlock - 1) / kWeighBlock);
  float weights[kWeighBlock];
  double total = 0;
  for (size_t b = 0; b < block_sums.size(); ++b) {
    const size_t begin = b * kWeighBlock;
    const size_t count = std::min(kWeighBlock, row.size() - begin);
    Weigh(row.data() + begin, count, top, inverse_temperature, weights);
    block_sums[b] = SumOf(weights, count);
    total += block_sums[b];
  }
  return total;
}

int32_t DrawFromRow(absl::Span<const float> row, float top, float inverse_temperature,
                    const std::vector<double>& block_sums, double at) {
  // Rounding may leave `at` a hair behind the last weight: then it is the last token that has any.
  size_t block = 0;
  for (size_t b = 0; b < block_sums.size(); ++b) {
    if (block_sums[b] <= 0) continue;
    block = b;
    if (at < block_sums[b]) break;
    if (b + 1 < block_sums.size()) at -= block_sums[b];
  }
  float weights[kWeighBlock];
  const size_t begin = block * kWeighBlock;
  const size_t count = std::min(kWeighBlock, row.size() - begin);
  Weigh(row.data() + begin, count, top, inverse_temperature, weights);
  size_t last = 0;
  for (size_t i = 0; i < count; ++i) {
    if (weights[i] <= 0) continue;
    last = i;
    at -= static_cast<double>(weights[i]);
    if (at < 0) break;
  }
  return static_cast<int32_t>(begin + last);
}

void SortFirst(absl::Span<LogitKey> keys, size_t count) {
  const auto middle = keys.begin() + static_cast<ptrdiff_t>(count);
  if (count < keys.size()) std::nth_element(keys.begin(), middle, keys.end());
  std::sort(keys.begin(), middle);
}

absl::Span<LogitKey> SelectAbove(absl::Span<const float> row, float bound, std::vector<LogitKey>& storage) {
  if (storage.size() < row.size()) storage.resize(row.size());
  LogitKey* const keys = storage.data();
  size_t held = 0;
  for (size_t begin = 0; begin < row.size(); begin += kSelectBlock) {
    const size_t count = std::min(kSelectBlock, row.size() - begin);
    const float* x = row.data() + begin;
    if (!(MaxOf(x, count) >= bound)) continue;
    for (size_t i = 0; i < count; ++i) {
      keys[held] = MakeKey(x[i], static_cast<int32_t>(begin + i));
      held += x[i] >= bound ? 1 : 0;
    }
  }
  return {keys, held};
}

absl::Span<LogitKey> SelectTop(absl::Span<const float> row, size_t k, std::vector<LogitKey>& storage,
                               std::vector<float>& maxima) {
  k = std::min(k, row.size());
  if (k == 0) return {};
  // k blocks have maxima of at least the k-th largest maximum, so k tokens have logits of at least that.
  const size_t blocks = (row.size() + kSelectBlock - 1) / kSelectBlock;
  float bound = std::numeric_limits<float>::lowest();
  if (k <= blocks) {
    if (maxima.size() < blocks) maxima.resize(blocks);
    for (size_t b = 0; b < blocks; ++b) {
      const size_t begin = b * kSelectBlock;
      maxima[b] = MaxOf(row.data() + begin, std::min(kSelectBlock, row.size() - begin));
    }
    const auto kth = maxima.begin() + static_cast<ptrdiff_t>(k) - 1;
    std::nth_element(maxima.begin(), kth, maxima.begin() + static_cast<ptrdiff_t>(blocks), std::greater<>());
    bound = std::max(bound, *kth);
  }
  const absl::Span<LogitKey> keys = SelectAbove(row, bound, storage);
  k = std::min(k, keys.size());
  SortFirst(keys, k);
  return keys.subspan(0, k);
}

}  // namespace qiao::engine
