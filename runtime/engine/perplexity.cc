#include "runtime/engine/perplexity.h"

#include <algorithm>
#include <cmath>

namespace qiao::engine {

double NegativeLogLikelihood(absl::Span<const float> logits, int32_t id) {
  double largest = -HUGE_VAL;
  for (const float x : logits) largest = std::max(largest, static_cast<double>(x));
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - largest);
  return largest + std::log(sum) - static_cast<double>(logits[static_cast<size_t>(id)]);
}

absl::StatusOr<Loss> ScoreText(Runner& runner, absl::Span<const int32_t> ids, int64_t window,
                               const std::function<bool(int64_t scored)>& scored) {
  if (!runner.options().all_logits || window < 1 || window > runner.context()) {
    return InvalidArgument(
        "scoring windows of %d tokens needs a runner with all logits and that much context (it has %d)",
        window, runner.context());
  }
  Loss loss;
  const auto step = static_cast<size_t>(window);
  for (size_t start = 0; start + 1 < ids.size(); start += step) {
    const size_t n = std::min(step, ids.size() - 1 - start);
    Sequence sequence = runner.NewSequence();
    QIAO_RETURN_IF_ERROR(runner.Prefill(sequence, ids.subspan(start, n), [&](int64_t first) -> absl::Status {
      for (int64_t i = 0; i < runner.logit_rows(); ++i) {
        loss.negative_log_likelihood +=
            NegativeLogLikelihood(runner.Logits(i), ids[start + static_cast<size_t>(first + i) + 1]);
      }
      loss.tokens += runner.logit_rows();
      return !scored || scored(loss.tokens) ? absl::OkStatus() : Cancelled("scoring was cancelled");
    }));
  }
  return loss;
}

}  // namespace qiao::engine
