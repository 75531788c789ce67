#include "runtime/text/chat_template.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace qiao::text {
namespace {

constexpr char kGolden[] = QIAO_TEST_DATA "/golden/";

std::vector<OrderedJson> ReadLines(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in.good()) << path;
  std::vector<OrderedJson> out;
  for (std::string line; std::getline(in, line);) {
    absl::StatusOr<OrderedJson> json = ParseOrderedJson(line, path);
    EXPECT_TRUE(json.ok()) << json.status();
    if (json.ok()) out.push_back(*std::move(json));
  }
  return out;
}

std::string ReadText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

OrderedJson ReadJson(const std::string& path) {
  absl::StatusOr<OrderedJson> json = ParseOrderedJson(ReadText(path), path);
  EXPECT_TRUE(json.ok()) << json.status();
  return json.ok() ? *std::move(json) : OrderedJson();
}

// 2025-03-09 14:05:07, a Sunday: what make_goldens.py tells Jinja.
std::tm FixedClock() {
  std::tm t{};
  t.tm_year = 125;
  t.tm_mon = 2;
  t.tm_mday = 9;
  t.tm_hour = 14;
  t.tm_min = 5;
  t.tm_sec = 7;
  t.tm_wday = 0;
  t.tm_yday = 67;
  return t;
}

absl::StatusOr<std::string> RenderText(std::string_view source, const OrderedJson& context,
                                       const ChatTemplateLimits& limits = {}) {
  QIAO_ASSIGN_OR_RETURN(ChatTemplate parsed, ChatTemplate::Parse(source, "test", limits));
  return parsed.Render(context, limits, FixedClock);
}

TEST(ChatTemplate, RendersEveryCaseAsJinjaDoes) {
  const std::vector<OrderedJson> cases = ReadLines(std::string(kGolden) + "chat_templates/cases.jsonl");
  ASSERT_GT(cases.size(), 500u);
  const OrderedJson contexts = ReadJson(std::string(kGolden) + "chat_templates/contexts.json");
  for (const OrderedJson& c : cases) {
    const std::string name = c["name"], text = c["template"];
    const std::string source =
        text.starts_with("family_") ? ReadText(std::string(kGolden) + "chat_templates/" + text) : text;
    const absl::StatusOr<std::string> got = RenderText(source, contexts.at(c["context"].get<std::string>()));
    if (c.contains("error")) {
      EXPECT_FALSE(got.ok()) << name << "\n" << source << "\ngave " << *got << "\nwhere Jinja raises";
      continue;
    }
    EXPECT_TRUE(got.ok()) << name << "\n" << source << "\n" << got.status();
    if (!got.ok()) continue;
    EXPECT_EQ(*got, c["expected"].get<std::string>()) << name << "\n" << source;
  }
}

TEST(ChatTemplate, RendersDeepSeekV3Conversations) {
  const std::string dir = std::string(kGolden) + "tokenizers/deepseek_v3";
  const absl::StatusOr<ChatTemplates> templates = LoadChatTemplate(dir);
  ASSERT_TRUE(templates.ok()) << templates.status();
  const std::vector<OrderedJson> cases = ReadLines(dir + "/chat.jsonl");
  ASSERT_GE(cases.size(), 20u);
  for (const OrderedJson& c : cases) {
    ChatRequest request;
    request.messages = c["messages"];
    request.add_generation_prompt = c["add_generation_prompt"];
    const absl::StatusOr<std::string> got = templates->Render(request);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(*got, c["rendered"].get<std::string>());
  }
}

OrderedJson Object(std::string_view text) { return *ParseOrderedJson(text, "test"); }

// Renders within default limits and expects a limit's refusal.
void ExpectExhausted(std::string_view source, const OrderedJson& context = OrderedJson::object()) {
  const absl::StatusOr<std::string> got = RenderText(source, context);
  ASSERT_FALSE(got.ok()) << source.substr(0, 200);
  EXPECT_EQ(got.status().code(), absl::StatusCode::kResourceExhausted) << got.status();
}

std::string Repeat(std::string_view s, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += s;
  return out;
}

TEST(ChatTemplate, ErrorsNameTemplateAndLine) {
  const absl::StatusOr<ChatTemplate> parse =
      ChatTemplate::Parse("a\nb\n{{ 1 + }}", "dir/chat_template.jinja");
  ASSERT_FALSE(parse.ok());
  EXPECT_EQ(Message(parse.status()), "dir/chat_template.jinja: line 3: unexpected '}}'");
  const absl::StatusOr<std::string> render = RenderText("a\n\n{% if x.y %}{% endif %}", Object("{}"));
  ASSERT_FALSE(render.ok());
  EXPECT_EQ(Message(render.status()), "test: line 3: 'x' is undefined");
  const absl::StatusOr<std::string> raised =
      RenderText("\n{{ raise_exception('no ' ~ 'system') }}", Object("{}"));
  EXPECT_EQ(raised.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Message(raised.status()), "test: line 2: the chat template refuses this conversation: no system");
}

