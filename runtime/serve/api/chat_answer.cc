// OpenAI's chat completions: the answer, whole or in chunks.
#include <utility>

#include "runtime/serve/api/chat.h"
#include "runtime/serve/api/openai_answer.h"

namespace qiao::serve {
namespace {

constexpr CompletionKind kKind{"chatcmpl-", "chat.completion", "chat.completion.chunk"};

OrderedJson Logprobs(absl::Span<const ScoredToken> tokens) {
  return {{"content", OpenAiLogprobs(tokens)}, {"refusal", nullptr}};
}

class ChatStream : public CompletionChunks {
 public:
  ChatStream(const Call& call, const AnswerHeader& header) : CompletionChunks(kKind, call, header) {}

  void Begin(std::string& out) override {
    for (int64_t i = 0; i < header().choices; ++i) Delta(i, {{"role", "assistant"}, {"content", ""}}, out);
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
    Delta(choice, std::move(delta), out, nullptr, tokens);
  }

  void End(int64_t choice, const AnswerChoice& whole, std::string& out) override {
    Delta(choice, OrderedJson::object(), out, OrderedJson(std::string(OpenAiFinish(whole.ended))));
  }

 private:
  void Delta(int64_t choice, OrderedJson delta, std::string& out, OrderedJson finish = nullptr,
             absl::Span<const ScoredToken> tokens = {}) const {
    Chunk({{"index", choice},
           {"delta", std::move(delta)},
           {"logprobs", tokens.empty() ? OrderedJson() : Logprobs(tokens)},
           {"finish_reason", std::move(finish)}},
          out);
  }
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
  return WholeCompletion(kKind, header, std::move(choices), answer.totals);
}

std::unique_ptr<AnswerStream> StreamChat(const Call& call, const AnswerHeader& header) {
  return std::make_unique<ChatStream>(call, header);
}

const Protocol& ChatCompletions() {
  static const auto* const protocol = new ChatProtocol();
  return *protocol;
}

}  // namespace qiao::serve
