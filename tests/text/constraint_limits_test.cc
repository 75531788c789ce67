// Bombs: small inputs that would make large automata, refused after a bounded count of steps.
#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "runtime/text/constraint.h"
#include "tests/text/constraint_fixture.h"

namespace qiao::text {
namespace {

std::string Repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

// {"$defs":{"d0":LEAF,"d1":WRAP(d0),...},"$ref":"#/$defs/dN"}
std::string Chain(const std::string& leaf, int length,
                  const std::function<std::string(const std::string&)>& wrap) {
  std::string out = R"({"$defs":{"d0":)" + leaf;
  for (int i = 1; i <= length; ++i) {
    out += ",\"d" + std::to_string(i) + "\":" + wrap(R"({"$ref":"#/$defs/d)" + std::to_string(i - 1) + "\"}");
  }
  return out + R"(},"$ref":"#/$defs/d)" + std::to_string(length) + "\"}";
}

void ExpectRefused(const ConstraintSpec& spec, const std::string& name) {
  const absl::Status status = CompileConstraint(spec).status();
  EXPECT_TRUE(status.code() == absl::StatusCode::kResourceExhausted ||
              status.code() == absl::StatusCode::kInvalidArgument)
      << name << ": " << status;
  EXPECT_LT(status.message().size(), 1000u) << name;
  EXPECT_EQ(CompileConstraint(spec).status(), status) << name << " is refused otherwise the second time";
}

TEST(ConstraintLimits, RegexBombs) {
  const std::string nested = Repeated("(", 200) + "a" + Repeated(")", 200);
  const std::pair<const char*, std::string> kBombs[] = {
      {"counts of counts", "((a{1000}){1000}){1000}"},
      {"optional counts of counts", "(((a{0,1000}){0,1000}){0,1000}){0,1000}"},
      {"a huge count", "a{1000000000}"},
      {"empty groups", "((((){1000}){1000}){1000}){1000}"},
      {"exponential as an automaton", "(a|b)*a(a|b){30}"},
      {"exponential alternations", Repeated("(a|ab|b|ba)*", 1) + "(.*a.{20}|.*b.{20})*"},
      {"many wide classes", Repeated("[\\p{L}\\p{N}]?", 500)},
      {"deep groups", nested},
      {"deep groups without an end", Repeated("(", 8000)},
      {"a long pattern", std::string(100'000, 'a')},
      {"stars of stars and counts", "(((a*){50}b*){50}c*){50}"},
      {"overlapping counts", "(a{0,200}){0,200}b(.{0,200}){0,200}"},
  };
  for (const auto& [name, pattern] : kBombs) ExpectRefused({Kind::kRegex, pattern}, name);
}

TEST(ConstraintLimits, SchemaBombs) {
  std::string enums = R"({"enum":[)";
  for (int i = 0; i < 30'000; ++i) absl::StrAppend(&enums, i > 0 ? "," : "", 1'000'000'000 + i * 7);
  enums += "]}";
  std::string unions = "{\"allOf\":[";
  for (int i = 0; i < 40; ++i) {
    unions +=
        std::string(i ? "," : "") + R"({"anyOf":[{"minimum":)" + std::to_string(i) + R"(},{"maximum":9}]})";
  }
  unions += "]}";
  std::string patterns = R"({"anyOf":[)";
  for (int i = 0; i < 300; ++i) {
    patterns +=
        std::string(i ? "," : "") + R"({"type":"string","pattern":"^.*)" + std::to_string(i) + R"(.{9}$"})";
  }
  patterns += "]}";
  const auto wrap = [](const char* keyword) {
    return [keyword](const std::string& ref) {
      return std::string("{\"") + keyword + "\":[" + ref + "," + ref +
             "],\"title\":\"\",\"type\":\"integer\"}";
    };
  };
  const std::pair<const char*, std::string> kBombs[] = {
      {"deep arrays", Repeated(R"({"items":)", 10'000) + "{}" + Repeated("}", 10'000)},
      {"minItems", R"({"type":"array","minItems":1000000000})"},
      {"maxItems", R"({"type":"array","maxItems":1e300})"},
      {"maxLength", R"({"type":"string","maxLength":1000000000})"},
      {"nested maxItems", R"({"items":{"items":{"maxItems":90000},"maxItems":90000},"maxItems":90000})"},
      {"length and pattern", R"({"type":"string","pattern":"(ab|c)*","minLength":90000})"},
      {"length and patterns",
       R"({"type":"string","allOf":[{"pattern":"a.{0,90}b"},{"pattern":"c.{0,90}d"},{"maxLength":4000}]})"},
      {"a huge enum", enums},
      {"ten megabytes", "{\"title\":\"" + std::string(10 << 20, 'x') + "\"}"},
      {"doubling allOf", Chain("{}", 40, wrap("allOf"))},
      {"doubling anyOf", Chain("{}", 40, wrap("anyOf"))},
      {"doubling oneOf", Chain("{\"minimum\":1}", 40, wrap("oneOf"))},
      {"a long chain of merges",
       Chain("{}", 3000,
             [](const std::string& ref) { return R"({"type":"integer","allOf":[)" + ref + "]}"; })},
      {"products of unions", unions},
      {"many patterns", patterns},
      {"merged recursion", R"({"properties":{"a":{"allOf":[{"$ref":"#"},{"properties":{"b":{"$ref":"#"}}}]},
         "c":{"allOf":[{"$ref":"#/properties/a"},{"required":["c"]},{"$ref":"#"}]}},"allOf":[{"$ref":"#"}]})"},
      {"a number of many digits",
       R"({"type":"number","minimum":1e308,"maximum":1.5e308,"exclusiveMinimum":-1e-320})"},
  };
  for (const auto& [name, schema] : kBombs) {
    if (std::string_view(name) == "a number of many digits") {
      EXPECT_TRUE(CompileConstraint({Kind::kJsonSchema, schema}).ok()) << "large, and within the limits";
      continue;
    }
    ExpectRefused({Kind::kJsonSchema, schema}, name);
  }
}

TEST(ConstraintLimits, ChoiceBombs) {
  ConstraintSpec spec{Kind::kChoice};
  spec.choices.assign(20'000, "a");
  ExpectRefused(spec, "many choices");
  spec.choices.assign(3, std::string(100'000, 'a'));
  ExpectRefused(spec, "long choices");
}

// Chains that only name each other are no bombs, however long.
TEST(ConstraintLimits, LongChainsOfReferencesAreFine) {
  const auto constraint = Compiled(
      {Kind::kJsonSchema, Chain(R"({"type":"integer"})", 3000, [](const std::string& ref) { return ref; })});
  ASSERT_NE(constraint, nullptr);
  EXPECT_TRUE(Matches(constraint, "12"));
  EXPECT_FALSE(Matches(constraint, "x"));
  const auto doubled =
      Compiled({Kind::kJsonSchema, Chain(R"({"type":"integer"})", 12, [](const std::string& ref) {
                  return R"({"type":"array","items":)" + ref + "}";
                })});
  EXPECT_TRUE(Matches(doubled, "[[[[[[[[[[[[1]]]]]]]]]]]]"));
}

TEST(ConstraintLimits, EachLimitIsKept) {
  const auto code = [](const ConstraintSpec& spec, const ConstraintLimits& limits) {
    return CompileConstraint(spec, limits).status().code();
  };
  const ConstraintSpec schema{Kind::kJsonSchema,
                              R"({"type":"array","items":{"type":"string","maxLength":9}})"};
  const ConstraintSpec regex{Kind::kRegex, "(abc|d{4})*"};
  EXPECT_EQ(code(schema, {}), absl::StatusCode::kOk);
  EXPECT_EQ(code(regex, {}), absl::StatusCode::kOk);
  const auto with = [](auto set) {
    ConstraintLimits limits;
    set(limits);
    return limits;
  };
  constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;
  EXPECT_EQ(code(schema, with([](auto& l) { l.max_schema_bytes = 20; })), kExhausted);
  EXPECT_EQ(code(schema, with([](auto& l) { l.max_schema_depth = 1; })), kExhausted);
  EXPECT_EQ(code(schema, with([](auto& l) { l.max_rules = 2; })), kExhausted);
  EXPECT_EQ(code(schema, with([](auto& l) { l.max_states = 20; })), kExhausted);
  EXPECT_EQ(code(schema, with([](auto& l) { l.max_edges = 20; })), kExhausted);
  EXPECT_EQ(code(schema, with([](auto& l) { l.max_steps = 50; })), kExhausted);
  EXPECT_EQ(code(schema, with([](auto& l) { l.max_count = 8; })), kExhausted);
  EXPECT_EQ(code(regex, with([](auto& l) { l.max_regex_bytes = 4; })), kExhausted);
  EXPECT_EQ(code(regex, with([](auto& l) { l.max_positions = 4; })), kExhausted);
  EXPECT_EQ(code(regex, with([](auto& l) { l.max_regex_states = 3; })), kExhausted);
  EXPECT_EQ(code(regex, with([](auto& l) { l.max_repeat = 3; })), kExhausted);
  EXPECT_EQ(code(regex, with([](auto& l) { l.max_group_depth = 0; })), kExhausted);
  EXPECT_EQ(code({Kind::kJsonSchema, R"({"items":{"items":{"minItems":1},"minItems":1},"minItems":1})"},
                 with([](auto& l) { l.max_stack = 1; })),
            kExhausted);
}

// Unions with more readings than are kept lose some, and what is left is still valid.
TEST(ConstraintLimits, ReadingsAreDroppedBetweenTokens) {
  std::string schema = R"({"anyOf":[)";
  for (int i = 0; i < 50; ++i) {
    schema += std::string(i ? "," : "") + R"({"type":"object","properties":{"a":{"const":)" +
              std::to_string(i + 100) + R"(}},"required":["a"]})";
  }
  schema += "]}";
  ConstraintLimits limits;
  limits.max_configurations = 5;
  const auto constraint = Compiled({Kind::kJsonSchema, schema}, limits);
  ASSERT_NE(constraint, nullptr);
  ConstraintState state(constraint, ByteTrie());
  int ends = 0;
  ASSERT_TRUE(state.AcceptBytes("{"));
  ASSERT_TRUE(state.AcceptBytes("\"a\":"));
  for (int i = 0; i < 50; ++i) {
    ConstraintState copy = state;
    if (copy.AcceptBytes(std::to_string(i + 100) + "}")) {
      EXPECT_TRUE(copy.MustEnd());
      ++ends;
    }
  }
  EXPECT_EQ(ends, 5);
}

}  // namespace
}  // namespace qiao::text
