// moe_gate: the choice of experts for each row.
//
//   s = softmax(logits) over all experts, or sigmoid(logits)
//   c = s + bias
//   with groups: a group's score is the largest c in it, or the sum of its two largest; in all but the
//   topk_group best groups c becomes mask_value ids = the k largest c, largest first; w = s[ids];
//   renormalise: w / (sum w + renorm_eps); then w * scale
//
// DeepSeekMoE, arXiv 2401.06066; DeepSeek-V2, arXiv 2405.04434, 2.1.4 (groups); DeepSeek-V3, arXiv
// 2412.19437, 2.1.2 (sigmoid, bias). s and c are f32 numbers (s is computed in double and rounded, c is an
// f32 sum), so that equal means the same everywhere; every tie goes to the lower index. The sum of the chosen
// w is a double sum.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {

enum { kLogits, kBias, kIds, kWeights };

void Scores(const float* logits, int64_t experts, int32_t kind, float* s) {
  if (kind == QIAO_SCORE_SIGMOID) {
    for (int64_t e = 0; e < experts; ++e) {
      s[e] = static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(logits[e]))));
    }
    return;
  }
  const double largest = static_cast<double>(*std::max_element(logits, logits + experts));
  double total = 0;
  for (int64_t e = 0; e < experts; ++e) total += std::exp(static_cast<double>(logits[e]) - largest);
  for (int64_t e = 0; e < experts; ++e) {
    s[e] = static_cast<float>(std::exp(static_cast<double>(logits[e]) - largest) / total);
  }
}

// The index of the largest value that is not taken; the lowest index of equal ones.
int64_t LargestFree(const std::vector<float>& values, const std::vector<bool>& taken) {
  int64_t best = -1;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!taken[i] && (best < 0 || values[i] > values[static_cast<size_t>(best)]))
      best = static_cast<int64_t>(i);
  }
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

void MaskGroups(const qiao_moe_gate_params& p, std::vector<float>* c) {
  const int64_t size = static_cast<int64_t>(c->size()) / p.groups;
  std::vector<float> score(static_cast<size_t>(p.groups));
  for (int64_t g = 0; g < p.groups; ++g) {
    score[static_cast<size_t>(g)] = GroupScore(c->data() + g * size, size, p.group_score);
  }
  std::vector<bool> kept(score.size(), false);
  for (int32_t j = 0; j < p.topk_group; ++j) kept[static_cast<size_t>(LargestFree(score, kept))] = true;
  for (size_t g = 0; g < kept.size(); ++g) {
    if (!kept[g]) std::fill_n(c->begin() + static_cast<int64_t>(g) * size, size, p.mask_value);
  }
}

}  // namespace

void MoeGate(const KernelCall& call) {
  const auto& p = call.as<qiao_moe_gate_params>();
  const auto* logits = call.data<const float>(kLogits);
  const auto* bias = call.has(kBias) ? call.data<const float>(kBias) : nullptr;
  auto* ids = call.data<int32_t>(kIds);
  auto* w = call.data<float>(kWeights);
  const int64_t rows = call.tensor[kLogits].dim[0], experts = call.tensor[kLogits].dim[1];
  const int64_t live = LiveRows(call, kLogits);

  std::vector<float> s(static_cast<size_t>(experts)), c(s.size());
  for (int64_t t = 0; t < live; ++t) {
    Scores(logits + t * experts, experts, p.score, s.data());
    for (size_t e = 0; e < c.size(); ++e) c[e] = bias ? s[e] + bias[e] : s[e];
    if (p.groups > 1) MaskGroups(p, &c);

    std::vector<bool> taken(c.size(), false);
    double total = 0;
    for (int32_t j = 0; j < p.k; ++j) {
      const int64_t e = LargestFree(c, taken);
      taken[static_cast<size_t>(e)] = true;
      ids[t * p.k + j] = static_cast<int32_t>(e);
      total += static_cast<double>(s[static_cast<size_t>(e)]);
    }
    const double divisor = p.renormalise ? total + static_cast<double>(p.renorm_eps) : 1.0;
    for (int32_t j = 0; j < p.k; ++j) {
      const double chosen = static_cast<double>(s[static_cast<size_t>(ids[t * p.k + j])]);
      w[t * p.k + j] = static_cast<float>(chosen / divisor * static_cast<double>(p.scale));
    }
  }
  std::fill(ids + live * p.k, ids + rows * p.k, -1);
  std::fill(w + live * p.k, w + rows * p.k, 0.0f);
}

}  // namespace qiao::kernels::reference
