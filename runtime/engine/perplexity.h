// How well a model predicts texts: exp of the mean negative log-likelihood of their tokens.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/types/span.h"
#include "runtime/base/status.h"
#include "runtime/engine/runner.h"

namespace qiao::engine {

// -log softmax(logits)[id], in double: sums over a large vocabulary lose digits in float.
double NegativeLogLikelihood(absl::Span<const float> logits, int32_t id);

// Adds up the loss of `ids`, which hold the tokens that begin and end a text, in consecutive windows: window
// s predicts ids[s+1 .. s+window] from ids[s .. s+window-1], and the context starts anew at each. All
// predicted tokens are scored. The runner must have been planned with all_logits and a context of at least
// `window`. `scored`, which may be null, is called after each step with the number of tokens scored so far;
// returning false cancels.
struct Loss {
  double negative_log_likelihood = 0;
  int64_t tokens = 0;
};
absl::StatusOr<Loss> ScoreText(Runner& runner, absl::Span<const int32_t> ids, int64_t window,
                               const std::function<bool(int64_t scored)>& scored = nullptr);

}  // namespace qiao::engine
