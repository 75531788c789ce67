// Calls in the form of each family, and what is around them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "tests/serve/answer_fixture.h"

namespace qiao::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

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

}  // namespace
}  // namespace qiao::serve
