// Bodies of requests: the first byte is the protocol ('0' to '4'), the rest what a client sent. What is taken has the
// form that templates and the engine rely on, and can be answered; what is not is the client's fault and says so.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/serve/api/messages.h"
#include "runtime/serve/api/protocol.h"
#include "tests/fuzz/check.h"

namespace {

using namespace qiao;
using namespace qiao::serve;

ModelFacts Facts() {
  ModelFacts facts;
  facts.id = "demo";
  facts.vocab = 4096;
  facts.context = 2048;
  return facts;
}

void CheckMessage(const OrderedJson& message) {
  const std::string role = message.at("role").get<std::string>();
  QIAO_FUZZ_CHECK(role == "system" || role == "user" || role == "assistant" || role == "tool");
  QIAO_FUZZ_CHECK(message.at("content").is_string());
  if (!message.contains("tool_calls")) return;
  for (const OrderedJson& call : message.at("tool_calls")) {
    QIAO_FUZZ_CHECK(call.at("id").is_string());
    QIAO_FUZZ_CHECK(call.at("function").at("name").is_string());
  }
}

void CheckCall(const Call& call, const ApiLimits& limits) {
  QIAO_FUZZ_CHECK(call.spec.n >= 1 && call.spec.n <= limits.n);
  QIAO_FUZZ_CHECK(!call.has_max_tokens ||
                  (call.spec.max_tokens >= 0 && call.spec.max_tokens <= limits.max_tokens));
  QIAO_FUZZ_CHECK(static_cast<int64_t>(call.spec.stop.size()) <= limits.stop);
  QIAO_FUZZ_CHECK(static_cast<int64_t>(call.spec.constraint.text.size()) <= limits.schema_bytes);
  QIAO_FUZZ_CHECK(call.spec.logprobs >= -1 && call.spec.logprobs <= limits.logprobs);
  QIAO_FUZZ_CHECK(call.chat ? !call.messages.empty() : !call.prompts.empty());
  QIAO_FUZZ_CHECK(!call.continue_final || call.messages.back().at("role") == "assistant");
  for (const OrderedJson& message : call.messages) CheckMessage(message);
}

void CheckAnswers(const Protocol& protocol, const Call& call) {
  AnswerHeader header;
  Answer answer;
  AnswerChoice& choice = answer.choices.emplace_back();
  choice.content = "a\xFF";  // what a model wrote need not be text
  choice.calls = {{"c", "f", "{"}};
  QIAO_FUZZ_CHECK(ParseOrderedJson(DumpJson(protocol.Whole(call, header, answer)), "answer").ok());
  std::string out;
  const auto stream = protocol.Stream(call, header);
  stream->Begin(out);
  AnswerPiece piece;
  piece.kind = AnswerPiece::Kind::kContent;
  piece.text = choice.content;
  stream->Piece(0, piece, {}, out);
  stream->End(0, choice, out);
  stream->Done(answer.totals, out);
  QIAO_FUZZ_CHECK(out.size() > 2 && out.compare(out.size() - 2, 2, "\n\n") == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::array<const Protocol*, 4> protocols = {&ChatCompletions(), &Completions(), &Responses(),
                                                    &Messages()};
  const size_t which = (data[0] + 2u) % 5;  // '0' is the first
  const bool counting = which == protocols.size();
  const Protocol& protocol = counting ? Messages() : *protocols[which];
  const ApiLimits limits;
  const auto body = ParseOrderedJson(
      {reinterpret_cast<const char*>(data + 1), size - 1}, "body",
      {.max_depth = limits.json_depth, .max_values = static_cast<size_t>(limits.json_values)});
  if (!body.ok()) return 0;
  const auto call =
      counting ? ParseCountTokens(*body, Facts(), limits) : protocol.Parse(*body, Facts(), limits);
  if (!call.ok()) {
    const ApiError error = Describe(call.status());
    QIAO_FUZZ_CHECK(error.http_status == 400 && !error.message.empty());
    QIAO_FUZZ_CHECK(ParseOrderedJson(DumpJson(protocol.Error(error, "req_1")), "error").ok());
    return 0;
  }
  CheckCall(*call, limits);
  CheckAnswers(protocol, *call);
  return 0;
}
