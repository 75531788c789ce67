#include "runtime/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/base/split_mix.h"

namespace qiao::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kBan = -100;
constexpr char kNoLogits[] =
    "all logits are NaN or -inf; the weights or a kernel are broken (try --numerics f32)";

// In [0, 1).
double Uniform(uint64_t seed, uint64_t position) {
  return static_cast<double>(SplitMix64(seed + position * kSplitMixStep) >> 11) * 0x1.0p-53;
}

bool Allowed(absl::Span<const uint32_t> mask, size_t id) {
  return mask.empty() || (mask[id / 32] >> (id % 32) & 1) != 0;
}

void ApplyMask(absl::Span<const uint32_t> mask, absl::Span<float> row) {
  for (size_t word = 0; word < mask.size(); ++word) {
    if (mask[word] == 0xffffffffu) continue;
    const size_t begin = word * 32, end = std::min(begin + 32, row.size());
    for (size_t i = begin; i < end; ++i) {
      if ((mask[word] >> (i - begin) & 1) == 0) row[i] = -kInfinity;
    }
  }
}

}  // namespace

absl::Status SamplingOptions::Check(int64_t vocab) const {
  // Written so that NaN fails.
  if (!(temperature >= 0 && temperature <= 100))
    return InvalidArgument("temperature is %g, must be in 0..100", temperature);
  if (!(top_k >= 0)) return InvalidArgument("top_k is %d, must be 0 (off) or more", top_k);
  if (!(top_p > 0 && top_p <= 1)) return InvalidArgument("top_p is %g, must be in (0, 1]", top_p);
  if (!(min_p >= 0 && min_p <= 1)) return InvalidArgument("min_p is %g, must be in 0..1", min_p);
  if (!(repetition_penalty > 0 && repetition_penalty <= 100))
    return InvalidArgument("repetition_penalty is %g, must be in (0, 100]", repetition_penalty);
  if (!(presence_penalty >= -2 && presence_penalty <= 2))
    return InvalidArgument("presence_penalty is %g, must be in -2..2", presence_penalty);
  if (!(frequency_penalty >= -2 && frequency_penalty <= 2))
    return InvalidArgument("frequency_penalty is %g, must be in -2..2", frequency_penalty);
  if (!(top_logprobs >= -1 && top_logprobs <= kMaxTopLogprobs))
    return InvalidArgument("top_logprobs is %d, must be in 0..%d, or -1 for none", top_logprobs,
                           kMaxTopLogprobs);
  if (logit_bias.size() > static_cast<size_t>(kMaxLogitBias))
    return InvalidArgument("logit_bias has %d entries, must be at most %d", logit_bias.size(), kMaxLogitBias);
  std::vector<int32_t> ids;
  ids.reserve(logit_bias.size());
  for (const auto& [id, bias] : logit_bias) {
    if (id < 0 || id >= vocab)
      return InvalidArgument("logit_bias of token %d: the vocabulary has ids 0..%d", id, vocab - 1);
    if (!(bias >= -100 && bias <= 100))
      return InvalidArgument("logit_bias of token %d is %g, must be in -100..100", id, bias);
    ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  const auto twice = std::adjacent_find(ids.begin(), ids.end());
  if (twice != ids.end())
    return InvalidArgument("logit_bias names token %d twice, must name each token once", *twice);
  return absl::OkStatus();
}

uint64_t ChoiceSeed(uint64_t seed, int32_t choice) {
  // Mixed twice: sequences whose seeds differ by a multiple of the step would be each other's continuation.
  return choice == 0 ? seed : SplitMix64(seed ^ SplitMix64(static_cast<uint64_t>(choice)));
}

Sampler::Sampler(SamplingOptions options, int64_t max_tokens)
    : options_(std::make_shared<const SamplingOptions>(std::move(options))),
      penalties_(options_->repetition_penalty, options_->presence_penalty, options_->frequency_penalty),
      max_tokens_(max_tokens),
      seed_(options_->seed) {
  penalties_.Reserve(max_tokens_);
}

void Sampler::Accept(int32_t id) {
  penalties_.Accept(id);
  ++position_;
}

Sampler Sampler::Fork(int32_t choice) const {
  Sampler fork(*this);
  fork.seed_ = ChoiceSeed(options_->seed, choice);
  fork.penalties_.Reserve(max_tokens_);  // a copied vector has no room
  return fork;
}

bool Sampler::ArgmaxSuffices() const {
  return options_->temperature == 0 && !penalties_.on() && options_->logit_bias.empty() &&
         options_->top_logprobs < 0;
}

absl::StatusOr<Sampled> Sampler::Sample(const SampleInput& input, SamplerScratch& scratch) const {
  Sampled sampled;
  if (input.argmax && input.mask.empty() && ArgmaxSuffices()) {
    if (*input.argmax < 0) return NothingLeft(input);
    sampled.id = *input.argmax;
    return sampled;
  }
  const size_t vocab = input.logits.size();
  if (vocab == 0)
    return InvalidArgument("there are no logits, and this sampler needs more than their argmax");
  if (!input.mask.empty() && input.mask.size() != (vocab + 31) / 32) {
    return InvalidArgument("the mask has %d words, must have %d for %d tokens", input.mask.size(),
                           (vocab + 31) / 32, vocab);
  }

  absl::Span<const float> row = input.logits;
  const bool changed = penalties_.on() || !options_->logit_bias.empty() || !input.mask.empty();
  if (changed) {
    scratch.adjusted_.assign(row.begin(), row.end());
    const absl::Span<float> adjusted = absl::MakeSpan(scratch.adjusted_);
    penalties_.Apply(adjusted);
    for (const auto& [id, bias] : options_->logit_bias) {
      if (id < 0 || static_cast<size_t>(id) >= vocab) continue;
      float& x = adjusted[static_cast<size_t>(id)];
      x = bias == kBan ? -kInfinity : x + bias;
    }
    ApplyMask(input.mask, adjusted);
    row = adjusted;
  }
  const LogitPeak peak = FindPeak(row);
  if (peak.id < 0) return NothingLeft(input);

  double row_sum = 0;
  if (options_->temperature == 0) {
    sampled.id = peak.id;
  } else if (peak.logit == kInfinity) {
    // Infinitely likelier than every finite one, and all of them equally.
    scratch.adjusted_.resize(vocab);
    std::transform(row.begin(), row.end(), scratch.adjusted_.begin(),
                   [](float x) { return x == kInfinity ? 0 : -kInfinity; });
    sampled.id = Draw(scratch.adjusted_, {0, peak.id}, scratch, &row_sum);
    row_sum = 0;
  } else {
    sampled.id = Draw(row, peak, scratch, &row_sum);
  }
  if (options_->top_logprobs >= 0) {
    const bool same = !changed && options_->temperature == 1;
    SetLogprobs(input.logits, changed ? FindPeak(input.logits) : peak, same ? row_sum : 0,
                options_->top_logprobs, scratch, &sampled);
  }
  return sampled;
}

// `row_sum` becomes the sum of all weights where that was needed.
int32_t Sampler::Draw(absl::Span<const float> row, LogitPeak peak, SamplerScratch& scratch,
                      double* row_sum) const {
  const SamplingOptions& o = *options_;
  const double uniform = Uniform(seed_, position_);
  // A colder temperature than 1e-30 is greedy among unequal floats already.
  const auto inverse = static_cast<float>(std::min(1 / o.temperature, 1e30));
  const bool top_k = o.top_k > 0 && o.top_k < static_cast<int64_t>(row.size());
  if (!top_k && o.top_p == 1 && o.min_p == 0) {
    *row_sum = SumWeights(row, peak.logit, inverse, scratch.block_sums_);
    return DrawFromRow(row, peak.logit, inverse, scratch.block_sums_, uniform * *row_sum);
  }

  // The candidates: all that the filters can keep, found by a bound on the logit, with some slack for rounding.
  absl::Span<LogitKey> keys;
  double total = 0;  // what top_p is a share of
  size_t sorted = 0;
  if (top_k) {
    keys = SelectTop(row, static_cast<size_t>(o.top_k), scratch.keys_, scratch.weights_);
    sorted = keys.size();
  } else {
    double least = o.min_p;
    if (o.top_p < 1) {
      *row_sum = total = SumWeights(row, peak.logit, inverse, scratch.block_sums_);
      // Tokens below this weigh no more than 1 - top_p in all, so those above hold top_p.
      least = std::max(least, (1 - o.top_p) * total / static_cast<double>(row.size()));
    }
    const double fall = (std::log(least) - 1e-3) / static_cast<double>(inverse);
    const double slack = 1e-6 * (std::fabs(peak.logit) + std::fabs(fall));
    const double bound =
        std::max(peak.logit + fall - slack, static_cast<double>(std::numeric_limits<float>::lowest()));
    keys = SelectAbove(row, static_cast<float>(bound), scratch.keys_);
    if (o.top_p == 1) sorted = keys.size();  // min_p needs no order, the order of ids is as good as any
  }

  if (scratch.weights_.size() < keys.size()) scratch.weights_.resize(keys.size());
  float* const weights = scratch.weights_.data();
  size_t weighed = 0;
  const auto weigh_to = [&](size_t end) {
    for (size_t i = weighed; i < end; ++i) weights[i] = KeyLogit(keys[i]);
    Weigh(weights + weighed, end - weighed, peak.logit, inverse, weights + weighed);
    weighed = end;
  };
  weigh_to(sorted);
  if (top_k && o.top_p < 1) {
    for (size_t i = 0; i < keys.size(); ++i) total += static_cast<double>(weights[i]);
  }

  // The kept ones come to the front. Without top_k only as many are put in order as top_p keeps.
  const bool ordered = top_k || o.top_p < 1;
  size_t kept = 0, chunk = 64;
  double kept_sum = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i == sorted) {
      sorted = std::min(keys.size(), sorted + chunk);
      chunk *= 4;
      SortFirst(keys.subspan(i), sorted - i);
      weigh_to(sorted);
    }
    // The likeliest weighs 1.
    if (kept > 0 || !ordered) {
      const bool below = static_cast<double>(weights[i]) < o.min_p || weights[i] <= 0;
      if (below && ordered) break;
      if (below) continue;
    }
    keys[kept] = keys[i];
    weights[kept] = weights[i];
    kept_sum += static_cast<double>(weights[kept++]);
    if (o.top_p < 1 && kept_sum >= o.top_p * total) break;
  }
  double at = uniform * kept_sum;
  for (size_t i = 0; i < kept; ++i) {
    at -= static_cast<double>(weights[i]);
    if (at < 0) return KeyId(keys[i]);
  }
  return KeyId(keys[kept - 1]);
}

