// Anthropic's messages: the answer, whole or as events.
#include <utility>

#include "runtime/serve/api/messages.h"
#include "runtime/serve/api/transcript.h"

namespace qiao::serve {
namespace {

// Anthropic signs thoughts, so that its servers know them again. Here nobody checks; but clients leave out thoughts
// without a signature when they send a conversation back.
constexpr char kSignature[] = "unsigned";

// Tokens that were in the cache are not counted twice; the first three are the prompt.
OrderedJson Usage(const AnswerTotals& t) {
  return {{"input_tokens", t.prompt_tokens - t.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", t.cached_tokens},
          {"output_tokens", t.completion_tokens},
          {"output_tokens_details", {{"thinking_tokens", t.reasoning_tokens}}},
          {"service_tier", "standard"}};
}

const char* StopReason(const AnswerChoice& choice) {
  switch (choice.ended) {
    case Ended::kToolCalls:
      return "tool_use";
    case Ended::kStop:
      return choice.stop.empty() ? "end_turn" : "stop_sequence";
    case Ended::kLength:
    case Ended::kCancelled:  // also cut short; there is no word for who did it
      return "max_tokens";
  }
  return "end_turn";
}

OrderedJson StopSequence(const AnswerChoice& choice) {
  if (choice.ended != Ended::kStop || choice.stop.empty()) return nullptr;
  return choice.stop;
}

OrderedJson TextBlock(std::string text) {
  return {{"type", "text"}, {"text", std::move(text)}, {"citations", nullptr}};
}

OrderedJson ThinkingBlock(std::string text, std::string signature) {
  return {{"type", "thinking"}, {"thinking", std::move(text)}, {"signature", std::move(signature)}};
}

OrderedJson ToolBlock(std::string id, std::string name, OrderedJson input) {
  return {
      {"type", "tool_use"}, {"id", std::move(id)}, {"name", std::move(name)}, {"input", std::move(input)}};
}

// An object always. What is none (an answer that was cut short) is in a member of the name that Anthropic's manual
// gives it.
OrderedJson Input(const std::string& arguments) {
  OrderedJson object = ArgumentsObject(arguments);
  if (object.is_null()) return {{"INVALID_JSON", arguments}};
  return object;
}

OrderedJson Envelope(const AnswerHeader& header, OrderedJson content, OrderedJson stop_reason,
                     OrderedJson stop_sequence, OrderedJson usage) {
  return {{"id", "msg_" + header.suffix},
          {"type", "message"},
          {"role", "assistant"},
          {"model", header.model},
          {"content", std::move(content)},
          {"stop_reason", std::move(stop_reason)},
          {"stop_sequence", std::move(stop_sequence)},
          {"usage", std::move(usage)}};
}

class MessageStream : public AnswerStream {
 public:
  explicit MessageStream(const AnswerHeader& header) : header_(header) {}

  void Begin(std::string& out) override {
    AnswerTotals totals;
    totals.prompt_tokens = header_.prompt_tokens;  // how many of them are cached is known at the end
    Event("message_start",
          {{"message", Envelope(header_, OrderedJson::array(), nullptr, nullptr, Usage(totals))}}, out);
    Ping(out);
  }

  void Piece(int64_t, const AnswerPiece& piece, absl::Span<const ScoredToken>, std::string& out) override {
    switch (piece.kind) {
      case AnswerPiece::Kind::kReasoning:
        if (piece.text.empty()) return;
        if (open_ != Open::kThinking) Start(Open::kThinking, ThinkingBlock("", ""), out);
        Delta({{"type", "thinking_delta"}, {"thinking", piece.text}}, out);
        break;
      case AnswerPiece::Kind::kContent:
        if (piece.text.empty()) return;
        if (open_ != Open::kText) Start(Open::kText, TextBlock(""), out);
        Delta({{"type", "text_delta"}, {"text", piece.text}}, out);
        break;
      case AnswerPiece::Kind::kToolBegin:
        Start(Open::kTool, ToolBlock(piece.id, piece.name, OrderedJson::object()), out);
        break;
      case AnswerPiece::Kind::kToolArguments:
        if (open_ == Open::kTool) Delta({{"type", "input_json_delta"}, {"partial_json", piece.text}}, out);
        break;
      case AnswerPiece::Kind::kToolEnd:
        if (open_ == Open::kTool) Stop(out);
        break;
    }
  }

  void End(int64_t, const AnswerChoice& whole, std::string& out) override {
    if (index_ == 0 && open_ == Open::kNothing) Start(Open::kText, TextBlock(""), out);
    Stop(out);
    delta_ = {{"stop_reason", StopReason(whole)}, {"stop_sequence", StopSequence(whole)}};
  }

  void Done(const AnswerTotals& totals, std::string& out) override {
    OrderedJson usage = Usage(totals);
    usage.erase("service_tier");
    Event("message_delta", {{"delta", std::move(delta_)}, {"usage", std::move(usage)}}, out);
    Event("message_stop", OrderedJson::object(), out);
  }

  void Failed(const absl::Status& status, std::string& out) override {
    AppendEvent("error", AnthropicError(Describe(status), header_.request_id), out);
  }

  void Ping(std::string& out) override { Event("ping", OrderedJson::object(), out); }

 private:
  enum class Open { kNothing, kThinking, kText, kTool };

  static void Event(const char* type, const OrderedJson& members, std::string& out) {
    OrderedJson event = {{"type", type}};
    event.update(members);
    AppendEvent(type, event, out);
  }

  void Start(Open kind, OrderedJson block, std::string& out) {
    Stop(out);
    Event("content_block_start", {{"index", index_}, {"content_block", std::move(block)}}, out);
    open_ = kind;
  }

  void Delta(OrderedJson delta, std::string& out) const {
    Event("content_block_delta", {{"index", index_}, {"delta", std::move(delta)}}, out);
  }

  void Stop(std::string& out) {
    if (open_ == Open::kNothing) return;
    if (open_ == Open::kThinking) Delta({{"type", "signature_delta"}, {"signature", kSignature}}, out);
    Event("content_block_stop", {{"index", index_}}, out);
    open_ = Open::kNothing;
    ++index_;
  }

  const AnswerHeader& header_;
  int64_t index_ = 0;  // of the open block, or the next
  Open open_ = Open::kNothing;
  OrderedJson delta_ = OrderedJson::object();
};

class MessagesProtocol : public Protocol {
 public:
  absl::StatusOr<Call> Parse(const OrderedJson& body, const ModelFacts& model,
                             const ApiLimits& limits) const override {
    return ParseMessages(body, model, limits);
  }
  OrderedJson Whole(const Call&, const AnswerHeader& header, const Answer& answer) const override {
    return WholeMessage(header, answer);
  }
  std::unique_ptr<AnswerStream> Stream(const Call&, const AnswerHeader& header) const override {
    return StreamMessage(header);
  }
  OrderedJson Error(const ApiError& error, std::string_view request_id) const override {
    return AnthropicError(error, request_id);
  }
};

}  // namespace

OrderedJson CountedTokens(int64_t prompt_tokens) { return {{"input_tokens", prompt_tokens}}; }

OrderedJson WholeMessage(const AnswerHeader& header, const Answer& answer) {
  const AnswerChoice none;
  const AnswerChoice& choice = answer.choices.empty() ? none : answer.choices.front();
  OrderedJson content = OrderedJson::array();
  if (!choice.reasoning.empty()) content.push_back(ThinkingBlock(choice.reasoning, kSignature));
  if (!choice.content.empty()) content.push_back(TextBlock(choice.content));
  for (const ToolCall& call : choice.calls) {
    content.push_back(ToolBlock(call.id, call.name, Input(call.arguments)));
  }
  // Clients take the first block without looking.
  if (content.empty()) content.push_back(TextBlock(""));
  return Envelope(header, std::move(content), StopReason(choice), StopSequence(choice), Usage(answer.totals));
}

std::unique_ptr<AnswerStream> StreamMessage(const AnswerHeader& header) {
  return std::make_unique<MessageStream>(header);
}

const Protocol& Messages() {
  static const auto* const protocol = new MessagesProtocol();
  return *protocol;
}

}  // namespace qiao::serve
