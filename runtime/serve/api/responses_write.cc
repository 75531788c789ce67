// OpenAI's responses: the answer as JSON.
#include <utility>

#include "runtime/serve/api/openai_answer.h"
#include "runtime/serve/api/responses.h"

namespace qiao::serve {
namespace {

// The tokens that `content` is made of, among all that were made: thoughts come before it, calls after it.
absl::Span<const ScoredToken> TokensOf(const std::string& content, absl::Span<const ScoredToken> tokens) {
  std::string all;
  for (const ScoredToken& token : tokens) all += token.token.bytes;
  const size_t begin = all.rfind(content);
  if (content.empty() || begin == std::string::npos) return tokens;
  size_t first = 0, at = 0;
  while (at + tokens[first].token.bytes.size() <= begin) at += tokens[first++].token.bytes.size();
  size_t last = first;
  while (at < begin + content.size()) at += tokens[last++].token.bytes.size();
  return tokens.subspan(first, last - first);
}

}  // namespace

std::string ItemId(std::string_view prefix, const AnswerHeader& header, size_t index) {
  return absl::StrFormat("%s_%s_%d", prefix, header.suffix, index);
}

OrderedJson ReasoningItem(const std::string& id, std::string_view status, OrderedJson content) {
  return {{"id", id},
          {"type", "reasoning"},
          {"summary", OrderedJson::array()},
          {"content", std::move(content)},
          {"status", std::string(status)}};
}

OrderedJson MessageItem(const std::string& id, std::string_view status, OrderedJson content) {
  return {{"id", id},
          {"type", "message"},
          {"status", std::string(status)},
          {"role", "assistant"},
          {"content", std::move(content)}};
}

OrderedJson CallItem(const std::string& id, std::string_view status, const ToolCall& call) {
  return {{"id", id},           {"type", "function_call"}, {"status", std::string(status)},
          {"call_id", call.id}, {"name", call.name},       {"arguments", call.arguments}};
}

OrderedJson ReasoningPart(const std::string& text) { return {{"type", "reasoning_text"}, {"text", text}}; }

OrderedJson TextPart(const std::string& text, OrderedJson logprobs) {
  return {{"type", "output_text"},
          {"text", text},
          {"annotations", OrderedJson::array()},
          {"logprobs", std::move(logprobs)}};
}

OrderedJson ResponseUsage(const AnswerTotals& t) {
  return {{"input_tokens", t.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", t.cached_tokens}, {"cache_write_tokens", 0}}},
          {"output_tokens", t.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", t.reasoning_tokens}}},
          {"total_tokens", t.prompt_tokens + t.completion_tokens}};
}

std::string_view ResponseStatus(Ended ended) {
  switch (ended) {
    case Ended::kLength:
      return "incomplete";
    case Ended::kCancelled:
      return "cancelled";
    default:
      return "completed";
  }
}

void SetIncomplete(Ended ended, OrderedJson& response) {
  if (ended == Ended::kLength) response["incomplete_details"] = {{"reason", "max_output_tokens"}};
}

OrderedJson ResponseObject(const Call& call, const AnswerHeader& header, std::string_view status,
                           OrderedJson output, OrderedJson usage) {
  OrderedJson response = {
      {"id", "resp_" + header.suffix},   {"object", "response"},      {"created_at", header.created},
      {"status", std::string(status)},   {"background", false},       {"error", nullptr},
      {"incomplete_details", nullptr},   {"model", header.model},     {"output", std::move(output)},
      {"previous_response_id", nullptr}, {"service_tier", "default"}, {"store", false},
      {"truncation", "disabled"},        {"usage", std::move(usage)}};
  response.update(call.echo_fields);
  return response;
}

OrderedJson WholeResponse(const Call& call, const AnswerHeader& header, const Answer& answer) {
  const AnswerChoice none;
  const AnswerChoice& choice = answer.choices.empty() ? none : answer.choices.front();
  OrderedJson output = OrderedJson::array();
  if (!choice.reasoning.empty()) {
    output.push_back(ReasoningItem(ItemId("rs", header, output.size()), "completed",
                                   OrderedJson::array({ReasoningPart(choice.reasoning)})));
  }
  if (!choice.content.empty() || (choice.calls.empty() && output.empty())) {
    OrderedJson part = TextPart(choice.content, OpenAiLogprobs(TokensOf(choice.content, choice.tokens)));
    output.push_back(MessageItem(ItemId("msg", header, output.size()), "completed",
                                 OrderedJson::array({std::move(part)})));
  }
  for (const ToolCall& made : choice.calls) {
    output.push_back(CallItem(ItemId("fc", header, output.size()), "completed", made));
  }
  // What came last was cut short.
  if (ResponseStatus(choice.ended) != "completed") output.back()["status"] = "incomplete";
  OrderedJson response = ResponseObject(call, header, ResponseStatus(choice.ended), std::move(output),
                                        ResponseUsage(answer.totals));
  SetIncomplete(choice.ended, response);
  return response;
}

}  // namespace qiao::serve
