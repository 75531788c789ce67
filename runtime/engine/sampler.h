// From logits to a token.
#pragma once

#include <qiao/engine.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/status.h"
#include "runtime/engine/logit_scan.h"
#include "runtime/engine/token_penalties.h"

namespace qiao::engine {

inline constexpr int64_t kMaxLogitBias = 1024;
inline constexpr int32_t kMaxTopLogprobs = 20;

struct SamplingOptions {
  double temperature = 0;         // 0: greedy
  int64_t top_k = 0;              // 0: off
  double top_p = 1;               // 1: off
  double min_p = 0;               // 0: off; keeps tokens at least min_p times as likely as the likeliest
  double repetition_penalty = 1;  // 1: off; of the prompt's tokens and the generated ones
  double presence_penalty = 0;    // 0: off; subtracted from the logits of generated tokens, once,
  double frequency_penalty = 0;   // 0: off; and times their count
  // Added to these tokens' logits; -100 bans the token. Each id at most once.
  std::vector<std::pair<int32_t, float>> logit_bias = {};
  uint64_t seed = 0;
  int32_t top_logprobs = -1;  // -1: no logprobs, 0: the chosen token's, k: also the k likeliest tokens'

  // INVALID_ARGUMENT that names the option and its range. `vocab`: the length of a row of logits.
  absl::Status Check(int64_t vocab) const;
};

// The seed of choice `choice` (from 0) of a request with several: choice 0 has the request's seed itself.
uint64_t ChoiceSeed(uint64_t seed, int32_t choice);

struct Sampled {
  int32_t id = 0;
  // Of the token under the model's own distribution: temperature 1, before penalties, bias, mask and filters.
  // 0 unless asked for.
  float logprob = 0;
  int32_t top_count = 0;  // options.top_logprobs, or fewer where fewer tokens have a finite logit
  std::array<TokenLogprob, kMaxTopLogprobs> top_storage = {};
  // The likeliest tokens of that distribution, likeliest first, the lower id first among equals.
  absl::Span<const TokenLogprob> top() const {
    return absl::MakeConstSpan(top_storage).subspan(0, static_cast<size_t>(top_count));
  }
};

// What Sample works in: one for each thread that samples, for all sequences. It grows to some 20 bytes a token of
// the vocabulary and then stays, so that sampling allocates nothing.
class SamplerScratch {
 private:
  friend class Sampler;
  std::vector<float> adjusted_;
  std::vector<double> block_sums_;
  std::vector<LogitKey> keys_;
  std::vector<float> weights_;
};

struct SampleInput {
  absl::Span<const float> logits = {};  // [vocab]; may be empty where `argmax` is enough
  // Bit t % 32 of word t / 32: token t is allowed. ceil(vocab / 32) words, or empty: all are.
  absl::Span<const uint32_t> mask = {};
  // The lowest id of the largest logit, NaN left out, where the device has computed it; negative: all are NaN. Used
  // only where ArgmaxSuffices() and there is no mask.
  std::optional<int32_t> argmax = {};
};

// One sequence's sampler: what it has to remember of the sequence, and nothing more. It is a value: a copy is an
// independent sampler in the same state, cheap where penalties are off and one entry for each distinct generated
// token where they are on. A preempted sequence keeps its sampler; there is nothing to rebuild. One thread at a time;
// Sample is const, and different samplers are independent.
//
// Order: the logits; repetition, presence, frequency penalty; bias; mask; temperature; top_k; top_p (the smallest set
// whose share of what top_k left reaches top_p; one token always stays); min_p; the draw. NaN and -inf are never
// chosen. Of equal logits the lower id is the likelier. A finite logit so far below the likeliest that its weight is
// below exp(-87) is not drawn.
//
// Determinism: the same options, tokens and logits give the same token on every machine. The weights are computed as
// logit_scan.h says and summed in double in a fixed order: by id, or by falling likelihood behind top_k and top_p.
// The generator is SplitMix64 (Steele, Lea, Flood 2014) read as a counter: the draw at position p, the number of
// tokens accepted so far, is its output p and depends on (seed, p) only. So Sample may be called any number of times
// at one position, and gives the same token for the same logits.
//
// Speculative decoding: with a deterministic draft d (argmax of a draft model, a looked-up continuation), sample x
// from the model's logits p and keep the draft exactly when x == d, else x is the token. This is the rejection
// sampling of Leviathan et al. 2023 with the point mass on d as the proposal: d is accepted with probability p(d),
// and the token after a rejection has the law of max(p - q, 0), normalised, which is p without d. So it preserves the
// distribution exactly; and since the draw depends on the position only, the text is bitwise that without drafting.
// For drafts d1 d2 ..: Sample, Accept what came, and go on with the next row while it equals the draft.
class Sampler {
 public:
  // `options`: such as Check has passed. `max_tokens`: so many generated tokens are remembered without allocating
  // (up to TokenPenalties::kMostReserved distinct ones).
  explicit Sampler(SamplingOptions options, int64_t max_tokens = 0);

  // The prompt's tokens, once (further calls add to them).
  void Prompt(absl::Span<const int32_t> tokens) { penalties_.Prompt(tokens); }
  // The next token of the sequence, as it was sampled or as the caller wants it.
  void Accept(int32_t id);
  // Tokens accepted so far: the position of the next one, and which draw it takes.
  uint64_t position() const { return position_; }

  // The sampler of another choice of the same request, in this one's state, with ChoiceSeed of the options' seed.
  Sampler Fork(int32_t choice) const;

  // Greedy, and nothing asked that needs the logits: SampleInput::argmax is enough where there is no mask.
  bool ArgmaxSuffices() const;

  // The token of position(). INTERNAL where all logits are NaN or -inf, all allowed ones too; FAILED_PRECONDITION
  // where the mask, or the mask and the bans, leave no token; INVALID_ARGUMENT for a mask of another length.
  absl::StatusOr<Sampled> Sample(const SampleInput& input, SamplerScratch& scratch) const;

  // What Sample tells of the token it chose, of a token that is given: `id` under the distribution of `logits`
  // [vocab], -inf where its logit is -inf or NaN, and the `top` likeliest. INTERNAL where all logits are NaN or -inf.
  static absl::StatusOr<Sampled> Score(absl::Span<const float> logits, int32_t id, int32_t top,
                                       SamplerScratch& scratch);

  const SamplingOptions& options() const { return *options_; }

 private:
  int32_t Draw(absl::Span<const float> row, LogitPeak peak, SamplerScratch& scratch, double* row_sum) const;
  static void SetLogprobs(absl::Span<const float> logits, LogitPeak peak, double sum, int32_t top,
                          SamplerScratch& scratch, Sampled* sampled);
  absl::Status NothingLeft(const SampleInput& input) const;

  std::shared_ptr<const SamplingOptions> options_;
  TokenPenalties penalties_;
  int64_t max_tokens_;
  uint64_t seed_;
  uint64_t position_ = 0;
};

}  // namespace qiao::engine
