#include "tests/serve/answer_fixture.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>

namespace qiao::serve {

std::vector<std::string> Calls(const ParsedAnswer& answer) {
  std::vector<std::string> calls;
  for (const ParsedCall& call : answer.calls) calls.push_back(call.name + "(" + call.arguments + ")");
  return calls;
}

void AnswerJoiner::Add(const std::vector<AnswerPiece>& pieces) {
  const auto mark = [&](char kind) {
    if (answer_.order.empty() || answer_.order.back() != kind) answer_.order += kind;
  };
  for (const AnswerPiece& piece : pieces) {
    switch (piece.kind) {
      case AnswerPiece::Kind::kReasoning:
      case AnswerPiece::Kind::kContent: {
        EXPECT_FALSE(open_) << "text within a call";
        EXPECT_FALSE(piece.text.empty());
        const bool reasoning = piece.kind == AnswerPiece::Kind::kReasoning;
        mark(reasoning ? 'r' : 'c');
        (reasoning ? answer_.reasoning : answer_.content) += piece.text;
        break;
      }
      case AnswerPiece::Kind::kToolBegin:
        EXPECT_FALSE(open_) << "calls overlap";
        EXPECT_EQ(piece.index, static_cast<int>(answer_.calls.size()));
        open_ = true;
        mark('t');
        answer_.calls.push_back({piece.name, piece.id, ""});
        break;
      case AnswerPiece::Kind::kToolArguments:
      case AnswerPiece::Kind::kToolEnd:
        ASSERT_TRUE(open_) << "outside of a call";
        EXPECT_EQ(piece.index, static_cast<int>(answer_.calls.size()) - 1);
        answer_.calls.back().arguments += piece.text;
        if (piece.kind == AnswerPiece::Kind::kToolEnd) open_ = false;
        break;
    }
  }
}

std::shared_ptr<const ToolList> TestTools() {
  static const auto* const shared = [] {
    constexpr std::string_view kTools = R"([
      {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {
        "city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]},
        "exact": {"type": "boolean"}, "tags": {"type": "array"}, "note": {"type": ["string", "null"]},
        "level": {"anyOf": [{"type": "number"}, {"type": "string"}]}}}}},
      {"type": "function", "function": {"name": "now"}}])";
    auto json = ParseOrderedJson(kTools, "tools");
    auto tools = ParseTools(*json, ToolDialect::kChat);
    return new std::shared_ptr<const ToolList>(std::make_shared<ToolList>(*std::move(tools)));
  }();
  return *shared;
}

ParsedAnswer ParseAnswer(const AnswerFormat& format, std::string_view text,
                         std::shared_ptr<const ToolList> tools) {
  const auto parse = [&](const auto& length) {
    AnswerParser parser(format, tools, kTestSeed);
    AnswerJoiner joiner;
    for (std::string_view rest = text; !rest.empty();) {
      const std::string_view piece = rest.substr(0, length());
      joiner.Add(parser.Push(piece));
      rest.remove_prefix(piece.size());
    }
    joiner.Add(parser.Finish());
    EXPECT_FALSE(joiner.open()) << "a call without an end";
    EXPECT_EQ(parser.called_tools(), !joiner.answer().calls.empty());
    return joiner.answer();
  };
  const ParsedAnswer whole = parse([&] { return text.size(); });
  EXPECT_EQ(whole, parse([] { return size_t{1}; })) << "byte by byte: " << text;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    EXPECT_EQ(whole, parse([&] { return 1 + random() % (seed + 2); })) << "seed " << seed << ": " << text;
  }
  return whole;
}

ParsedAnswer ParseAnswer(ToolFormat format, std::string_view text) {
  return ParseAnswer(AnswerFormat{format, ReasoningFormat::kThink, false}, text);
}

}  // namespace qiao::serve
