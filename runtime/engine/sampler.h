// From logits to a token.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/status.h"

namespace qiao::engine {

struct SamplingOptions {
  double temperature = 0;  // 0: greedy
  int64_t top_k = 0;       // 0: off
  double top_p = 1;        // 1: off
  double min_p = 0;        // 0: off; keeps tokens at least min_p times as likely as the likeliest
  double repetition_penalty = 1;
  uint64_t seed = 0;

  absl::Status Check() const;  // INVALID_ARGUMENT that names the option and its range
};

struct Sampled {
  int32_t id = 0;
  float logprob = 0;  // of the token under the model's own distribution (temperature 1, nothing filtered)
};

// One sequence's sampler. The same seed and logits give the same tokens on every machine: the generator is
// SplitMix64 and the sums run in a fixed order in double. Filters apply in the order top_k, top_p, min_p,
// after temperature.
class Sampler {
 public:
  explicit Sampler(SamplingOptions options);
  // `history`: the tokens so far, for the repetition penalty. NaN logits are never chosen; INTERNAL when all
  // are NaN.
  absl::StatusOr<Sampled> Sample(absl::Span<const float> logits, absl::Span<const int32_t> history);
  const SamplingOptions& options() const { return options_; }

 private:
  double Uniform();  // [0, 1)
  SamplingOptions options_;
  uint64_t state_;
  struct Candidate {
    int32_t id;
    float logit;
    double p;
  };
  std::vector<Candidate> candidates_;
};

}  // namespace qiao::engine
