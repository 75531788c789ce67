// The engine's tokens with their log-probabilities, spelled.
#pragma once

#include <vector>

#include "qiao/engine.h"
#include "runtime/serve/api/answer.h"

namespace qiao::serve {

ScoredToken Score(const Engine& engine, int32_t id, float logprob, absl::Span<const TokenLogprob> top);
// Of a request with prompt_logprobs: those of its prompt.
std::vector<ScoredToken> ScorePrompt(const Engine& engine, const GenerateResult& result);

}  // namespace qiao::serve
