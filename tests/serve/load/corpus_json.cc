// Bodies that are not JSON, or JSON of the wrong shape, or that ask for too much.
#include "absl/strings/str_cat.h"
#include "tests/serve/load/corpus.h"

namespace qiao::storm {
namespace {

constexpr int64_t kDefaultContext = 1 << 20;

class Maker {
 public:
  explicit Maker(const Target& target) : target_(target) {}
  std::vector<Case> cases;

  void Body(const char* route, const std::string& name, const std::string& body,
            Case::Expect expect = Case::kRefused) {
    cases.push_back(
        {absl::StrCat(route, " ", name), target_.Wire("POST", route, body), expect, true, 1, false});
  }
  // To both routes.
  void Both(const std::string& name, const std::string& body, Case::Expect expect = Case::kRefused) {
    Body(tools::kChatRoute, name, body, expect);
    Body(tools::kCompletionsRoute, name, body, expect);
  }
  // A proper short request with one more member; `json` is its value as text.
  void Member(const std::string& key, const std::string& json, const std::string& called = "",
              Case::Expect expect = Case::kRefused) {
    const std::string name = absl::StrCat(key, ": ", called.empty() ? json : called);
    const std::string tokens = key == "max_tokens" ? "" : ",\"max_tokens\":1";
    Body(tools::kChatRoute, name,
         absl::StrCat("{\"model\":", Model(), R"(,"messages":[{"role":"user","content":"x"}])", tokens, ",\"",
                      key, "\":", json, "}"),
         expect);
    Body(tools::kCompletionsRoute, name,
         absl::StrCat("{\"model\":", Model(), R"(,"prompt":"x")", tokens, ",\"", key, "\":", json, "}"),
         expect);
  }
  void Messages(const std::string& json, const std::string& called = "",
                Case::Expect expect = Case::kRefused) {
    Body(tools::kChatRoute, absl::StrCat("messages: ", called.empty() ? json : called),
         absl::StrCat("{\"model\":", Model(), ",\"max_tokens\":1,\"messages\":", json, "}"), expect);
  }
  void Prompt(const std::string& json, const std::string& called = "", Case::Expect expect = Case::kRefused) {
    Body(tools::kCompletionsRoute, absl::StrCat("prompt: ", called.empty() ? json : called),
         absl::StrCat("{\"model\":", Model(), ",\"max_tokens\":1,\"prompt\":", json, "}"), expect);
  }