// `sum`: of the weights at temperature 1 where it is known, else 0.
void Sampler::SetLogprobs(absl::Span<const float> logits, LogitPeak peak, double sum, int32_t top,
                          SamplerScratch& scratch, Sampled* sampled) {
  double log_sum;  // such that a logit's logprob is logit - log_sum
  if (peak.logit == kInfinity) {
    log_sum = std::log(static_cast<double>(std::count(logits.begin(), logits.end(), kInfinity)));
  } else {
    if (sum == 0) sum = SumWeights(logits, peak.logit, 1, scratch.block_sums_);
    log_sum = static_cast<double>(peak.logit) + std::log(sum);
  }
  const auto logprob = [&](float logit) {
    if (peak.logit == kInfinity) return logit == kInfinity ? static_cast<float>(-log_sum) : -kInfinity;
    return std::isnan(logit) ? -kInfinity : static_cast<float>(static_cast<double>(logit) - log_sum);
  };
  sampled->logprob = logprob(logits[static_cast<size_t>(sampled->id)]);
  if (top == 0) return;
  for (LogitKey key : SelectTop(logits, static_cast<size_t>(top), scratch.keys_, scratch.weights_)) {
    sampled->top_storage[static_cast<size_t>(sampled->top_count++)] = {KeyId(key), logprob(KeyLogit(key))};
  }
}

