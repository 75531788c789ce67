// OpenAI's chat completions: the answer, whole or in chunks.
#include <algorithm>

#include "runtime/serve/api/chat.h"

namespace qiao::serve {
namespace {

OrderedJson Bytes(const std::string& text) {
  OrderedJson bytes = OrderedJson::array();
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

OrderedJson Scored(const TokenText& token, float logprob) {
  // JSON has no infinity; a token that cannot be is given the least that OpenAI gives.
  return {{"token", token.text}, {"logprob", std::max(logprob, -9999.0F)}, {"bytes", Bytes(token.bytes)}};
}

OrderedJson Logprobs(absl::Span<const ScoredToken> tokens) {
  OrderedJson content = OrderedJson::array();
  for (const ScoredToken& token : tokens) {
    OrderedJson entry = Scored(token.token, token.logprob);
    entry["top_logprobs"] = OrderedJson::array();
    for (const ScoredToken::Alternative& other : token.top) {
      entry["top_logprobs"].push_back(Scored(other.token, other.logprob));
    }
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

class ChatStream : public AnswerStream {
 public:
  ChatStream(const Call& call, const AnswerHeader& header) : call_(call), header_(header) {}

  void Begin(std::string& out) override {
    for (int64_t i = 0; i < header_.choices; ++i) Chunk(i, {{"role", "assistant"}, {"content", ""}}, out);
  }

  void Piece(int64_t choice, const AnswerPiece& piece, absl::Span<const ScoredToken> tokens,
             std::string& out) override {
    OrderedJson delta = OrderedJson::object();
    switch (piece.kind) {
      case AnswerPiece::Kind::kReasoning:
        delta["reasoning_content"] = piece.text;
        break;
      case AnswerPiece::Kind::kContent:
        delta["content"] = piece.text;
        break;
      case AnswerPiece::Kind::kToolBegin:
        delta["tool_calls"] = OrderedJson::array({{{"index", piece.index},
                                                   {"id", piece.id},
                                                   {"type", "function"},
                                                   {"function", {{"name", piece.name}, {"arguments", ""}}}}});
        break;
      case AnswerPiece::Kind::kToolArguments:
        delta["tool_calls"] =
            OrderedJson::array({{{"index", piece.index}, {"function", {{"arguments", piece.text}}}}});
        break;
      case AnswerPiece::Kind::kToolEnd:
        return;
    }
    Chunk(choice, std::move(delta), out, nullptr, tokens);
  }

  void End(int64_t choice, const AnswerChoice& whole, std::string& out) override {
    Chunk(choice, OrderedJson::object(), out, OrderedJson(std::string(OpenAiFinish(whole.ended))));
  }

  void Done(const AnswerTotals& totals, std::string& out) override {
    if (call_.include_usage || !totals.efficiency.is_null()) {
      OrderedJson last = Envelope();
      last["choices"] = OrderedJson::array();
      if (call_.include_usage) last["usage"] = OpenAiUsage(totals);
      if (!totals.efficiency.is_null()) last["efficiency"] = totals.efficiency;
      AppendEvent("", last, out);
    }
    out += "data: [DONE]\n\n";
  }

  void Failed(const absl::Status& status, std::string& out) override {
    AppendEvent("", OpenAiError(Describe(status)), out);
  }

 private:
  OrderedJson Envelope() const {
    return {{"id", "chatcmpl-" + header_.suffix},
            {"object", "chat.completion.chunk"},
            {"created", header_.created},
            {"model", header_.model}};
  }

  void Chunk(int64_t choice, OrderedJson delta, std::string& out, OrderedJson finish = nullptr,
             absl::Span<const ScoredToken> tokens = {}) const {
    OrderedJson chunk = Envelope();
    chunk["choices"] = OrderedJson::array({{{"index", choice},
                                            {"delta", std::move(delta)},
                                            {"logprobs", tokens.empty() ? OrderedJson() : Logprobs(tokens)},
                                            {"finish_reason", std::move(finish)}}});
    if (call_.include_usage) chunk["usage"] = nullptr;
    AppendEvent("", chunk, out);
  }

  const Call& call_;
  const AnswerHeader& header_;
};

class ChatProtocol : public Protocol {
 public:
  absl::StatusOr<Call> Parse(const OrderedJson& body, const ModelFacts& model,
                             const ApiLimits& limits) const override {
    return ParseChat(body, model, limits);
  }
  OrderedJson Whole(const Call& call, const AnswerHeader& header, const Answer& answer) const override {
    return WholeChat(call, header, answer);
  }
  std::unique_ptr<AnswerStream> Stream(const Call& call, const AnswerHeader& header) const override {
    return StreamChat(call, header);
  }
  OrderedJson Error(const ApiError& error, std::string_view) const override { return OpenAiError(error); }
};

}  // namespace

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

OrderedJson WholeChat(const Call& call, const AnswerHeader& header, const Answer& answer) {
  OrderedJson choices = OrderedJson::array();
  for (size_t i = 0; i < answer.choices.size(); ++i) {
    const AnswerChoice& choice = answer.choices[i];
    OrderedJson message = {{"role", "assistant"}, {"content", choice.content}, {"refusal", nullptr}};
    if (choice.content.empty() && !choice.calls.empty()) message["content"] = nullptr;
    if (!choice.reasoning.empty()) message["reasoning_content"] = choice.reasoning;
    for (const ToolCall& made : choice.calls) {
      message["tool_calls"].push_back({{"id", made.id},
                                       {"type", "function"},
                                       {"function", {{"name", made.name}, {"arguments", made.arguments}}}});
    }
    choices.push_back({{"index", i},
                       {"message", std::move(message)},
                       {"logprobs", call.spec.logprobs >= 0 ? Logprobs(choice.tokens) : OrderedJson()},
                       {"finish_reason", OpenAiFinish(choice.ended)}});
  }
  OrderedJson out = {{"id", "chatcmpl-" + header.suffix}, {"object", "chat.completion"},
                     {"created", header.created},         {"model", header.model},
                     {"choices", std::move(choices)},     {"usage", OpenAiUsage(answer.totals)}};
  if (!answer.totals.efficiency.is_null()) out["efficiency"] = answer.totals.efficiency;
  return out;
}

std::unique_ptr<AnswerStream> StreamChat(const Call& call, const AnswerHeader& header) {
  return std::make_unique<ChatStream>(call, header);
}

const Protocol& ChatCompletions() {
  static const auto* const protocol = new ChatProtocol();
  return *protocol;
}

}  // namespace qiao::serve
