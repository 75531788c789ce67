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

// "name(arguments)" of each.
std::vector<std::string> Calls(const ParsedAnswer& answer) {
  std::vector<std::string> calls;
  for (const ParsedCall& call : answer.calls) calls.push_back(call.name + "(" + call.arguments + ")");
  return calls;
}

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

TEST(AnswerCalls, DeepSeekV3) {
  const ParsedAnswer answer =
      ParseAnswer(ToolFormat::kDeepSeekV3,
                  "<think>\nhm\n</think>\n\nLet me "
                  "look.\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n"
                  "```json\n{\"city\": \"杭州\", \"note\": \"```\"}\n```<｜tool▁call▁end｜>\n"
                  "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{}\n```<｜tool▁call▁end｜><"
                  "｜tool▁calls▁end｜>");
  EXPECT_EQ(answer.reasoning, "hm");
  EXPECT_EQ(answer.content, "Let me look.");
  EXPECT_THAT(Calls(answer), ElementsAre("get_weather({\"city\": \"杭州\", \"note\": \"```\"})", "now({})"));
  EXPECT_EQ(answer.calls[0].id, MakeCallId(kTestSeed, 0));
  EXPECT_EQ(answer.calls[1].id, MakeCallId(kTestSeed, 1));
  EXPECT_EQ(answer.order, "rct");
}

TEST(AnswerCalls, DeepSeekV3WithoutFences) {
  EXPECT_THAT(
      Calls(ParseAnswer(ToolFormat::kDeepSeekV3,
                        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now{\"a\":1}<｜tool▁call▁end｜>")),
      ElementsAre("now({\"a\":1})"));
  EXPECT_THAT(
      Calls(ParseAnswer(
          ToolFormat::kDeepSeekV3,
          "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```\n{\"a\":1}\n```\n<｜tool▁call▁end｜>")),
      ElementsAre("now({\"a\":1})"));
  EXPECT_THAT(Calls(ParseAnswer(ToolFormat::kDeepSeekV3,
                                "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n<｜tool▁call▁end｜>")),
              ElementsAre("now({})"));
}

TEST(AnswerCalls, DeepSeekV31) {
  const ParsedAnswer answer =
      ParseAnswer(ToolFormat::kDeepSeekV31,
                  "I look.\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": "
                  "\"a\"}<｜tool▁call▁end｜>"
                  "<｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>");
  EXPECT_EQ(answer.content, "I look.");
  EXPECT_THAT(Calls(answer), ElementsAre("get_weather({\"city\": \"a\"})", "now({})"));
}

TEST(AnswerCalls, DeepSeekV31InTheFormOfV3) {
  EXPECT_THAT(Calls(ParseAnswer(
                  ToolFormat::kDeepSeekV31,
                  "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{\"a\":1}\n"
                  "```<｜tool▁call▁end｜><｜tool▁calls▁end｜>")),
              ElementsAre("now({\"a\":1})"));
}

TEST(AnswerCalls, DeepSeekEndsMayBeMissing) {
  EXPECT_THAT(
      Calls(ParseAnswer(
          ToolFormat::kDeepSeekV31,
          "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{\"a\":1}\n<｜tool▁call▁begin｜>now"
          "<｜tool▁sep｜>{\"a\":2}<｜tool▁calls▁end｜>")),
      ElementsAre("now({\"a\":1})", "now({\"a\":2})"));
}

TEST(AnswerCalls, Dsml) {
  const ParsedAnswer answer = ParseAnswer(
      ToolFormat::kDeepSeekV32,
      "I look.\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_weather\">\n"
      "<｜DSML｜parameter name=\"city\" string=\"true\">a \"b\"\n\\c</｜DSML｜parameter>\n"
      "<｜DSML｜parameter name=\"days\" string=\"false\">3</｜DSML｜parameter>\n"
      "<｜DSML｜parameter name=\"tags\" string=\"false\">[\"x\", {\"y\": null}]</｜DSML｜parameter>\n"
      "<｜DSML｜parameter name=\"level\" string=\"false\">not JSON</｜DSML｜parameter>\n"
      "</｜DSML｜invoke>\n<｜DSML｜invoke name=\"now\">\n</｜DSML｜invoke>\n</｜DSML｜function_calls>");
  EXPECT_EQ(answer.content, "I look.");
  EXPECT_THAT(Calls(answer),
              ElementsAre("get_weather({\"city\": \"a \\\"b\\\"\\n\\\\c\", \"days\": 3, \"tags\": "
                          "[\"x\", {\"y\": null}], \"level\": \"not JSON\"})",
                          "now({})"));
}

TEST(AnswerCalls, DsmlOfV4AndWithAnObjectInside) {
  EXPECT_THAT(Calls(ParseAnswer(
                  ToolFormat::kDeepSeekV4,
                  "<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"now\">\n{\"a\": \"</｜DSML｜invoke>\"}\n"
                  "</｜DSML｜invoke>\n</｜DSML｜tool_calls>")),
              ElementsAre("now({\"a\": \"</｜DSML｜invoke>\"})"));
}

TEST(AnswerCalls, DsmlInvokeWithoutItsEnd) {
  const ParsedAnswer answer =
      ParseAnswer(ToolFormat::kDeepSeekV32,
                  "<｜DSML｜function_calls><｜DSML｜invoke name=\"get_weather\"><｜DSML｜parameter "
                  "name=\"city\" string=\"true\">a"
                  "</｜DSML｜parameter></｜DSML｜function_calls>\nDone.");
  EXPECT_THAT(Calls(answer), ElementsAre("get_weather({\"city\": \"a\"})"));
  EXPECT_EQ(answer.content, "Done.");
}

TEST(AnswerCalls, Hermes) {
  const ParsedAnswer answer = ParseAnswer(
      ToolFormat::kHermes,
      "<think>\n<tool_call> is a marker\n</think>\n\nI look.\n<tool_call>\n"
      "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"</tool_call>}\\\"\",  "
      "\"days\":3}}\n</tool_call>\n"
      "<tool_call>\n{\"arguments\": {}, \"name\": \"now\", \"id\": [1, {\"a\": \"}\"}]}\n</tool_call>");
  EXPECT_EQ(answer.reasoning, "<tool_call> is a marker");
  EXPECT_EQ(answer.content, "I look.");
  // Exactly as written.
  EXPECT_THAT(Calls(answer),
              ElementsAre("get_weather({\"city\": \"</tool_call>}\\\"\",  \"days\":3})", "now({})"));
  EXPECT_EQ(answer.order, "rct");
}

