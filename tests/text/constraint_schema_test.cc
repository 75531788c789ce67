// Schemas: what they must allow and refuse, and which keywords are refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/text/constraint.h"
#include "runtime/text/utf8.h"
#include "tests/text/constraint_fixture.h"
#include "tests/text/schema_validator.h"

namespace qiao::text {
namespace {

using testing::HasSubstr;

std::shared_ptr<const Constraint> Schema(const std::string& schema) {
  return Compiled({Kind::kJsonSchema, schema});
}

absl::Status Refusal(const std::string& schema) {
  return CompileConstraint({Kind::kJsonSchema, schema}).status();
}

TEST(ConstraintSchema, CasesAreMany) {
  size_t values = 0;
  for (const SchemaCase& c : SchemaCases()) values += c.valid.size() + c.invalid.size();
  EXPECT_GE(SchemaCases().size(), 60u);
  EXPECT_GE(values, 300u);
}

TEST(ConstraintSchema, AllowsWhatIsValidAndRefusesWhatIsNot) {
  for (const SchemaCase& c : SchemaCases()) {
    SCOPED_TRACE(c.name + ": " + c.schema.dump());
    const auto constraint = Schema(c.schema.dump());
    ASSERT_NE(constraint, nullptr);
    for (const std::string_view space : {"", " "}) {
      for (const OrderedJson& v : c.valid) EXPECT_TRUE(Matches(constraint, Render(v, space))) << v;
      for (const OrderedJson& v : c.invalid) EXPECT_FALSE(Matches(constraint, Render(v, space))) << v;
      for (const OrderedJson& v : c.stricter) EXPECT_FALSE(Matches(constraint, Render(v, space))) << v;
    }
    for (const std::string& text : c.texts) EXPECT_FALSE(Matches(constraint, text)) << text;
  }
}

// The validator that judges sampled texts (constraint_sample_test.cc) knows the same values.
TEST(ConstraintSchema, TheValidatorAgrees) {
  for (const SchemaCase& c : SchemaCases()) {
    SCOPED_TRACE(c.name);
    const Json schema = Json::parse(c.schema.dump());
    const auto why = [&](const OrderedJson& v) { return Invalidity(schema, Json::parse(v.dump())); };
    for (const OrderedJson& v : c.valid) EXPECT_EQ(why(v), "") << v;
    for (const OrderedJson& v : c.stricter) EXPECT_EQ(why(v), "") << v;
    for (const OrderedJson& v : c.invalid) EXPECT_NE(why(v), "") << v;
  }
}

// Every text is read byte by byte above; here, as the tokens that a vocabulary cuts it into.
TEST(ConstraintSchema, TokensAreReadAsTheirBytes) {
  const auto trie = DemoTrie();
  for (const SchemaCase& c : SchemaCases()) {
    const auto constraint = Schema(c.schema.dump());
    for (const OrderedJson& v : c.valid) {
      const std::string text = Render(v, " ");
      ConstraintState state(constraint, trie);
      for (size_t at = 0; at < text.size();) {
        int32_t longest = -1;
        for (int32_t t = 0; t < trie->vocab_size(); ++t) {
          const std::string_view token = trie->token(t);
          if (token.empty() || !std::string_view(text).substr(at).starts_with(token)) continue;
          if (longest < 0 || token.size() > trie->token(longest).size()) longest = t;
        }
        ASSERT_GE(longest, 0);
        ASSERT_TRUE(MaskOf(state, *trie)[static_cast<size_t>(longest)])
            << c.name << ": " << text << " at " << at;
        ASSERT_TRUE(state.Accept(longest)) << c.name << ": " << text << " at " << at;
        at += trie->token(longest).size();
        if (text.size() > 200) break;  // long ones only begin
      }
      EXPECT_TRUE(text.size() > 200 || state.CanEnd()) << c.name << ": " << text;
    }
  }
}

TEST(ConstraintSchema, RefusedKeywordsAreNamedWithTheirPlace) {
  const struct {
    const char* schema;
    const char* place;
    const char* keyword;
  } kCases[] = {
      {R"({"not":{}})", "#", "not"},
      {R"({"properties":{"a":{"multipleOf":2}}})", "#/properties/a", "multipleOf"},
      {R"({"items":{"anyOf":[{},{"uniqueItems":true}]}})", "#/items/anyOf/1", "uniqueItems"},
      {R"({"$defs":{"x/y":{"if":{}}},"$ref":"#/$defs/x~1y"})", "#/$defs/x~1y", "if"},
      {R"({"allOf":[{"patternProperties":{}}]})", "#/allOf/0", "patternProperties"},
      {R"({"additionalProperties":{"contains":1}})", "#/additionalProperties", "contains"},
      {R"({"prefixItems":[{"propertyNames":{}}]})", "#/prefixItems/0", "propertyNames"},
      {R"({"minProperties":1})", "#", "minProperties"},
      {R"({"dependentRequired":{}})", "#", "dependentRequired"},
      {R"({"unevaluatedProperties":false})", "#", "unevaluatedProperties"},
      {R"({"properties":{"a":{"requierd":[]}}})", "#/properties/a", "requierd"},
      {R"({"properties":{"p":{"type":"string","format":"iri"}}})", "#/properties/p", "iri"},
      {R"({"properties":{"p":{"enum":[1],"minimum":0}}})", "#/properties/p", "minimum"},
      {R"_({"properties":{"p":{"pattern":"(?=a)"}}})_", "#/properties/p/pattern", "look-ahead"},
      {R"({"type":"strin"})", "#", "type"},
      {R"({"type":[]})", "#", "type"},
      {R"({"required":"a"})", "#", "required"},
      {R"({"minLength":-1})", "#", "minLength"},
      {R"({"minItems":1.5})", "#", "minItems"},
      {R"({"exclusiveMinimum":true})", "#", "exclusiveMinimum"},
      {R"({"enum":[]})", "#", "enum"},
      {R"({"anyOf":[]})", "#", "anyOf"},
      {R"({"properties":{"a":3}})", "#/properties/a", "schema"},
      {R"({"$ref":"other.json"})", "#", "other.json"},
      {R"({"items":{"$ref":"#/$defs/missing"}})", "#/items", "missing"},
      {R"({"required":["a"],"properties":{},"additionalProperties":false})", "#", "required"},
  };
  for (const auto& c : kCases) {
    const absl::Status status = Refusal(c.schema);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.schema << " " << status;
    EXPECT_THAT(std::string(Message(status)), HasSubstr(std::string(c.place))) << c.schema;
    EXPECT_THAT(std::string(Message(status)), HasSubstr(c.keyword)) << c.schema;
  }
}

// What a message repeats of the schema is cut where it is long, between two characters.
TEST(ConstraintSchema, MessagesAreUtf8) {
  for (size_t before = 0; before < 4; ++before) {
    std::string name(before, 'a');
    for (int i = 0; i < 200; ++i) name += "\xF0\x9F\x98\x80";
    for (const std::string& schema :
         {R"({")" + name + R"(":1})", R"({"$ref":")" + name + R"("})", R"({"$ref":"#/)" + name + R"("})",
          R"({"properties":{")" + name + R"(":{"not":{}}}})",
          R"({"$ref":"#/$defs/)" + name + R"(","$defs":{")" + name + R"(":{"not":{}}}})"}) {
      const absl::Status status = Refusal(schema);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << schema;
      EXPECT_LT(status.message().size(), 1000u) << schema;
      EXPECT_TRUE(IsValidUtf8(Message(status))) << status;
    }
  }
}

TEST(ConstraintSchema, WhatCannotBeSatisfiedIsRefused) {
  for (const char* schema :
       {"false", R"({"type":"integer","minimum":3,"maximum":2})",
        R"({"type":"array","minItems":2,"maxItems":1})",
        R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})",
        R"({"allOf":[{"type":"string"},{"type":"integer"}]})",
        R"({"type":"string","pattern":"^a$","minLength":2})",
        R"({"type":"integer","exclusiveMinimum":3,"exclusiveMaximum":4})",
        R"({"enum":["a"],"type":"integer"})", R"({"allOf":[{"enum":[1,2]},{"enum":[3]}]})",
        R"({"type":"array","prefixItems":[false],"minItems":1})", R"({"$ref":"#"})",
        R"({"anyOf":[{"$ref":"#"},{"type":"string"}]})", R"({"const":1,"enum":[2]})"}) {
    const absl::Status status = Refusal(schema);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << schema << " " << status;
  }
}

TEST(ConstraintSchema, WhatIsNotASchemaIsRefused) {
  for (const char* schema :
       {"", "{", "[]", "1", "\"a\"", "{\"type\":\"string\"} x", "{\"a\":1,\"a\":2}", "\xFF"}) {
    EXPECT_EQ(Refusal(schema).code(), absl::StatusCode::kInvalidArgument) << schema;
  }
}

TEST(ConstraintSchema, NullableAddsNull) {
  const auto constraint = Schema(R"({"$defs":{"s":{"type":"string"}},"$ref":"#/$defs/s","nullable":true})");
  EXPECT_TRUE(Matches(constraint, "null"));
  EXPECT_TRUE(Matches(constraint, "\"a\""));
  EXPECT_FALSE(Matches(constraint, "1"));
}

TEST(ConstraintSchema, OlderSpellingsOfTuples) {
  const auto constraint =
      Schema(R"({"items":[{"type":"integer"},{"type":"string"}],"additionalItems":{"type":"null"}})");
  EXPECT_TRUE(Matches(constraint, R"([1, "a", null, null])"));
  EXPECT_FALSE(Matches(constraint, R"([1, "a", 1])"));
}

TEST(ConstraintSchema, AtMostOneSpaceAfterCommaAndColon) {
  const auto constraint = Compiled({Kind::kJsonObject});
  EXPECT_TRUE(Matches(constraint, R"({"a": 1,"b":2, "c": [1,2, {}]})"));
  for (const char* text : {R"({ "a":1})", R"({"a" :1})", R"({"a":  1})", R"({"a":1 })", R"({"a":1,  "b":2})",
                           "{\"a\":\n1}", "{} ", " {}", "[]", "1"}) {
    EXPECT_FALSE(Matches(constraint, text)) << text;
  }
}

TEST(ConstraintSchema, EscapesOfAnyString) {
  const auto constraint = Schema(R"({"type":"string"})");
  for (const char* text :
       {R"("\u00e9")", R"("\uD83D\uDE00")", R"("\ud7ff\ue000\/")", R"("\"\\\b\f\n\r\t")"}) {
    EXPECT_TRUE(Matches(constraint, text)) << text;
  }
  for (const char* text :
       {R"("\uD83D")", R"("\uD83Dx")", R"("\uD83D\uD83D")", R"("\uDE00")", R"("\u12G4")", R"("\a")",
        "\"\xC0\x80\"", "\"\xED\xA0\x80\"", "\"\xF4\x90\x80\x80\"", "\"\xE9\"", "\"\x1F\""}) {
    EXPECT_FALSE(Matches(constraint, text)) << text;
  }
}

TEST(ConstraintSchema, MustEndAndCanEnd) {
  ConstraintState number(Schema(R"({"type":"integer","maximum":19,"minimum":1})"), ByteTrie());
  EXPECT_FALSE(number.CanEnd());
  ASSERT_TRUE(number.AcceptBytes("1"));
  EXPECT_TRUE(number.CanEnd());
  EXPECT_FALSE(number.MustEnd());
  ASSERT_TRUE(number.AcceptBytes("9"));
  EXPECT_TRUE(number.CanEnd());
  EXPECT_TRUE(number.MustEnd());
  EXPECT_FALSE(number.AcceptBytes("0"));
  EXPECT_TRUE(number.MustEnd()) << "a refused byte changes nothing";
}

}  // namespace
}  // namespace qiao::text
