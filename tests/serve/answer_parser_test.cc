// Reasoning and content, markup of which no call can be made, and when what is known comes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/serve/answer_fixture.h"

namespace qiao::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr AnswerFormat kThinks{ToolFormat::kNone, ReasoningFormat::kThink, false};
constexpr AnswerFormat kThinksAlready{ToolFormat::kNone, ReasoningFormat::kThink, true};

TEST(AnswerReasoning, IsWhatStandsBetweenTheMarkers) {
  const ParsedAnswer answer = ParseAnswer(kThinks, "<think>\nWell, 你好.\n</think>\n\nHello 桥\n");
  EXPECT_EQ(answer.reasoning, "Well, 你好.");
  EXPECT_EQ(answer.content, "Hello 桥\n");
  EXPECT_EQ(answer.order, "rc");
}

TEST(AnswerReasoning, MayHaveBeenOpenedByThePrompt) {
  EXPECT_EQ(ParseAnswer(kThinksAlready, "\na < b\n\n</think>\n\nyes").reasoning, "a < b");
  EXPECT_EQ(ParseAnswer(kThinksAlready, "\na\n</think>\n\nyes").content, "yes");
  // Some models write the marker again.
  EXPECT_EQ(ParseAnswer(kThinksAlready, "<think>\na</think>yes").reasoning, "a");
  EXPECT_EQ(ParseAnswer(kThinksAlready, "never ends </thin").reasoning, "never ends </thin");
}

TEST(AnswerReasoning, MayBeEmptyOrMissing) {
  EXPECT_EQ(ParseAnswer(kThinks, "<think>\n\n</think>\n\nyes").order, "c");
  EXPECT_EQ(ParseAnswer(kThinks, "  yes <think>no</think>").content, "  yes <think>no</think>");
  EXPECT_EQ(ParseAnswer(kThinks, " \n").content, " \n");
  EXPECT_EQ(ParseAnswer(kThinks, "<thin").content, "<thin");
  EXPECT_EQ(ParseAnswer(kThinks, "<think>a</think> \n").order, "r");
  EXPECT_EQ(ParseAnswer(AnswerFormat{}, "<think>a</think>").content, "<think>a</think>");
  EXPECT_EQ(ParseAnswer(kThinks, "").order, "");
}

