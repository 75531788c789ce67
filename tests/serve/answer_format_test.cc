#include "runtime/serve/api/answer_format.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "tests/serve/answer_fixture.h"

namespace qiao::serve {
namespace {

AnswerFormat DetectFile(const std::string& name) {
  std::ifstream file(QIAO_TEST_DATA "/golden/chat_templates/" + name);
  const std::string source{std::istreambuf_iterator<char>(file), {}};
  EXPECT_FALSE(source.empty()) << name;
  return DetectAnswerFormat(source);
}

TEST(AnswerFormat, IsToldFromTheTemplate) {
  const auto think = ReasoningFormat::kThink;
  EXPECT_EQ(DetectFile("family_deepseek_v31_style.jinja"), (AnswerFormat{ToolFormat::kDeepSeekV31, think}));
  EXPECT_EQ(DetectFile("family_qwen3_style.jinja"), (AnswerFormat{ToolFormat::kHermes, think}));
  EXPECT_EQ(DetectFile("family_llama3_style.jinja"), AnswerFormat{});
  EXPECT_EQ(DetectFile("family_mistral_style.jinja"), AnswerFormat{});
  EXPECT_EQ(DetectAnswerFormat(
                "{{'<｜tool▁call▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' + name + '\\n```json\\n'}}")
                .tools,
            ToolFormat::kDeepSeekV3);
  EXPECT_EQ(DetectAnswerFormat("<|tool_calls_section_begin|><|tool_call_begin|>").tools, ToolFormat::kKimi);
  EXPECT_EQ(DetectAnswerFormat("<｜DSML｜function_calls>").tools, ToolFormat::kDeepSeekV32);
  EXPECT_EQ(DetectAnswerFormat("<｜DSML｜tool_calls>").tools, ToolFormat::kDeepSeekV4);
  EXPECT_EQ(DetectAnswerFormat("<tool_call>\\n<function=").tools, ToolFormat::kQwenXml);
  EXPECT_EQ(DetectAnswerFormat("<tool_call>name<arg_key>").tools, ToolFormat::kNone);
  EXPECT_EQ(DetectAnswerFormat("{{ messages[0].content }}"), AnswerFormat{});
}

TEST(AnswerFormat, ThinkingIsOpenWhereThePromptEndsWithIt) {
  EXPECT_TRUE(EndsInsideThink("<｜Assistant｜><think>\n"));
  EXPECT_TRUE(EndsInsideThink("<think>"));
  EXPECT_FALSE(EndsInsideThink("<｜Assistant｜></think>"));
  EXPECT_FALSE(EndsInsideThink("<think>\n\n</think>\n\n"));
  EXPECT_FALSE(EndsInsideThink("<think> what"));
  EXPECT_FALSE(EndsInsideThink(""));
}

TEST(AnswerFormat, CallIdsAreStableAndDiffer) {
  const std::string id = MakeCallId(3, 0);
  EXPECT_EQ(id.size(), 29u);
  EXPECT_EQ(id.substr(0, 5), "call_");
  EXPECT_EQ(id, MakeCallId(3, 0));
  EXPECT_NE(id, MakeCallId(3, 1));
  EXPECT_NE(id, MakeCallId(4, 0));
  EXPECT_NE(MakeCallId(0, 0), MakeCallId(1, 0));
}

TEST(ForcedCall, IsOneCallInEveryFormat) {
  const std::string arguments = "{\"city\": \"a</tool_call></function>\\\"}\"}";
  for (const ToolFormat tools :
       {ToolFormat::kNone, ToolFormat::kDeepSeekV3, ToolFormat::kDeepSeekV31, ToolFormat::kDeepSeekV32,
        ToolFormat::kDeepSeekV4, ToolFormat::kHermes, ToolFormat::kQwenXml, ToolFormat::kKimi}) {
    for (const bool opened : {false, true}) {
      const AnswerFormat format{tools, ReasoningFormat::kThink, opened};
      const std::string text = ForcedCallName(format) + "get_weather" + ForcedCallArguments(format, 2) +
                               arguments + ForcedCallEnd(format);
      const ParsedAnswer answer = ParseAnswer(ForcedFormat(format), text);
      EXPECT_EQ(answer.reasoning + answer.content, "") << text;
      ASSERT_EQ(answer.calls.size(), 1u) << text;
      EXPECT_EQ(answer.calls[0].name, "get_weather");
      EXPECT_EQ(answer.calls[0].arguments, arguments);
      EXPECT_EQ(answer.calls[0].id, tools == ToolFormat::kKimi
                                        ? ForcedCallId(format, "get_weather", kTestSeed, 2)
                                        : ForcedCallId(format, "get_weather", kTestSeed, 0));
    }
  }
}

TEST(ForcedCall, ClosesOpenThoughts) {
  EXPECT_EQ(ForcedCallName({ToolFormat::kHermes, ReasoningFormat::kThink, true}),
            "\n</think>\n\n<tool_call>\n{\"name\": \"");
  EXPECT_EQ(ForcedCallName({ToolFormat::kKimi, ReasoningFormat::kThink, true}),
            "</think><|tool_calls_section_begin|><|tool_call_begin|>functions.");
  EXPECT_EQ(ForcedCallName({}), "<tool_call>\n{\"name\": \"");
  EXPECT_EQ(ForcedCallArguments({}), "\", \"arguments\": ");
  EXPECT_EQ(ForcedCallEnd({}), "}\n</tool_call>");
}

}  // namespace
}  // namespace qiao::serve
