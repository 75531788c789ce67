// What tests of protocols have in common: bodies as text, and answers told piece by piece.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/serve/api/protocol.h"

namespace qiao::serve {

inline OrderedJson J(std::string_view text) {
  auto json = ParseOrderedJson(text, "test");
  EXPECT_TRUE(json.ok()) << json.status() << "\n" << text;
  return json.ok() ? *std::move(json) : OrderedJson();
}

inline ModelFacts Facts() {
  ModelFacts facts;
  facts.id = "demo";
  facts.vocab = 4096;
  facts.context = 2048;
  facts.sampling.temperature = 0.6;
  facts.sampling.top_p = 0.95;
  return facts;
}

inline AnswerHeader Header() {
  AnswerHeader header;
  header.request_id = "req_1";
  header.suffix = "abc";
  header.model = "demo";
  header.created = 1'700'000'000;
  header.prompt_tokens = 12;
  return header;
}

inline AnswerTotals Totals() {
  AnswerTotals totals;
  totals.prompt_tokens = 12;
  totals.cached_tokens = 8;
  totals.completion_tokens = 7;
  totals.reasoning_tokens = 3;
  return totals;
}

// Compares as JSON, whatever the order of members.
inline void ExpectJson(const OrderedJson& got, std::string_view want) {
  EXPECT_EQ(Json::parse(got.dump()), Json::parse(want)) << got.dump(1);
}

// Fails the test and gives an empty call where the body is refused.
inline Call ParseGood(const Protocol& protocol, std::string_view body) {
  auto call = protocol.Parse(J(body), Facts(), {});
  EXPECT_TRUE(call.ok()) << call.status() << "\n" << body;
  return call.ok() ? *std::move(call) : Call();
}

// {param, message} of the error.
inline std::pair<std::string, std::string> ParseBad(const Protocol& protocol, std::string_view body) {
  const auto call = protocol.Parse(J(body), Facts(), {});
  if (call.ok()) return {"", "no error"};
  const ApiError error = Describe(call.status());
  EXPECT_EQ(error.http_status, 400) << body;
  return {error.param, error.message};
}

// Each is a body and the path of the member for which it must be refused; the message names it.
inline void ExpectRefused(const Protocol& protocol,
                          const std::vector<std::pair<std::string, std::string>>& cases) {
  for (const auto& [body, param] : cases) {
    const auto [got, message] = ParseBad(protocol, body);
    EXPECT_EQ(got, param) << body << "\n" << message;
    EXPECT_THAT(message, testing::HasSubstr(param)) << body;
  }
}

using Kind = AnswerPiece::Kind;

inline AnswerPiece Reasoning(std::string text) {
  AnswerPiece piece;
  piece.kind = Kind::kReasoning;
  piece.text = std::move(text);
  return piece;
}
inline AnswerPiece Content(std::string text) {
  AnswerPiece piece;
  piece.kind = Kind::kContent;
  piece.text = std::move(text);
  return piece;
}
// Begin, two pieces of arguments, end.
inline std::vector<AnswerPiece> CallPieces(int index, std::string id, std::string name, std::string one,
                                           std::string two) {
  std::vector<AnswerPiece> pieces(4);
  pieces[0].kind = Kind::kToolBegin;
  pieces[0].id = std::move(id);
  pieces[0].name = std::move(name);
  pieces[1].kind = pieces[2].kind = Kind::kToolArguments;
  pieces[1].text = std::move(one);
  pieces[2].text = std::move(two);
  pieces[3].kind = Kind::kToolEnd;
  for (AnswerPiece& piece : pieces) piece.index = index;
  return pieces;
}

// A stream of these pieces; `choice` says how it ended. `call` and `header` must outlive the call.
inline std::string Told(const Protocol& protocol, const Call& call, const AnswerHeader& header,
                        const std::vector<AnswerPiece>& pieces, const AnswerChoice& choice) {
  std::string out;
  const auto stream = protocol.Stream(call, header);
  stream->Begin(out);
  for (const AnswerPiece& piece : pieces) stream->Piece(0, piece, {}, out);
  stream->End(0, choice, out);
  stream->Done(Totals(), out);
  return out;
}

// The data of each event. Its "type" must be the event's name.
inline std::vector<OrderedJson> Events(std::string_view sse) {
  std::vector<OrderedJson> events;
  while (!sse.empty()) {
    const size_t end = sse.find("\n\n");
    EXPECT_NE(end, std::string_view::npos) << sse;
    if (end == std::string_view::npos) break;
    const std::string_view event = sse.substr(0, end);
    sse.remove_prefix(end + 2);
    const size_t line = event.find("\ndata: ");
    EXPECT_TRUE(event.substr(0, 7) == "event: " && line != std::string_view::npos) << event;
    if (line == std::string_view::npos) break;
    events.push_back(J(event.substr(line + 7)));
    EXPECT_EQ(events.back()["type"], OrderedJson(std::string(event.substr(7, line - 7))));
  }
  return events;
}

inline std::vector<std::string> Types(const std::vector<OrderedJson>& events) {
  std::vector<std::string> types;
  for (const OrderedJson& event : events) types.push_back(event.value("type", ""));
  return types;
}

}  // namespace qiao::serve
