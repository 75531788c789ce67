// The scores are computed in double and rounded, as the scalar kernel does, so that both see the same ties.
#include "kernels/cpu/gate.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/elements.h"

namespace qiao::kernels::cpu {
namespace {

void GateScores(const float* logits, int64_t experts, int32_t kind, float* s) {
  if (kind == QIAO_SCORE_SIGMOID) {
    for (int64_t e = 0; e < experts; ++e)
      s[e] = static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(logits[e]))));
    return;
  }
  const double largest = *std::max_element(logits, logits + experts);
  double total = 0;
  for (int64_t e = 0; e < experts; ++e) total += std::exp(static_cast<double>(logits[e]) - largest);
  for (int64_t e = 0; e < experts; ++e)
    s[e] = static_cast<float>(std::exp(static_cast<double>(logits[e]) - largest) / total);
}

// The index of the largest unmarked value, the lowest of equal ones, which is then marked.
int64_t TakeLargest(const float* value, int64_t n, uint8_t* mark) {
  int64_t best = -1;
  for (int64_t i = 0; i < n; ++i)
    if (!mark[i] && (best < 0 || value[i] > value[best])) best = i;
  mark[best] = 1;
  return best;
}

float GroupScore(const float* c, int64_t size, int32_t kind) {
  float first = -std::numeric_limits<float>::infinity(), second = first;
  for (int64_t i = 0; i < size; ++i) {
    if (c[i] > first) {
      second = first;
      first = c[i];
    } else if (c[i] > second) {
      second = c[i];
    }
  }
  return kind == QIAO_GROUP_SCORE_MAX ? first : first + second;
}

}  // namespace

// Scores, choices and group scores in f32, and marks.
int64_t GateBytes(int64_t experts, int64_t groups) {
  return RoundUp((2 * experts + groups) * 4 + std::max(experts, groups), 64);
}

void GateRow(const qiao_moe_gate_params& p, const float* logits, const float* bias, int64_t experts,
             float* work, int32_t* ids, float* w) {
  const int64_t groups = std::max(p.groups, 1);
  float *s = work, *c = s + experts, *group = c + experts;
  auto* mark = reinterpret_cast<uint8_t*>(group + groups);
  GateScores(logits, experts, p.score, s);
  for (int64_t e = 0; e < experts; ++e) c[e] = bias ? s[e] + bias[e] : s[e];
  if (groups > 1) {
    const int64_t size = experts / groups;
    for (int64_t g = 0; g < groups; ++g) group[g] = GroupScore(c + g * size, size, p.group_score);
    std::memset(mark, 0, static_cast<size_t>(groups));
    for (int32_t j = 0; j < p.topk_group; ++j) TakeLargest(group, groups, mark);
    for (int64_t g = 0; g < groups; ++g)
      if (!mark[g]) std::fill_n(c + g * size, size, p.mask_value);
  }
  std::memset(mark, 0, static_cast<size_t>(experts));
  double total = 0;
  for (int32_t j = 0; j < p.k; ++j) {
    ids[j] = static_cast<int32_t>(TakeLargest(c, experts, mark));
    total += s[ids[j]];
  }
  const double divisor = p.renormalise ? total + static_cast<double>(p.renorm_eps) : 1.0;
  for (int32_t j = 0; j < p.k; ++j)
    w[j] = static_cast<float>(s[ids[j]] / divisor * static_cast<double>(p.scale));
}

}  // namespace qiao::kernels::cpu