 private:
  std::string Model() const { return Json(target_.model()).dump(); }
  const Target& target_;
};

void Syntax(Maker& make) {
  for (const char* body : {"",
                           " ",
                           "{",
                           "}",
                           "[",
                           "]",
                           "null",
                           "true",
                           "3",
                           "\"x\"",
                           "[]",
                           "{}",
                           "{]",
                           "[}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{,}",
                           "{a:1}",
                           "{'a':1}",
                           "{\"a\":01}",
                           "{\"a\":+1}",
                           "{\"a\":.5}",
                           "{\"a\":5.}",
                           "{\"a\":1e}",
                           "{\"a\":NaN}",
                           "{\"a\":Infinity}",
                           "{\"a\":0x10}",
                           "{\"a\":undefined}",
                           "{} {}",
                           "{}x",
                           "{}\n{}",
                           "/*x*/{}",
                           "{\"a\":\"\n\"}",
                           "{\"a\":\"\\x\"}",
                           "{\"a\":\"\\u12\"}",
                           "{\"a\":tru}",
                           "nul",
                           "\"unended",
                           "{\"a\":1e309}",
                           "{\"a\":-1e309}",
                           "<xml/>",
                           "a=b&c=d"}) {
    make.Both(absl::StrCat("body: ", body), body);
  }
  make.Both("a byte order mark", "\xef\xbb\xbf{}");
  make.Both("UTF-16", std::string("{\0}\0", 4));
  make.Both("NUL at the end", std::string("{}\0", 3));
  make.Both("NUL in a string", std::string("{\"prompt\":\"a\0b\"}", 16));
  for (const size_t depth : {100u, 10'000u, 1'000'000u}) {
    make.Both(absl::StrCat("arrays, depth ", depth), Repeat("[", depth) + Repeat("]", depth));
    make.Both(absl::StrCat("objects, depth ", depth), Repeat("{\"a\":", depth) + "1" + Repeat("}", depth));
    make.Member("metadata", Repeat("[", depth) + Repeat("]", depth), absl::StrCat("arrays, depth ", depth));
    make.Both(absl::StrCat("unended arrays, depth ", depth), Repeat("[", depth));
  }
  make.Both("a number of 1 MB", absl::StrCat("{\"a\":", std::string(1'000'000, '9'), "}"));
  make.Both("a million keys", [] {
    std::string body = "{";
    for (int i = 0; i < 1'000'000; ++i) absl::StrAppend(&body, i == 0 ? "" : ",", "\"k", i, "\":0");
    return body + "}";
  }());
  make.Both("10 MB of commas", "[" + std::string(10'000'000, ',') + "]");
  make.Member("temperature", "0,\"temperature\":1", "twice");
  make.Member("model", "\"x\"", "twice");
}

void Text(Maker& make) {
  const std::vector<std::pair<const char*, std::string>> bad = {
      {"lone high surrogate", "\\ud800"},
      {"lone low surrogate", "\\udc00"},
      {"surrogates the wrong way round", "\\udc00\\ud800"},
      {"high surrogate and a letter", "\\ud800a"},
      {"two high surrogates", "\\ud800\\ud800"},
      {"byte ff", "\xff"},
      {"byte 80", "\x80"},
      {"overlong slash", "\xc0\xaf"},
      {"overlong of three", "\xe0\x80\xaf"},
      {"overlong of four", "\xf0\x80\x80\xaf"},
      {"surrogate as UTF-8", "\xed\xa0\x80"},
      {"beyond U+10FFFF", "\xf4\x90\x80\x80"},
      {"five bytes", "\xf8\x88\x80\x80\x80"},
      {"cut short", "\xe2\x82"},
      {"cut by a quote", "\xf0\x9f"}};
  for (const auto& [name, text] : bad) {
    make.Messages(absl::StrCat("[{\"role\":\"user\",\"content\":\"", text, "\"}]"), name);
    make.Prompt(absl::StrCat("\"", text, "\""), name);
    make.Member("stop", absl::StrCat("\"", text, "\""), name);
  }
}

void Shapes(Maker& make) {
  const auto all = [&](const char* key, std::initializer_list<const char*> values,
                       Case::Expect expect = Case::kRefused) {
    for (const char* value : values) make.Member(key, value, "", expect);
  };
  all("temperature", {"\"x\"", "[]", "{}", "true", "-1", "1e300", "-0.001"});
  all("top_p", {"\"x\"", "[]", "{}", "-0.1", "1.5", "1e300"});
  all("max_tokens",
      {"\"x\"", "[]", "{}", "true", "-1", "1.5", "1e300", "9223372036854775808", "-9223372036854775808"});
  all("n", {"\"x\"", "[]", "-1", "0", "1.5", "1000000000", "9223372036854775807", "1e30"});
  all("stream", {"\"yes\"", "[]", "{}", "3"});
  all("stop", {"3", "{}", "[3]", "[[]]", "true", "[null]"});
  all("logit_bias", {"3", "\"x\"", "[]", "{\"x\":1}", "{\"-1\":1}", "{\"99999999999\":1}", "{\"5\":\"y\"}",
                     "{\"5\":1e300}", "{\"1.5\":1}"});
  all("presence_penalty", {"\"x\"", "[]", "1e300", "-1e300"});
  all("frequency_penalty", {"\"x\"", "[]", "1e300", "-1e300"});
  all("seed", {"\"x\"", "[]", "1.5"});
  all("model", {"3", "[]", "{}"});
  all("response_format",
      {"3", "\"x\"", "[]", "{}", "{\"type\":3}", "{\"type\":\"nonsense\"}", "{\"type\":\"json_schema\"}",
       "{\"type\":\"json_schema\",\"json_schema\":3}",
       "{\"type\":\"json_schema\",\"json_schema\":{\"schema\":3}}",
       "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\",\"schema\":{\"type\":\"nonsense\"}}}"});
  all("stream_options", {"3", "\"x\"", "[]"}, Case::kAnything);
  all("user", {"3", "[]"}, Case::kAnything);
  all("unknown_field", {"3", "{}"}, Case::kAnything);
  all("max_completion_tokens", {"-1", "\"x\""}, Case::kAnything);
  for (const char* value :
       {"3", "\"x\"", "[]", "{}", "[3]", "[[]]", "[{}]", "[{\"role\":3,\"content\":\"x\"}]",
        "[{\"role\":\"user\",\"content\":3}]", "[{\"role\":\"user\"}]", "[{\"content\":\"x\"}]",
        "[{\"role\":\"user\",\"content\":[3]}]", "[{\"role\":\"user\",\"content\":{}}]",
        "[{\"role\":\"user\",\"content\":[{\"type\":\"nonsense\"}]}]",
        "[{\"role\":\"nobody\",\"content\":\"x\"}]", "null"}) {
    make.Messages(value);
  }
  for (const char* value : {"3", "{}", "true", "[[[]]]", "[-1]", "[1.5]", "[99999999999]", "[1e30]",
                            "[1,\"a\"]", "[null]", "[{}]", "[-9223372036854775808]"})
    make.Prompt(value);
  make.Prompt("[[1],\"a\"]", "", Case::kAnything);
  make.Prompt("[]", "", Case::kAnything);
  make.Prompt("\"\"", "", Case::kAnything);
  const auto tools_case = [&](const char* name, const std::string& members,
                              Case::Expect expect = Case::kRefused) {
    make.Body(tools::kChatRoute, name,
              absl::StrCat(R"({"messages":[{"role":"user","content":"x"}],"max_tokens":1,)", members, "}"),
              expect);
  };
  tools_case("tools: 3", R"("tools":3)");
  tools_case("tools: [3]", R"("tools":[3])");
  tools_case("tools: [{}]", R"("tools":[{}])");
  tools_case("tools: no name", R"("tools":[{"type":"function","function":{}}])");
  tools_case(
      "tool_choice: an unknown function",
      R"("tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":{"type":"function","function":{"name":"b"}})");
  tools_case("tool_choice: nonsense",
             R"("tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":"nonsense")");
  tools_case("tools: 10,000",
             absl::StrCat("\"tools\":[", Repeat(R"({"type":"function","function":{"name":"a"}},)", 9'999),
                          R"({"type":"function","function":{"name":"a"}}])"),
             Case::kAnything);
}

void TooMuch(Maker& make, int64_t context) {
  const auto ids = [](int64_t count) {
    std::string json = "[1";
    for (int64_t i = 1; i < count; ++i) json += ",1";
    return json + "]";
  };
  make.Prompt(ids(context), "as many ids as the context");
  make.Prompt(ids(context + 1), "an id more than the context");
  make.Prompt(ids(10 * std::min<int64_t>(context, 100'000)), "ten contexts");
  const std::string long_text = absl::StrCat("\"", Repeat("word ", 2'000'000), "\"");
  make.Prompt(long_text, "10 M characters");
  make.Messages(absl::StrCat("[{\"role\":\"user\",\"content\":", long_text, "}]"), "10 M characters");
  make.Messages(absl::StrCat("[", Repeat(R"({"role":"user","content":"x"},)", 200'000),
                             R"({"role":"user","content":"x"}])"),
                "200,000");
  make.Prompt(absl::StrCat("[", Repeat("\"x\",", 99'999), "\"x\"]"), "100,000 texts");
  make.Prompt("\"" + std::string(10'000'000, 'a') + "\"", "a word of 10 MB");
  std::string bias = "{", stops = "[";
  for (int i = 0; i < 1'000'000; ++i) absl::StrAppend(&bias, i == 0 ? "" : ",", "\"", i, "\":1");
  for (int i = 0; i < 100'000; ++i) absl::StrAppend(&stops, i == 0 ? "" : ",", "\"s", i, "\"");
  make.Member("logit_bias", bias + "}", "a million");
  make.Member("stop", stops + "]", "100,000");
  make.Member("stop", absl::StrCat("\"", std::string(1 << 20, 'x'), "\""), "of 1 MiB");
  make.Member("max_tokens", "1000000000", "a billion", Case::kAnything);
  make.Member("user", absl::StrCat("\"", std::string(5 << 20, 'x'), "\""), "of 5 MiB", Case::kAnything);
  // Forms that are small to write and large to compile.
  const auto form = [&](const char* name, const std::string& schema) {
    make.Member("response_format",
                absl::StrCat(R"({"type":"json_schema","json_schema":{"name":"a","schema":)", schema, "}}"),
                name, Case::kAnything);
  };
  form("(a+)+b", R"({"type":"string","pattern":"^(a+)+b$"})");
  form("a{1000}{1000}", R"({"type":"string","pattern":"^((a{1000}){1000}){1000}$"})");
  form("a ref to itself", R"({"$ref":"#"})");
  form("refs in a ring",
       R"({"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"})");
  form("a tree of anyOf", [] {
    std::string schema = R"({"type":"null"})";
    for (int i = 0; i < 16; ++i) schema = absl::StrCat(R"({"anyOf":[)", schema, ",", schema, "]}");
    return schema;
  }());
  form("10,000 properties", [] {
    std::string schema = R"({"type":"object","properties":{)";
    for (int i = 0; i < 10'000; ++i) absl::StrAppend(&schema, i == 0 ? "" : ",", "\"p", i, "\":{}");
    return schema + "}}";
  }());
  form("an enum of 100,000", absl::StrCat(R"({"enum":[)", Repeat("1,", 99'999), "2]}"));
  form("minItems of a billion", R"({"type":"array","minItems":1000000000})");
}

}  // namespace

std::vector<Case> JsonCases(const Target& target, int64_t context) {
  Maker make(target);
  Syntax(make);
  Text(make);
  Shapes(make);
  TooMuch(make, context > 0 ? context : kDefaultContext);
  return std::move(make.cases);
}

}  // namespace qiao::storm
