#include "runtime/serve/api/scored.h"

#include <utility>

#include "runtime/text/utf8.h"

namespace qiao::serve {
namespace {

TokenText Spell(const Engine& engine, int32_t id) {
  TokenText token;
  if (Result<std::string> bytes = engine.TokenBytes(id); bytes.ok()) token.bytes = *std::move(bytes);
  token.text = text::ReplaceInvalidUtf8(token.bytes);
  return token;
}

}  // namespace

ScoredToken Score(const Engine& engine, int32_t id, float logprob, absl::Span<const TokenLogprob> top) {
  ScoredToken scored{.token = Spell(engine, id), .logprob = logprob};
  for (const TokenLogprob& other : top) scored.top.push_back({Spell(engine, other.id), other.logprob});
  return scored;
}

std::vector<ScoredToken> ScorePrompt(const Engine& engine, const GenerateResult& result) {
  std::vector<ScoredToken> tokens;
  for (size_t i = 0; i < result.prompt_logprobs.size(); ++i) {
    tokens.push_back(
        Score(engine, result.prompt_ids[i], result.prompt_logprobs[i], result.prompt_top_logprobs[i]));
    tokens.back().scored = i > 0;
  }
  return tokens;
}

}  // namespace qiao::serve
