// What OpenAI's protocols have in common in their answers.
#pragma once

#include <string>
#include <string_view>

#include "runtime/serve/api/answer.h"
#include "runtime/serve/api/call.h"

namespace qiao::serve {

// JSON has no infinity: a token that cannot be has the least that OpenAI gives.
float FiniteLogprob(float logprob);
// [{"token", "logprob", "bytes", "top_logprobs": [{"token", "logprob", "bytes"}, ..]}, ..]
OrderedJson OpenAiLogprobs(absl::Span<const ScoredToken> tokens);
// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"}
OrderedJson OpenAiUsage(const AnswerTotals& totals);
// "stop", "length", "tool_calls"
std::string_view OpenAiFinish(Ended ended);

// Of chat and text completions, whose answers differ in their choices only.
struct CompletionKind {
  std::string_view id_prefix;  // "chatcmpl-"
  std::string_view object, chunk_object;
};

// {"id", "object", "created", "model", "choices", "usage"} and the efficiency where it was asked for.
OrderedJson WholeCompletion(const CompletionKind& kind, const AnswerHeader& header, OrderedJson choices,
                            const AnswerTotals& totals);

// Everything of a stream but its choices.
class CompletionChunks : public AnswerStream {
 public:
  // All must outlive it.
  CompletionChunks(const CompletionKind& kind, const Call& call, const AnswerHeader& header)
      : kind_(kind), call_(call), header_(header) {}

  void Done(const AnswerTotals& totals, std::string& out) override;
  void Failed(const absl::Status& status, std::string& out) override;

 protected:
  // Appends a chunk with this one choice.
  void Chunk(OrderedJson choice, std::string& out) const;
  const AnswerHeader& header() const { return header_; }

 private:
  OrderedJson Envelope() const;

  const CompletionKind& kind_;
  const Call& call_;
  const AnswerHeader& header_;
};

}  // namespace qiao::serve