TEST(AnswerCalls, HermesArgumentsInOtherForms) {
  const auto arguments = [](std::string_view written) {
    return Calls(ParseAnswer(ToolFormat::kHermes,
                             "<tool_call>{\"name\":\"now\"" + std::string(written) + "}</tool_call>"));
  };
  EXPECT_THAT(arguments(""), ElementsAre("now({})"));
  EXPECT_THAT(arguments(", \"arguments\": null"), ElementsAre("now({})"));
  EXPECT_THAT(arguments(", \"parameters\": {\"a\":1}"), ElementsAre("now({\"a\":1})"));
  EXPECT_THAT(arguments(", \"arguments\": \"{\\\"a\\\":\\\"\\u4e2d\\\"}\""),
              ElementsAre("now({\"a\":\"中\"})"));
  EXPECT_THAT(arguments(", \"arguments\": 12 "), ElementsAre("now(12)"));
  EXPECT_THAT(arguments(", \"arguments\": {\"a\":1}}"), ElementsAre("now({\"a\":1})"));
}

TEST(AnswerCalls, HermesWithoutItsEnd) {
  const ParsedAnswer answer = ParseAnswer(ToolFormat::kHermes,
                                          "<tool_call>{\"name\":\"now\",\"arguments\":{}}\n<tool_call>{"
                                          "\"name\":\"now\",\"arguments\":{\"a\":1}}\n\nDone.");
  EXPECT_THAT(Calls(answer), ElementsAre("now({})", "now({\"a\":1})"));
  EXPECT_EQ(answer.content, "Done.");
}

TEST(AnswerCalls, QwenXml) {
  const ParsedAnswer answer =
      ParseAnswer(ToolFormat::kQwenXml,
                  "I "
                  "look.\n\n<tool_call>\n<function=get_weather>\n<parameter=city>\n7\nb\n</"
                  "parameter>\n<parameter=days>\n 7 \n</parameter>\n"
                  "<parameter=exact>True</parameter>\n<parameter=note>\nNone\n</"
                  "parameter>\n<parameter=level>\n1.5\n</parameter>\n"
                  "<parameter=unit>\nC\n</parameter>\n<parameter=tags>\n[1]\n</"
                  "parameter>\n<parameter=other>\n5\n</parameter>\n"
                  "</function>\n</tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call>");
  EXPECT_EQ(answer.content, "I look.");
  EXPECT_THAT(
      Calls(answer),
      ElementsAre(
          "get_weather({\"city\": \"7\\nb\", \"days\": 7, \"exact\": true, \"note\": null, \"level\": 1.5, "
          "\"unit\": \"C\", \"tags\": [1], \"other\": \"5\"})",
          "now({})"));
}

