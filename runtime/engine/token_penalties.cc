#include "runtime/engine/token_penalties.h"

#include <algorithm>
#include <utility>

namespace qiao::engine {

TokenPenalties::TokenPenalties(double repetition, double presence, double frequency)
    : repetition_(static_cast<float>(repetition)),
      presence_(static_cast<float>(presence)),
      frequency_(static_cast<float>(frequency)),
      on_(repetition != 1 || presence != 0 || frequency != 0) {}

void TokenPenalties::Reserve(int64_t generated_tokens) {
  if (on_ && generated_tokens > 0)
    generated_.reserve(static_cast<size_t>(std::min(generated_tokens, kMostReserved)));
}

bool TokenPenalties::InPrompt(int32_t id) const {
  return prompt_ != nullptr && std::binary_search(prompt_->begin(), prompt_->end(), id);
}

void TokenPenalties::Prompt(absl::Span<const int32_t> tokens) {
  if (repetition_ == 1) return;
  std::vector<int32_t> ids(tokens.begin(), tokens.end());
  if (prompt_ != nullptr) ids.insert(ids.end(), prompt_->begin(), prompt_->end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  ids.shrink_to_fit();
  prompt_ = std::make_shared<const std::vector<int32_t>>(std::move(ids));
  for (Generated& g : generated_) g.in_prompt = InPrompt(g.id);
}

void TokenPenalties::Accept(int32_t id) {
  if (!on_) return;
  const auto at = std::lower_bound(generated_.begin(), generated_.end(), id,
                                   [](const Generated& g, int32_t value) { return g.id < value; });
  if (at != generated_.end() && at->id == id) {
    ++at->count;
  } else {
    generated_.insert(at, {id, 1, InPrompt(id)});
  }
}

void TokenPenalties::Apply(absl::Span<float> logits) const {
  const auto size = static_cast<int64_t>(logits.size());
  const auto repeat = [this](float& x) { x = x > 0 ? x / repetition_ : x * repetition_; };
  if (prompt_ != nullptr) {
    for (int32_t id : *prompt_) {
      if (id >= 0 && id < size) repeat(logits[static_cast<size_t>(id)]);
    }
  }
  for (const Generated& g : generated_) {
    if (g.id < 0 || g.id >= size) continue;
    float& x = logits[static_cast<size_t>(g.id)];
    if (repetition_ != 1 && !g.in_prompt) repeat(x);
    x = (x - presence_) - frequency_ * static_cast<float>(g.count);
  }
}

}  // namespace qiao::engine