TEST(ChatTemplate, RefusesUnboundedWork) {
  ExpectExhausted("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}");
  ExpectExhausted(
      "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}");
  ExpectExhausted("{{ 'x' * 9999999999 }}");
  ExpectExhausted("{{ [1] * 9999999999 }}");
  ExpectExhausted("{{ 'x' * 9223372036854775807 }}");
  ExpectExhausted("{{ range(10000000) }}");
  ExpectExhausted("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
  ExpectExhausted("{% for i in range(99999) %}{{ 'x' * 10000 }}{% endfor %}");
  ExpectExhausted("{{ ('a' * 30000)|replace('a', 'b' * 30000) }}");
  ExpectExhausted("{{ ('a\\n' * 30000)|indent('b' * 30000) }}");
  ExpectExhausted("{{ ('a' * 30000)|list|join('b' * 30000) }}");
  ExpectExhausted("{{ 'a'.center(99999999999) }}");
  // Nested values, and text exponential in the size of what it is made from.
  ExpectExhausted(
      "{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}");
  for (const char* use : {"{{ ns.x }}", "{{ ns.x|tojson }}", "{{ ns.x == ns.y }}", "{{ ns.x < ns.y }}"}) {
    ExpectExhausted(
        std::string(
            "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
            "{% set ns.y = [ns.y, ns.y] %}{% endfor %}") +
        use);
  }
  ExpectExhausted("{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}");
}

TEST(ChatTemplate, RefusesDeepAndHugeSources) {
  for (const char* deep : {"(", "[", "{1:", "-", "not ", "x[", "f("}) {
    EXPECT_FALSE(RenderText("{{ " + Repeat(deep, 100000), Object("{}")).ok()) << deep;
  }
  EXPECT_FALSE(RenderText(Repeat("{% if 1 %}", 50000), Object("{}")).ok());
  EXPECT_FALSE(RenderText("{{ 1" + Repeat(" + 1", 50000) + " }}", Object("{}")).ok());
  EXPECT_FALSE(RenderText("{{ x" + Repeat(".a", 50000) + " }}", Object("{}")).ok());
  EXPECT_FALSE(RenderText("{{ 1" + Repeat("|abs", 50000) + " }}", Object("{}")).ok());
  EXPECT_FALSE(RenderText(std::string(2 << 20, 'x'), Object("{}")).ok());
  EXPECT_FALSE(RenderText("{{ 1" + Repeat(" ~ 1", 300000) + " }}", Object("{}")).ok());
  // What is deep and allowed renders: the limits leave room for each other.
  EXPECT_TRUE(RenderText("{{ " + Repeat("(", 40) + "1" + Repeat(")", 40) + " }}", Object("{}")).ok());
  EXPECT_TRUE(RenderText("{{ 1" + Repeat(" + 1", 100) + " }}", Object("{}")).ok());
}

TEST(ChatTemplate, SearchesInLinearTime) {
  // Quadratic searches would take minutes here, and the charge for them is linear.
  const std::string hostile =
      "{% set h = 'a' * 4000000 %}{% set n = 'a' * 2000000 + 'b' %}{{ n in h }}{{ h.rfind(n) }}{{ h.count(n) "
      "}}"
      "{{ h.replace(n, '')|length }}{{ h.split(n)|length }}{{ h.rsplit(n, 1)|length }}";
  const absl::StatusOr<std::string> got = RenderText(hostile, Object("{}"));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(*got, "False-10400000011");
}

TEST(ChatTemplate, ReleasesValuesThatHoldThemselves) {  // AddressSanitizer tells
  EXPECT_TRUE(
      RenderText("{% set ns = namespace() %}{% set ns.a = [ns] %}"
                 "{% for x in [1] %}{% set y = loop %}{% set q = loop.changed(loop) %}{% set ns.l = loop %}"
                 "{% macro m() %}{{ x }}{% endmacro %}{% set ns.m = m %}{% endfor %}",
                 Object("{}"))
          .ok());
}

TEST(ChatTemplate, RefusesIntegersBeyond64Bits) {
  for (const char* source : {"{{ 9223372036854775807 + 1 }}", "{{ 2 ** 64 }}", "{{ 9223372036854775808 }}",
                             "{{ -9223372036854775807 - 2 }}", "{{ 9999999999 * 9999999999 }}",
                             "{{ '9223372036854775808'|int }}", "{{ (-9223372036854775807 - 1)|abs }}"}) {
    EXPECT_FALSE(RenderText(source, Object("{}")).ok()) << source;
  }
  const absl::StatusOr<std::string> context = RenderText("{{ x }}", Object(R"({"x": 18446744073709551615})"));
  ASSERT_FALSE(context.ok());
  EXPECT_NE(Message(context.status()).find("variable 'x'"), std::string_view::npos);
}

TEST(ChatTemplate, ChoosesToolUseTemplateAndPassesSpecialTokens) {
  const std::string dir = ::testing::TempDir() + "/qiao_chat_template";
  std::filesystem::create_directories(dir);
  std::filesystem::remove(dir + "/chat_template.jinja");
  std::ofstream(dir + "/tokenizer_config.json")
      << R"({"bos_token": {"content": "<b>"}, "eos_token": "<e>", "pad_token": null, "chat_template": [)"
         R"({"name": "default", "template": "{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}{{ tools is none }}{{ k }}"},)"
         R"({"name": "tool_use", "template": "T{{ tools|length }}{{ messages|length }}{{ add_generation_prompt }}"},)"
         R"({"name": "rag", "template": "{% broken"}]})";
  ChatRequest request;
  request.kwargs["k"] = "K";
  EXPECT_EQ(*RenderChat(dir, request), "<b><e>FalseTrueK");
  request.tools = OrderedJson::array();
  EXPECT_EQ(*RenderChat(dir, request), "T00True");
  const absl::StatusOr<ChatTemplates> templates = ChatTemplates::Load(dir);
  EXPECT_EQ(templates->Source(/*tools=*/true).substr(0, 10), "T{{ tools|");
  EXPECT_EQ(templates->Source(/*tools=*/false).substr(0, 12), "{{ bos_token");
  std::ofstream(dir + "/chat_template.jinja") << "J{{ eos_token }}\n";
  EXPECT_EQ(*RenderChat(dir, request), "J<e>");
  request.kwargs["messages"] = 1;
  EXPECT_FALSE(RenderChat(dir, request).ok());
  EXPECT_EQ(RenderChat(dir + "/none", request).status().code(), absl::StatusCode::kNotFound);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace qiao::text