absl::StatusOr<Sampled> Sampler::Score(absl::Span<const float> logits, int32_t id, int32_t top,
                                       SamplerScratch& scratch) {
  const LogitPeak peak = FindPeak(logits);
  if (peak.id < 0) return Internal(kNoLogits);
  Sampled sampled;
  sampled.id = id;
  SetLogprobs(logits, peak, 0, top, scratch, &sampled);
  return sampled;
}

absl::Status Sampler::NothingLeft(const SampleInput& input) const {
  const absl::Span<const uint32_t> mask = input.mask;
  const size_t vocab = input.logits.size();
  size_t allowed = 0;
  for (size_t i = 0; i < vocab; ++i) allowed += Allowed(mask, i) ? 1 : 0;
  size_t left = allowed;
  for (const auto& [id, bias] : options_->logit_bias) {
    if (bias == kBan && static_cast<size_t>(id) < vocab && Allowed(mask, static_cast<size_t>(id))) --left;
  }
  if (vocab > 0 && allowed == 0) {
    return FailedPrecondition(
        "the mask allows none of the %d tokens: nothing can follow under this constraint", vocab);
  }
  if (vocab > 0 && left == 0) {
    return FailedPrecondition("logit_bias bans all %d tokens that the mask allows; ban fewer", allowed);
  }
  if (left < vocab) {
    return Internal(
        "the logits of all %d allowed tokens are NaN or -inf; the weights or a kernel are broken (try "
        "--numerics f32)",
        left);
  }
  return Internal(kNoLogits);
}

}  // namespace qiao::engine