// Markup that makes no call is content as it stands.
TEST(AnswerMalformed, BecomesContent) {
  const struct {
    ToolFormat format;
    std::string_view text;
  } cases[] = {
      {ToolFormat::kHermes, "<tool_call>"},
      {ToolFormat::kHermes, "a\n <tool_call>\nnow()\n</tool_call> b"},
      {ToolFormat::kHermes, "<tool_call>[{\"name\":\"now\"}]</tool_call>"},
      {ToolFormat::kHermes, "<tool_call>{\"name\":3,\"arguments\":{}}</tool_call>"},
      {ToolFormat::kHermes, "<tool_call>{\"name\":\"a b\",\"arguments\":{}}</tool_call>"},
      {ToolFormat::kHermes, "<tool_call>{\"arguments\":{}}</tool_call>"},
      {ToolFormat::kHermes, "<tool_call>{\"name\":\"now\", \"argum"},
      {ToolFormat::kHermes, "<tool_call>{\"name\":\"now\",\"arguments\":</tool_call>"},
      {ToolFormat::kHermes, "x </tool_call> y"},
      {ToolFormat::kHermes, "<tool_cal"},
      {ToolFormat::kDeepSeekV3, "<｜tool▁calls▁begin｜><｜tool▁calls▁end｜>"},
      {ToolFormat::kDeepSeekV3, "<｜tool▁calls▁begin｜> text"},
      {ToolFormat::kDeepSeekV3, "<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_wea"},
      {ToolFormat::kDeepSeekV3,
       "<｜tool▁call▁begin｜>function<｜tool▁sep｜>\n```json\n{}\n```<｜tool▁call▁end｜>"},
      {ToolFormat::kDeepSeekV31, "<｜tool▁call▁begin｜>a b<｜tool▁sep｜>{}"},
      {ToolFormat::kDeepSeekV31, "<｜tool▁sep｜>now<｜tool▁call▁begin｜>"},
      {ToolFormat::kDeepSeekV32, "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"no"},
      {ToolFormat::kDeepSeekV32, "<｜DSML｜function_calls>\n<｜DSML｜parameter name=\"a\">"},
      {ToolFormat::kQwenXml, "<tool_call>\n<function=a b>\n</function>"},
      {ToolFormat::kQwenXml, "for <function=f> see"},
      {ToolFormat::kKimi, "<|tool_call_begin|>函数<|tool_call_argument_begin|>{}"},
      {ToolFormat::kKimi, "<|tool_call_begin|><|tool_call_argument_begin|>{}<|tool_call_end|>"},
      {ToolFormat::kKimi, "a  \n"},
  };
  for (const auto& item : cases) {
    const ParsedAnswer answer = ParseAnswer(item.format, item.text);
    EXPECT_EQ(answer.content, item.text);
    EXPECT_THAT(answer.calls, IsEmpty()) << item.text;
  }
}

TEST(AnswerMalformed, IsTriedAgainAfterItsFirstMarker) {
  const ParsedAnswer answer = ParseAnswer(
      ToolFormat::kHermes, "<tool_call>\n<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>");
  EXPECT_EQ(answer.content, "<tool_call>");
  EXPECT_THAT(Calls(answer), ElementsAre("now({})"));
}

TEST(AnswerMalformed, LongHeadersAreContent) {
  const std::string name(600, 'a');
  for (const ToolFormat format : {ToolFormat::kKimi, ToolFormat::kDeepSeekV31, ToolFormat::kQwenXml}) {
    const std::string text = "<|tool_call_begin|><｜tool▁call▁begin｜><function=" + name;
    EXPECT_EQ(ParseAnswer(format, text).content, text);
  }
  const std::string before = "<tool_call>{\"arguments\":{\"a\":\"" + std::string(20'000, 'b') + "\"}";
  EXPECT_EQ(ParseAnswer(ToolFormat::kHermes, before).content, before);
}

TEST(AnswerMalformed, ArgumentsStayAsTheyStand) {
  const auto calls = [](ToolFormat format, std::string_view text) {
    return Calls(ParseAnswer(format, text));
  };
  EXPECT_THAT(calls(ToolFormat::kHermes, "<tool_call>{\"name\":\"now\",\"arguments\":{\"a\": \"b"),
              ElementsAre("now({\"a\": \"b)"));
  EXPECT_THAT(calls(ToolFormat::kHermes, "<tool_call>{\"name\":\"now\",\"arguments\":\"{\\\"a"),
              ElementsAre("now(\"{\\\"a)"));
  EXPECT_THAT(calls(ToolFormat::kKimi, "<|tool_call_begin|>functions.now:0<|tool_call_argument_begin|>{a=1"),
              ElementsAre("now({a=1)"));
  // The beginning of an end marker is none of the arguments.
  EXPECT_THAT(calls(ToolFormat::kDeepSeekV3,
                    "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{\"a\":1}\n```"),
              ElementsAre("now({\"a\":1})"));
  // Not closed: the client must see that it is not whole.
  EXPECT_THAT(calls(ToolFormat::kDeepSeekV32,
                    "<｜DSML｜invoke name=\"now\"><｜DSML｜parameter name=\"a\" string=\"true\">half"),
              ElementsAre("now({\"a\": \"half)"));
  EXPECT_THAT(calls(ToolFormat::kQwenXml, "<tool_call><function=now><parameter=a>1</parameter>"),
              ElementsAre("now({\"a\": \"1\")"));
}

TEST(AnswerMalformed, TextBetweenElementsEndsTheCall) {
  const ParsedAnswer answer =
      ParseAnswer(ToolFormat::kQwenXml, "<tool_call><function=now><parameter=a>1</parameter> so <b>");
  EXPECT_THAT(Calls(answer), ElementsAre("now({\"a\": \"1\"})"));
  EXPECT_EQ(answer.content, "so <b>");
}

// Nothing but what may become a marker is held back.
TEST(AnswerStream, ComesAtOnce) {
  AnswerParser parser({ToolFormat::kHermes, ReasoningFormat::kNone, false}, TestTools(), 1);
  const auto text = [](const std::vector<AnswerPiece>& pieces) {
    std::string joined;
    for (const AnswerPiece& piece : pieces) joined += piece.text;
    return joined;
  };
  EXPECT_EQ(text(parser.Push("Hello")), "Hello");
  EXPECT_EQ(text(parser.Push(" ")), "");
  EXPECT_EQ(text(parser.Push("a < b <t")), " a < b");
  EXPECT_EQ(text(parser.Push("r>")), " <tr>");
  EXPECT_EQ(text(parser.Push("<tool_call>{\"name\":\"now\",")), "");
  const auto begin = parser.Push("\"arguments\":");
  EXPECT_TRUE(begin.empty());
  const auto first = parser.Push("{\"a\":");
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].kind, AnswerPiece::Kind::kToolBegin);
  EXPECT_EQ(first[1].text, "{\"a\":");
  EXPECT_EQ(text(parser.Push("12")), "12");
  const auto last = parser.Push("}}");
  ASSERT_EQ(last.size(), 2u);
  EXPECT_EQ(last[0].text, "}");
  EXPECT_EQ(last[1].kind, AnswerPiece::Kind::kToolEnd);
  EXPECT_TRUE(parser.Push("\n</tool_call>").empty());
  EXPECT_TRUE(parser.Finish().empty());
}

