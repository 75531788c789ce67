// OpenAI's responses: the answer as events, numbered from 0.
#include <utility>

#include "runtime/serve/api/openai_answer.h"
#include "runtime/serve/api/responses.h"

namespace qiao::serve {
namespace {

class ResponseStream : public AnswerStream {
 public:
  ResponseStream(const Call& call, const AnswerHeader& header) : call_(call), header_(header) {}

  void Begin(std::string& out) override {
    for (const char* type : {"response.created", "response.in_progress"}) {
      Event(type, {{"response", Response("in_progress", nullptr)}}, out);
    }
  }

  void Piece(int64_t, const AnswerPiece& piece, absl::Span<const ScoredToken> tokens,
             std::string& out) override {
    switch (piece.kind) {
      case AnswerPiece::Kind::kReasoning:
        if (piece.text.empty()) return;
        if (open_ != Open::kReasoning) StartReasoning(out);
        text_ += piece.text;
        Inner("response.reasoning_text.delta", {{"content_index", 0}, {"delta", piece.text}}, out);
        break;
      case AnswerPiece::Kind::kContent: {
        if (piece.text.empty() && tokens.empty()) return;
        if (open_ != Open::kMessage) StartMessage(out);
        text_ += piece.text;
        OrderedJson logprobs = OpenAiLogprobs(tokens);
        logprobs_.insert(logprobs_.end(), logprobs.begin(), logprobs.end());
        Inner("response.output_text.delta",
              {{"content_index", 0}, {"delta", piece.text}, {"logprobs", std::move(logprobs)}}, out);
        break;
      }
      case AnswerPiece::Kind::kToolBegin:
        StartCall(piece, out);
        break;
      case AnswerPiece::Kind::kToolArguments:
        if (open_ != Open::kCall || piece.text.empty()) return;
        tool_.arguments += piece.text;
        Inner("response.function_call_arguments.delta", {{"delta", piece.text}}, out);
        break;
      case AnswerPiece::Kind::kToolEnd:
        if (open_ == Open::kCall) Close("completed", out);
        break;
    }
  }

  void End(int64_t, const AnswerChoice& whole, std::string& out) override {
    if (output_.empty() && open_ == Open::kNothing) StartMessage(out);
    ended_ = whole.ended;
    Close(ResponseStatus(ended_) == "completed" ? "completed" : "incomplete", out);
  }

  void Done(const AnswerTotals& totals, std::string& out) override {
    const std::string_view status = ResponseStatus(ended_);
    OrderedJson response = Response(status, ResponseUsage(totals));
    SetIncomplete(ended_, response);
    // There is no event of its own for what was cancelled.
    Event(status == "completed" ? "response.completed" : "response.incomplete",
          {{"response", std::move(response)}}, out);
  }

  // Two events: one has the response as far as it came, the other makes the clients raise an error.
  void Failed(const absl::Status& status, std::string& out) override {
    const ApiError error = Describe(status);
    const char* code = error.http_status == 429  ? "rate_limit_exceeded"
                       : error.http_status < 500 ? "invalid_prompt"
                                                 : "server_error";
    OrderedJson response = Response("failed", nullptr);
    response["error"] = {{"code", code}, {"message", error.message}};
    Event("response.failed", {{"response", std::move(response)}}, out);
    OrderedJson both = {{"code", code},
                        {"message", error.message},
                        {"param", error.param.empty() ? OrderedJson() : OrderedJson(error.param)}};
    both.update(OpenAiError(error));
    Event("error", std::move(both), out);
  }

 private:
  enum class Open { kNothing, kReasoning, kMessage, kCall };

  OrderedJson Response(std::string_view status, OrderedJson usage) const {
    return ResponseObject(call_, header_, status, output_, std::move(usage));
  }

  void Event(const char* type, const OrderedJson& members, std::string& out) {
    OrderedJson event = {{"type", type}, {"sequence_number", sequence_++}};
    event.update(members);
    AppendEvent(type, event, out);
  }

