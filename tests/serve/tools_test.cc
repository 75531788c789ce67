#include "runtime/serve/api/tools.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "tests/serve/protocol_fixture.h"

namespace qiao::serve {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Kind = ToolChoice::Kind;

std::string Error(std::string_view tools, ToolDialect dialect) {
  const auto list = ParseTools(J(tools), dialect);
  if (list.ok()) return "";
  EXPECT_EQ(list.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(Message(list.status()));
}

ToolList Two() {
  return *ParseTools(
      J(R"([{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}}])"),
      ToolDialect::kChat);
}

TEST(Tools, OfAllDialectsAreTheSame) {
  const std::string schema = R"({"type":"object","properties":{"z":{"type":"string"},"a":{}}})";
  const std::string chat =
      R"([{"type":"function","function":{"name":"f-1_A","description":"d","strict":true,"parameters":)" +
      schema + "}}]";
  const std::string responses =
      R"([{"type":"function","name":"f-1_A","description":"d","strict":true,"parameters":)" + schema + "}]";
  const std::string anthropic =
      R"([{"name":"f-1_A","description":"d","strict":true,"cache_control":{"type":"ephemeral"},)"
      R"("input_schema":)" +
      schema + "}]";
  const auto a = ParseTools(J(chat), ToolDialect::kChat);
  const auto b = ParseTools(J(responses), ToolDialect::kResponses);
  const auto c = ParseTools(J(anthropic), ToolDialect::kAnthropic);
  ASSERT_TRUE(a.ok() && b.ok() && c.ok()) << a.status() << b.status() << c.status();
  // The order of members is kept.
  EXPECT_EQ(ToChatTools(*a).dump(),
            R"([{"type":"function","function":{"name":"f-1_A","description":"d","parameters":)" + schema +
                R"(,"strict":true}}])");
  EXPECT_EQ(ToChatTools(*a), ToChatTools(*b));
  EXPECT_EQ(ToChatTools(*a), ToChatTools(*c));
  EXPECT_NE(a->Find("f-1_A"), nullptr);
  EXPECT_EQ(a->Find("f"), nullptr);
}

TEST(Tools, MayBeNoneOrHaveLittle) {
  EXPECT_TRUE(ParseTools(nullptr, ToolDialect::kChat)->empty());
  EXPECT_TRUE(ParseTools(J("[]"), ToolDialect::kChat)->empty());
  EXPECT_TRUE(ToChatTools({}).is_null());
  const auto list = ParseTools(
      J(R"([{"type":"function","function":{"name":"f","description":null,"parameters":null,"strict":null}}])"),
      ToolDialect::kChat);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(ToChatTools(*list).dump(), R"([{"type":"function","function":{"name":"f","description":"",)"
                                       R"("parameters":{"type":"object","properties":{}}}}])");
  EXPECT_TRUE(
      ParseTools(J(R"([{"type":"custom","name":"f","input_schema":{}}])"), ToolDialect::kAnthropic).ok());
}

TEST(Tools, ErrorsNameThePath) {
  const auto chat = ToolDialect::kChat;
  EXPECT_THAT(Error("{}", chat), StartsWith("tools: must be an array"));
  EXPECT_THAT(Error("[3]", chat), StartsWith("tools[0]: must be an object"));
  EXPECT_THAT(Error("[{}]", chat), StartsWith("tools[0].type: is missing"));
  EXPECT_THAT(Error(R"([{"type":1}])", chat), StartsWith("tools[0].type: must be a string"));
  EXPECT_THAT(Error(R"([{"type":"web_search"}])", chat),
              StartsWith("tools[0].type: must be 'function', not 'web_search'"));
  EXPECT_THAT(Error(R"([{"type":"function"}])", chat), StartsWith("tools[0].function: is missing"));
  EXPECT_THAT(Error(R"([{"type":"function","function":[]}])", chat),
              StartsWith("tools[0].function: must be"));
  EXPECT_THAT(Error(R"([{"type":"function","function":{}}])", chat),
              StartsWith("tools[0].function.name: is missing"));
  const std::string good = R"([{"type":"function","function":{"name":"a"}},)";
  EXPECT_THAT(Error(good + good.substr(1) + R"({}])", chat),
              HasSubstr("tools[1].function.name: 'a' is the name of tools[0]"));
  const auto with = [&](std::string_view member) {
    return Error(good + R"({"type":"function","function":{"name":"f",)" + std::string(member) + "}}]", chat);
  };
  EXPECT_THAT(with(R"("description":1)"), StartsWith("tools[1].function.description: must be a string"));
  EXPECT_THAT(with(R"("parameters":"x")"), StartsWith("tools[1].function.parameters: must be an object"));
  EXPECT_THAT(with(R"("parameters":{"type":"string"})"),
              StartsWith("tools[1].function.parameters.type: must be 'object'"));
  EXPECT_THAT(with(R"("strict":1)"), StartsWith("tools[1].function.strict: must be true or false"));
  EXPECT_THAT(Error(R"([{"type":"function","name":1}])", ToolDialect::kResponses),
              StartsWith("tools[0].name: must be a string"));
  EXPECT_THAT(Error(R"([{"name":"f"}])", ToolDialect::kAnthropic),
              StartsWith("tools[0].input_schema: is missing"));
  EXPECT_THAT(Error(R"([{"type":"bash_20250124","name":"bash"}])", ToolDialect::kAnthropic),
              StartsWith("tools[0].type: "));
}

TEST(Tools, NamesHaveLimits) {
  const auto error = [](const std::string& name, ToolDialect dialect) {
    OrderedJson tool = J(R"({"type":"function","input_schema":{},"function":{}})");
    if (dialect == ToolDialect::kAnthropic) tool.erase("type");
    tool["name"] = name;
    tool["function"]["name"] = name;
    const auto list = ParseTools(OrderedJson::array({tool}), dialect);
    return list.ok() ? "" : std::string(Message(list.status()));
  };
  EXPECT_EQ(error(std::string(64, 'a'), ToolDialect::kChat), "");
  EXPECT_THAT(error(std::string(65, 'a'), ToolDialect::kChat),
              StartsWith("tools[0].function.name: must be 1 to 64"));
  EXPECT_THAT(error(std::string(65, 'a'), ToolDialect::kResponses),
              StartsWith("tools[0].name: must be 1 to 64"));
  EXPECT_EQ(error(std::string(128, 'a'), ToolDialect::kAnthropic), "");
  EXPECT_THAT(error(std::string(129, 'a'), ToolDialect::kAnthropic),
              StartsWith("tools[0].name: must be 1 to 128"));
  for (const char* bad : {"", "a b", "a.b", "\xE6\xA1\xA5", "a\"", "<"}) {
    EXPECT_THAT(error(bad, ToolDialect::kChat), StartsWith("tools[0].function.name: must be")) << bad;
  }
  // The error shows whole characters of it only.
  std::string bridges;
  for (int i = 0; i < 60; ++i) bridges += "\xE6\xA1\xA5";
  EXPECT_THAT(error(bridges, ToolDialect::kChat), ::testing::EndsWith("\xE6\xA1\xA5...'"));
}

TEST(Tools, AreAtMost128) {
  OrderedJson tools = OrderedJson::array();
  for (int i = 0; i < 128; ++i)
    tools.push_back({{"name", absl::StrCat("f", i)}, {"input_schema", OrderedJson::object()}});
  EXPECT_TRUE(ParseTools(tools, ToolDialect::kAnthropic).ok());
  tools.push_back({{"name", "g"}, {"input_schema", OrderedJson::object()}});
  EXPECT_EQ(Message(ParseTools(tools, ToolDialect::kAnthropic).status()),
            "tools: has 129 tools; at most 128 are taken");
}

TEST(ToolChoice, IsReadFromThreeSpellings) {
  const ToolList two = Two();
  const auto kind = [&](std::string_view text, ToolDialect dialect) {
    const auto choice = ParseToolChoice(J(text), dialect, two);
    EXPECT_TRUE(choice.ok()) << choice.status();
    return choice.ok() ? choice->kind : Kind::kAuto;
  };
  for (const ToolDialect dialect : {ToolDialect::kChat, ToolDialect::kResponses}) {
    EXPECT_EQ(kind("null", dialect), Kind::kAuto);
    EXPECT_EQ(kind("\"auto\"", dialect), Kind::kAuto);
    EXPECT_EQ(kind("\"none\"", dialect), Kind::kNone);
    EXPECT_EQ(kind("\"required\"", dialect), Kind::kRequired);
  }
  EXPECT_EQ(kind(R"({"type":"auto"})", ToolDialect::kAnthropic), Kind::kAuto);
  EXPECT_EQ(kind(R"({"type":"any"})", ToolDialect::kAnthropic), Kind::kRequired);
  EXPECT_EQ(kind(R"({"type":"none"})", ToolDialect::kAnthropic), Kind::kNone);
  for (const auto& [text, dialect] :
       {std::pair(R"({"type":"function","function":{"name":"b"}})", ToolDialect::kChat),
        std::pair(R"({"type":"function","name":"b"})", ToolDialect::kResponses),
        std::pair(R"({"type":"tool","name":"b"})", ToolDialect::kAnthropic)}) {
    const auto choice = ParseToolChoice(J(text), dialect, two);
    ASSERT_TRUE(choice.ok()) << choice.status();
    EXPECT_EQ(choice->kind, Kind::kNamed);
    EXPECT_EQ(choice->name, "b");
    EXPECT_FALSE(choice->single);
  }
  EXPECT_TRUE(
      ParseToolChoice(J(R"({"type":"auto","disable_parallel_tool_use":true})"), ToolDialect::kAnthropic, two)
          ->single);
}

TEST(ToolChoice, WithoutToolsIsNone) {
  EXPECT_EQ(ParseToolChoice(nullptr, ToolDialect::kChat, {})->kind, Kind::kNone);
  EXPECT_EQ(ParseToolChoice(J("\"auto\""), ToolDialect::kChat, {})->kind, Kind::kNone);
}

TEST(ToolChoice, ErrorsNameThePath) {
  const ToolList two = Two();
  const auto error = [&](std::string_view text, ToolDialect dialect, const ToolList& tools) {
    const auto choice = ParseToolChoice(J(text), dialect, tools);
    return choice.ok() ? "" : std::string(Message(choice.status()));
  };
  const auto chat = ToolDialect::kChat;
  EXPECT_THAT(error("1", chat, two), StartsWith("tool_choice: must be a string or an object"));
  EXPECT_THAT(error("\"any\"", chat, two), StartsWith("tool_choice: must be 'auto', 'none', 'required'"));
  EXPECT_THAT(error("\"required\"", chat, {}), StartsWith("tool_choice: 'required' needs tools"));
  EXPECT_THAT(error("{}", chat, two), StartsWith("tool_choice.type: is missing"));
  EXPECT_THAT(error(R"({"type":"auto"})", chat, two),
              StartsWith("tool_choice.type: must be 'function', not 'auto'"));
  EXPECT_THAT(error(R"({"type":"function"})", chat, two),
              StartsWith("tool_choice.function: must be an object"));
  EXPECT_THAT(error(R"({"type":"function","function":{"name":"c"}})", chat, two),
              StartsWith("tool_choice.function.name: no tool is called 'c'"));
  EXPECT_THAT(error(R"({"type":"function","name":"c"})", ToolDialect::kResponses, two),
              StartsWith("tool_choice.name: no tool is called 'c'"));
  EXPECT_THAT(error("\"auto\"", ToolDialect::kAnthropic, two), StartsWith("tool_choice: must be an object"));
  EXPECT_THAT(error(R"({"type":"required"})", ToolDialect::kAnthropic, two),
              StartsWith("tool_choice.type: must be 'auto', 'any'"));
  EXPECT_THAT(error(R"({"type":"tool"})", ToolDialect::kAnthropic, two),
              StartsWith("tool_choice.name: is missing"));
  EXPECT_THAT(error(R"({"type":"any","disable_parallel_tool_use":1})", ToolDialect::kAnthropic, two),
              StartsWith("tool_choice.disable_parallel_tool_use: "));
}

}  // namespace
}  // namespace qiao::serve
