// A request on its way through the scheduler, and each of its choices.
#pragma once

#include <qiao/engine.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "runtime/engine/operation_observer.h"
#include "runtime/engine/sampler.h"
#include "runtime/text/constraint.h"
#include "runtime/text/detokenizer.h"

namespace qiao::engine {

// What was asked for, checked and with the prompt as tokens. Whoever submits makes it; from then on the
// engine's thread owns it, but for `dropped`.
struct Request {
  GenerateRequest spec;       // spec.ids is the prompt: never empty, within vocabulary and context
  SamplingOptions sampling;   // of choice 0
  std::vector<int32_t> ends;  // tokens that end the text
  std::shared_ptr<const text::Constraint> constraint;  // null: none
  std::shared_ptr<const text::TokenTrie> trie;         // with a constraint
  TokenCallback on_token;                              // may be null
  std::function<void(absl::StatusOr<GenerateResult>)> on_done;
  std::shared_ptr<std::atomic<bool>> dropped;  // the caller wants no more of it

  Clock::time_point submitted{}, started{}, first_token{};
  // Rows of the prompt, from its beginning, whose logits have been looked at; of spec.prompt_logprobs.
  int64_t scored = 0;
  GenerateResult result;
  uint64_t arrival = 0;  // earlier is smaller

  // Whether rows of the prompt are still to be looked at.
  bool scores() const { return spec.prompt_logprobs >= 0 && scored < static_cast<int64_t>(spec.ids.size()); }
  // Takes the logits [V] of the prompt's row `scored`, which tell of the token after it.
  absl::Status Score(absl::Span<const float> logits, SamplerScratch& scratch);
  bool cancelled() const { return spec.cancel.cancelled() || dropped->load(std::memory_order_relaxed); }
  // What spec.on_operation listens with, or null.
  OperationObserver* observer(bool prefill);
  // Tells spec.prefill_progress. INTERNAL where it throws.
  absl::Status Progress(int64_t tokens);
  // Calls on_done, with the result or the failure.
  void Done();

  int32_t open = 1;      // choices that have not ended
  absl::Status failure;  // of the first that failed
  std::optional<OperationObserver> observing;
};

// One choice of a request: its tokens, and what becomes of the next one.
class Stream {
 public:
  // `tokenizer` may be null: then there is no text. All must outlive it.
  Stream(Request& request, int32_t choice, const text::Tokenizer* tokenizer);

  Request& request() const { return request_; }
  int32_t choice() const { return choice_; }
  // The prompt and what was generated; the last one is not in the cache yet.
  const std::vector<int32_t>& tokens() const { return tokens_; }
  int64_t generated() const { return static_cast<int64_t>(tokens_.size()) - prompt_; }

  // Chooses the next token from its logits [V] and passes it on; afterwards finished() may hold. `argmax` as
  // SampleInput's. An error is the request's: its logits are no numbers, or a callback threw.
  absl::Status Take(absl::Span<const float> logits, int32_t argmax, SamplerScratch& scratch);
  // Ends it from outside.
  absl::Status End(Finish finish);
  bool finished() const { return finished_; }

  Choice& result() {
    return choice_ == 0 ? request_.result : request_.result.more[static_cast<size_t>(choice_ - 1)];
  }

 private:
  absl::Status TakeOrThrow(absl::Span<const float> logits, int32_t argmax, SamplerScratch& scratch);
  absl::Status EndOrThrow(Finish finish);
  void StopAtText();
  void FillMask();
  absl::Status Emit(int32_t id, const std::string& text, const Sampled& sampled);

  Request& request_;
  const int32_t choice_;
  const int64_t prompt_;
  std::vector<int32_t> tokens_;
  Sampler sampler_;
  std::optional<text::Detokenizer> detokenizer_;
  text::StopMatcher stops_;
  std::optional<text::ConstraintState> constraint_;
  std::vector<uint32_t> mask_;  // a bit a token, with a constraint
  bool finished_ = false;
};

}  // namespace qiao::engine