TEST(AnswerCalls, QwenXmlInOtherForms) {
  const auto calls = [](std::string_view text) { return Calls(ParseAnswer(ToolFormat::kQwenXml, text)); };
  EXPECT_THAT(calls("<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a\": 1}}\n</tool_call>"),
              ElementsAre("now({\"a\": 1})"));
  // Qwen3-Coder leaves the outer element out at times; only a declared name is believed then.
  EXPECT_THAT(calls("<function=now>\n<parameter=a>\nb\n</parameter>\n</function>\n</tool_call>"),
              ElementsAre("now({\"a\": \"b\"})"));
  EXPECT_THAT(calls("<function=later>\n</function>"), IsEmpty());
  EXPECT_THAT(
      calls("<tool_call><function=get_weather><parameter=days>many</parameter><parameter=city></parameter>"
            "</function></tool_call>"),
      ElementsAre("get_weather({\"days\": \"many\", \"city\": \"\"})"));
}

TEST(AnswerCalls, Kimi) {
  const ParsedAnswer answer = ParseAnswer(
      ToolFormat::kKimi,
      "I look. "
      "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:4<|tool_call_argument_begin|>"
      "{\"city\": \"a\"}<|tool_call_end|><|tool_call_begin|>functions.now:4 <|tool_call_argument_begin|> {}"
      "<|tool_call_end|>\n<|tool_call_begin|>functions.now:4<|tool_call_argument_begin|><|tool_call_end|>"
      "<|tool_calls_section_end|><|tool_calls_section_end|>");
  EXPECT_EQ(answer.content, "I look.");
  ASSERT_THAT(Calls(answer), ElementsAre("get_weather({\"city\": \"a\"})", "now({})", "now({})"));
  EXPECT_EQ(answer.calls[0].id, "functions.get_weather:4");
  EXPECT_EQ(answer.calls[1].id, "functions.now:4");
  EXPECT_EQ(answer.calls[2].id, MakeCallId(kTestSeed, 2)) << "no id twice";
}

TEST(AnswerCalls, KimiNamesWithoutNumbers) {
  const ParsedAnswer answer =
      ParseAnswer(ToolFormat::kKimi, "<|tool_call_begin|>now<|tool_call_argument_begin|>{}<|tool_call_end|>");
  ASSERT_THAT(Calls(answer), ElementsAre("now({})"));
  EXPECT_EQ(answer.calls[0].id, MakeCallId(kTestSeed, 0));
}

TEST(AnswerCalls, EndReasoningWhereTheirMarkersAreTokens) {
  const AnswerFormat kimi{ToolFormat::kKimi, ReasoningFormat::kThink, true};
  const ParsedAnswer answer = ParseAnswer(kimi,
                                          "hm "
                                          "<|tool_calls_section_begin|>\n<|tool_call_begin|>functions.now:0<|"
                                          "tool_call_argument_begin|>{}<|tool_call_end|>");
  EXPECT_EQ(answer.reasoning, "hm");
  EXPECT_THAT(Calls(answer), ElementsAre("now({})"));
  // Markup of which there is no call stays reasoning.
  EXPECT_EQ(ParseAnswer(kimi, "hm <|tool_calls_section_begin|> no</think>yes").reasoning,
            "hm <|tool_calls_section_begin|> no");
}

TEST(AnswerCalls, TextAfterThemIsContent) {
  const ParsedAnswer answer = ParseAnswer(
      ToolFormat::kHermes,
      "a\n<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>\n\n b\n\n<tool_call>{\"name\":"
      "\"now\",\"arguments\":{}}</tool_call> \n");
  EXPECT_EQ(answer.order, "ctct");
  EXPECT_EQ(answer.content, "ab");
}

TEST(AnswerCalls, OfUndeclaredNamesAreCallsToo) {
  EXPECT_THAT(
      Calls(ParseAnswer(ToolFormat::kHermes, "<tool_call>{\"name\":\"later\",\"arguments\":{}}</tool_call>")),
      ElementsAre("later({})"));
}

TEST(AnswerCalls, NeedDeclaredTools) {
  const std::string text = "a <tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>";
  const AnswerFormat hermes{ToolFormat::kHermes, ReasoningFormat::kNone, false};
  EXPECT_EQ(ParseAnswer(hermes, text, nullptr).content, text);
  EXPECT_EQ(ParseAnswer(hermes, text, std::make_shared<ToolList>()).content, text);
  EXPECT_EQ(ParseAnswer(ToolFormat::kNone, text).content, text);
}

TEST(AnswerCalls, HaveALimit) {
  const std::string call = "<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>\n";
  std::string text;
  for (int i = 0; i < AnswerParser::kMaxCalls + 1; ++i) text += call;
  const ParsedAnswer answer = ParseAnswer(ToolFormat::kHermes, text);
  EXPECT_EQ(answer.calls.size(), 128u);
  EXPECT_EQ(answer.content, "<tool_call>{\"name\":\"now\",\"arguments\":{}}\n");
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