// Pieces of markup in random order: all cuts agree (in ParseAnswer), and no text of a word is lost.
TEST(AnswerStream, DoesNotDependOnCuts) {
  const std::vector<std::string_view> parts = {"<think>",
                                               "</think>",
                                               "<tool_call>",
                                               "</tool_call>",
                                               "{\"name\":\"now\",",
                                               "\"arguments\":",
                                               "{\"a\":1}",
                                               "}",
                                               "<｜tool▁calls▁begin｜>",
                                               "<｜tool▁call▁begin｜>",
                                               "function",
                                               "<｜tool▁sep｜>",
                                               "now",
                                               "\n```json\n",
                                               "\n```",
                                               "<｜tool▁call▁end｜>",
                                               "<｜tool▁calls▁end｜>",
                                               "<｜DSML｜function_calls>",
                                               "<｜DSML｜invoke name=\"now\">",
                                               "<｜DSML｜parameter name=\"a\" string=\"true\">",
                                               "</｜DSML｜parameter>",
                                               "</｜DSML｜invoke>",
                                               "<function=now>",
                                               "<parameter=a>",
                                               "</parameter>",
                                               "</function>",
                                               "<|tool_calls_section_begin|>",
                                               "<|tool_call_begin|>",
                                               "functions.now:0",
                                               "<|tool_call_argument_begin|>",
                                               "<|tool_call_end|>",
                                               " ",
                                               "\n",
                                               "<",
                                               "词",
                                               "\"",
                                               "`"};
  std::mt19937_64 random(11);
  int calls = 0;
  for (int round = 0; round < 600; ++round) {
    std::string text;
    for (int i = 0; i < 24; ++i) text += parts[random() % parts.size()];
    const auto format = static_cast<ToolFormat>(random() % 8);
    const ParsedAnswer answer = ParseAnswer({format, ReasoningFormat::kThink, random() % 2 == 0}, text);
    calls += static_cast<int>(answer.calls.size());
    const auto count = [](std::string_view s) {
      int n = 0;
      for (size_t at = s.find("词"); at != s.npos; at = s.find("词", at + 1)) ++n;
      return n;
    };
    int kept = count(answer.reasoning) + count(answer.content);
    for (const ParsedCall& call : answer.calls) kept += count(call.arguments);
    EXPECT_LE(kept, count(text));
    if (answer.calls.empty()) {
      EXPECT_EQ(kept, count(text)) << text;
    }
  }
  EXPECT_GT(calls, 50) << "the test should make calls";
}

}  // namespace
}  // namespace qiao::serve
