#include "runtime/engine/sampler.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/split_mix.h"

namespace qiao::engine {

absl::Status SamplingOptions::Check() const {
  // Written so that NaN fails.
  if (!(temperature >= 0 && temperature <= 100))
    return InvalidArgument("temperature is %g, must be in 0..100", temperature);
  if (!(top_k >= 0)) return InvalidArgument("top_k is %d, must be 0 (off) or more", top_k);
  if (!(top_p > 0 && top_p <= 1)) return InvalidArgument("top_p is %g, must be in (0, 1]", top_p);
  if (!(min_p >= 0 && min_p <= 1)) return InvalidArgument("min_p is %g, must be in 0..1", min_p);
  if (!(repetition_penalty > 0 && repetition_penalty <= 100)) {
    return InvalidArgument("repetition_penalty is %g, must be in (0, 100]", repetition_penalty);
  }
  return absl::OkStatus();
}

Sampler::Sampler(SamplingOptions options) : options_(options), state_(options.seed) {}

double Sampler::Uniform() { return static_cast<double>(NextSplitMix64(state_) >> 11) * 0x1.0p-53; }

absl::StatusOr<Sampled> Sampler::Sample(absl::Span<const float> logits, absl::Span<const int32_t> history) {
  const auto vocab = static_cast<int32_t>(logits.size());
  candidates_.clear();
  candidates_.reserve(logits.size());
  for (int32_t i = 0; i < vocab; ++i) {
    if (!std::isnan(logits[static_cast<size_t>(i)]))
      candidates_.push_back({i, logits[static_cast<size_t>(i)], 0});
  }
  if (candidates_.empty())
    return Internal("all logits are NaN; the weights or a kernel are broken (try --numerics f32)");

  // The model's own log-probabilities, before anything is changed.
  double top = candidates_[0].logit;
  for (const Candidate& c : candidates_) top = std::max(top, static_cast<double>(c.logit));
  double sum = 0;
  for (const Candidate& c : candidates_) sum += std::exp(c.logit - top);
  const double log_sum = std::isinf(top) ? top : top + std::log(sum);
  auto logprob = [&](int32_t id) { return static_cast<float>(logits[static_cast<size_t>(id)] - log_sum); };

  if (options_.repetition_penalty != 1 && !history.empty()) {
    std::vector<bool> seen(logits.size(), false);
    for (int32_t id : history) {
      if (id >= 0 && id < vocab) seen[static_cast<size_t>(id)] = true;
    }
    const auto penalty = static_cast<float>(options_.repetition_penalty);
    for (Candidate& c : candidates_) {
      if (seen[static_cast<size_t>(c.id)]) c.logit = c.logit > 0 ? c.logit / penalty : c.logit * penalty;
    }
  }

  // Ties go to the lower id, as in argmax.
  auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  };
  if (options_.temperature == 0) {
    const Candidate& best = *std::min_element(candidates_.begin(), candidates_.end(), likelier);
    return Sampled{best.id, logprob(best.id)};
  }
  if (options_.top_k > 0 && options_.top_k < static_cast<int64_t>(candidates_.size())) {
    std::nth_element(candidates_.begin(), candidates_.begin() + options_.top_k - 1, candidates_.end(),
                     likelier);
    candidates_.resize(static_cast<size_t>(options_.top_k));
  }
  std::sort(candidates_.begin(), candidates_.end(), likelier);
  double total = 0;
  for (Candidate& c : candidates_) {
    c.p = std::exp((static_cast<double>(c.logit) - candidates_[0].logit) / options_.temperature);
    total += c.p;
  }
  size_t keep = candidates_.size();
  if (options_.top_p < 1) {
    // The smallest set whose probability reaches top_p.
    double reached = 0;
    for (keep = 0; keep < candidates_.size();) {
      reached += candidates_[keep++].p;
      if (reached >= options_.top_p * total) break;
    }
  }
  if (options_.min_p > 0) {
    const double least = options_.min_p * candidates_[0].p;
    while (keep > 1 && candidates_[keep - 1].p < least) --keep;
  }
  candidates_.resize(keep);
  total = 0;
  for (const Candidate& c : candidates_) total += c.p;
  double at = Uniform() * total;
  for (const Candidate& c : candidates_) {
    at -= c.p;
    if (at < 0) return Sampled{c.id, logprob(c.id)};
  }
  return Sampled{candidates_.back().id, logprob(candidates_.back().id)};
}

}  // namespace qiao::engine
