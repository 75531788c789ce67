// What a sequence has said, and what that costs its tokens' logits. Kept token by token, so that a step's work is
// one entry for each distinct token and never a pass over the history.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"

namespace qiao::engine {

// Copies share the prompt. Ids outside the row of logits are let alone.
class TokenPenalties {
 public:
  // `repetition` (1: off) divides the positive logits and multiplies the others of every token of the prompt and of
  // the generated text (Keskar et al. 2019, section 4.1, extended to negative logits as usual); `presence` (0: off)
  // is subtracted once and `frequency` (0: off) times its count from every generated token's.
  TokenPenalties(double repetition, double presence, double frequency);

  // Whether any of them is on. Where not, nothing is remembered.
  bool on() const { return on_; }
  // Room for that many distinct generated tokens, kMostReserved at most, so that Accept does not allocate.
  static constexpr int64_t kMostReserved = 16384;
  void Reserve(int64_t generated_tokens);
  void Prompt(absl::Span<const int32_t> tokens);
  void Accept(int32_t id);
  void Apply(absl::Span<float> logits) const;

 private:
  struct Generated {
    int32_t id;
    int32_t count;
    bool in_prompt;
  };
  bool InPrompt(int32_t id) const;

  float repetition_, presence_, frequency_;
  bool on_;
  std::shared_ptr<const std::vector<int32_t>> prompt_;  // ascending, each once; null: none, or not needed
  std::vector<Generated> generated_;                    // ascending ids
};

}  // namespace qiao::engine
