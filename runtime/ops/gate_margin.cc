#include "runtime/ops/gate_margin.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace qiao::ops {
namespace {

// The smallest step between neighbours among the `count + 1` largest; infinite ones (masked) do not count.
double SmallestStep(std::vector<double> values, size_t count, bool edge_only) {
  std::sort(values.begin(), values.end(), std::greater<>());
  double step = std::numeric_limits<double>::infinity();
  for (size_t i = edge_only ? count - 1 : 0; i < count && i + 1 < values.size(); ++i) {
    if (std::isfinite(values[i + 1])) step = std::min(step, values[i] - values[i + 1]);
  }
  return step;
}

}  // namespace

double GateMargin(const qiao_moe_gate_params& p, absl::Span<const double> logits,
                  absl::Span<const float> bias) {
  std::vector<double> c(logits.begin(), logits.end());
  if (p.score == QIAO_SCORE_SIGMOID) {
    for (double& v : c) v = 1 / (1 + std::exp(-v));
  } else {
    double total = 0;
    for (double& v : c) total += v = std::exp(v);
    for (double& v : c) v /= total;
  }
  for (size_t e = 0; e < bias.size(); ++e) c[e] += static_cast<double>(bias[e]);
  double margin = std::numeric_limits<double>::infinity();
  if (p.groups > 1) {
    const size_t size = c.size() / static_cast<size_t>(p.groups);
    std::vector<double> scores;
    for (size_t g = 0; g < static_cast<size_t>(p.groups); ++g) {
      std::vector<double> group(c.begin() + static_cast<int64_t>(g * size),
                                c.begin() + static_cast<int64_t>((g + 1) * size));
      std::sort(group.begin(), group.end(), std::greater<>());
      scores.push_back(p.group_score == QIAO_GROUP_SCORE_MAX ? group[0] : group[0] + group[1]);
    }
    margin = SmallestStep(scores, static_cast<size_t>(p.topk_group), /*edge_only=*/true);
    std::vector<double> sorted = scores;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    for (size_t e = 0; e < c.size(); ++e) {
      if (scores[e / size] < sorted[static_cast<size_t>(p.topk_group) - 1])
        c[e] = static_cast<double>(p.mask_value);
    }
  }
  return std::min(margin, SmallestStep(c, static_cast<size_t>(p.k), /*edge_only=*/false));
}

void FillLogits(const qiao_moe_gate_params& p, absl::Span<const float> bias, Random& random,
                absl::Span<float> logits) {
  std::vector<double> exact(logits.size());
  do {
    for (size_t e = 0; e < logits.size(); ++e) {
      logits[e] = static_cast<float>(1.5 * random.Normal());
      exact[e] = static_cast<double>(logits[e]);
    }
  } while (GateMargin(p, exact, bias) < kGateMargin);
}

}  // namespace qiao::ops
