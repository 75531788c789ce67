#include "runtime/serve/api/openai_answer.h"

#include <algorithm>
#include <utility>

#include "runtime/serve/api/errors.h"

namespace qiao::serve {
namespace {

OrderedJson Scored(const TokenText& token, float logprob) {
  OrderedJson bytes = OrderedJson::array();
  for (const char c : token.bytes) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", token.text}, {"logprob", FiniteLogprob(logprob)}, {"bytes", std::move(bytes)}};
}

OrderedJson EnvelopeOf(const CompletionKind& kind, std::string_view object, const AnswerHeader& header) {
  return {{"id", std::string(kind.id_prefix) + header.suffix},
          {"object", object},
          {"created", header.created},
          {"model", header.model}};
}

}  // namespace

float FiniteLogprob(float logprob) { return std::max(logprob, -9999.0F); }

OrderedJson OpenAiLogprobs(absl::Span<const ScoredToken> tokens) {
  OrderedJson out = OrderedJson::array();
  for (const ScoredToken& token : tokens) {
    OrderedJson entry = Scored(token.token, token.logprob);
    entry["top_logprobs"] = OrderedJson::array();
    for (const ScoredToken::Alternative& other : token.top) {
      entry["top_logprobs"].push_back(Scored(other.token, other.logprob));
    }
    out.push_back(std::move(entry));
  }
  return out;
}

OrderedJson OpenAiUsage(const AnswerTotals& t) {
  return {{"prompt_tokens", t.prompt_tokens},
          {"completion_tokens", t.completion_tokens},
          {"total_tokens", t.prompt_tokens + t.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", t.cached_tokens}, {"audio_tokens", 0}}},
          {"completion_tokens_details",
           {{"reasoning_tokens", t.reasoning_tokens},
            {"audio_tokens", 0},
            {"accepted_prediction_tokens", 0},
            {"rejected_prediction_tokens", 0}}}};
}

std::string_view OpenAiFinish(Ended ended) {
  switch (ended) {
    case Ended::kLength:
      return "length";
    case Ended::kToolCalls:
      return "tool_calls";
    default:
      return "stop";
  }
}

OrderedJson WholeCompletion(const CompletionKind& kind, const AnswerHeader& header, OrderedJson choices,
                            const AnswerTotals& totals) {
  OrderedJson out = EnvelopeOf(kind, kind.object, header);
  out["choices"] = std::move(choices);
  out["usage"] = OpenAiUsage(totals);
  if (!totals.efficiency.is_null()) out["efficiency"] = totals.efficiency;
  return out;
}

OrderedJson CompletionChunks::Envelope() const { return EnvelopeOf(kind_, kind_.chunk_object, header_); }

void CompletionChunks::Chunk(OrderedJson choice, std::string& out) const {
  OrderedJson chunk = Envelope();
  chunk["choices"] = OrderedJson::array({std::move(choice)});
  if (call_.include_usage) chunk["usage"] = nullptr;
  AppendEvent("", chunk, out);
}

void CompletionChunks::Done(const AnswerTotals& totals, std::string& out) {
  if (call_.include_usage || !totals.efficiency.is_null()) {
    OrderedJson last = Envelope();
    last["choices"] = OrderedJson::array();
    if (call_.include_usage) last["usage"] = OpenAiUsage(totals);
    if (!totals.efficiency.is_null()) last["efficiency"] = totals.efficiency;
    AppendEvent("", last, out);
  }
  out += "data: [DONE]\n\n";
}

void CompletionChunks::Failed(const absl::Status& status, std::string& out) {
  AppendEvent("", OpenAiError(Describe(status)), out);
}

}  // namespace qiao::serve