  // Of the open item.
  void Inner(const char* type, const OrderedJson& members, std::string& out) {
    OrderedJson event = {{"item_id", id_}, {"output_index", output_.size()}};
    event.update(members);
    Event(type, event, out);
  }

  void Start(Open kind, const char* prefix, std::string& out) {
    Close("completed", out);
    open_ = kind;
    id_ = ItemId(prefix, header_, output_.size());
    text_.clear();
    logprobs_ = OrderedJson::array();
  }

  void Added(OrderedJson item, std::string& out) {
    Event("response.output_item.added", {{"output_index", output_.size()}, {"item", std::move(item)}}, out);
  }

  void StartReasoning(std::string& out) {
    Start(Open::kReasoning, "rs", out);
    Added(ReasoningItem(id_, "in_progress", OrderedJson::array()), out);
    Inner("response.content_part.added", {{"content_index", 0}, {"part", ReasoningPart("")}}, out);
  }

  void StartMessage(std::string& out) {
    Start(Open::kMessage, "msg", out);
    Added(MessageItem(id_, "in_progress", OrderedJson::array()), out);
    Inner("response.content_part.added", {{"content_index", 0}, {"part", TextPart("", OrderedJson::array())}},
          out);
  }

  void StartCall(const AnswerPiece& piece, std::string& out) {
    Start(Open::kCall, "fc", out);
    tool_ = {piece.id, piece.name, ""};
    Added(CallItem(id_, "in_progress", tool_), out);
  }

  void Close(std::string_view status, std::string& out) {
    OrderedJson item;
    switch (open_) {
      case Open::kNothing:
        return;
      case Open::kReasoning: {
        const OrderedJson part = ReasoningPart(text_);
        Inner("response.reasoning_text.done", {{"content_index", 0}, {"text", text_}}, out);
        Inner("response.content_part.done", {{"content_index", 0}, {"part", part}}, out);
        item = ReasoningItem(id_, status, OrderedJson::array({part}));
        break;
      }
      case Open::kMessage: {
        const OrderedJson part = TextPart(text_, logprobs_);
        Inner("response.output_text.done", {{"content_index", 0}, {"text", text_}, {"logprobs", logprobs_}},
              out);
        Inner("response.content_part.done", {{"content_index", 0}, {"part", part}}, out);
        item = MessageItem(id_, status, OrderedJson::array({part}));
        break;
      }
      case Open::kCall:
        Inner("response.function_call_arguments.done", {{"name", tool_.name}, {"arguments", tool_.arguments}},
              out);
        item = CallItem(id_, status, tool_);
        break;
    }
    Event("response.output_item.done", {{"output_index", output_.size()}, {"item", item}}, out);
    output_.push_back(std::move(item));
    open_ = Open::kNothing;
  }

  const Call& call_;
  const AnswerHeader& header_;
  int64_t sequence_ = 0;
  OrderedJson output_ = OrderedJson::array();  // items that are complete
  // The open item, which is to be the next of them.
  Open open_ = Open::kNothing;
  std::string id_, text_;
  OrderedJson logprobs_ = OrderedJson::array();
  ToolCall tool_;
  Ended ended_ = Ended::kStop;
};

class ResponsesProtocol : public Protocol {
 public:
  absl::StatusOr<Call> Parse(const OrderedJson& body, const ModelFacts& model,
                             const ApiLimits& limits) const override {
    return ParseResponses(body, model, limits);
  }
  OrderedJson Whole(const Call& call, const AnswerHeader& header, const Answer& answer) const override {
    return WholeResponse(call, header, answer);
  }
  std::unique_ptr<AnswerStream> Stream(const Call& call, const AnswerHeader& header) const override {
    return StreamResponse(call, header);
  }
  OrderedJson Error(const ApiError& error, std::string_view) const override { return OpenAiError(error); }
};

}  // namespace

std::unique_ptr<AnswerStream> StreamResponse(const Call& call, const AnswerHeader& header) {
  return std::make_unique<ResponseStream>(call, header);
}

const Protocol& Responses() {
  static const auto* const protocol = new ResponsesProtocol();
  return *protocol;
}

}  // namespace qiao::serve
