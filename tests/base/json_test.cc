#include "runtime/base/json.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/base/json_cases.h"

namespace qiao {
namespace {

TEST(Json, AcceptsWhatIsJson) {
  for (const std::string& text : GoodJson()) {
    const absl::StatusOr<Json> json = ParseJson(text, "good.json");
    EXPECT_TRUE(json.ok()) << text << ": " << json.status();
    const absl::StatusOr<OrderedJson> ordered = ParseOrderedJson(text, "good.json");
    ASSERT_TRUE(ordered.ok()) << text << ": " << ordered.status();
    // The library's own document of the same text is the measure.
    EXPECT_EQ(*json, Json::parse(text));
    EXPECT_EQ(ordered->dump(), OrderedJson::parse(text).dump());
  }
}

TEST(Json, RefusesWhatIsNot) {
  for (const std::string& text : BadJson()) {
    const absl::Status status = ParseJson(text, "bad.json").status();
    EXPECT_FALSE(status.ok()) << text;
    EXPECT_EQ(Message(status).substr(0, 10), "bad.json: ") << status;
    EXPECT_FALSE(ParseOrderedJson(text, "bad.json").ok()) << text;
  }
}

TEST(Json, ErrorsSayWhere) {
  EXPECT_EQ(Message(ParseJson("{\"a\": 1, \"b\": x}", "f.json").status()).substr(0, 25),
            "f.json: byte 14: not JSON");
  const absl::Status duplicate = ParseJson(R"({"a": 1, "b": {"c": 1, "c": 2}})", "f.json").status();
  EXPECT_TRUE(absl::IsInvalidArgument(duplicate));
  EXPECT_NE(Message(duplicate).find("duplicate key \"c\""), std::string_view::npos) << duplicate;
  EXPECT_NE(Message(duplicate).find("byte 2"), std::string_view::npos) << duplicate;
  // Messages quote the input: what they quote is short and printable.
  const absl::Status long_word = ParseJson("[\"" + std::string(100'000, '\xff') + "\"]", "f.json").status();
  EXPECT_LT(Message(long_word).size(), 400u);
  for (const char c : Message(long_word)) EXPECT_TRUE(c >= 0x20 && c < 0x7f);
}

TEST(Json, RefusesDuplicateKeys) {
  for (const char* text :
       {R"({"a":1,"a":1})", R"({"a":1,"b":2,"a":{}})", R"([{"a":1,"\u0061":2}])", R"({"":1,"":2})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseJson(text, "f").status())) << text;
    EXPECT_TRUE(absl::IsInvalidArgument(ParseOrderedJson(text, "f").status())) << text;
  }
  // The same key in different objects is fine.
  EXPECT_TRUE(ParseJson(R"({"a":{"a":1},"b":{"a":1}})", "f").ok());
  EXPECT_TRUE(ParseOrderedJson(R"([{"a":{"a":1}},{"a":1}])", "f").ok());
}

TEST(Json, NumbersOutOfRange) {
  EXPECT_FALSE(ParseJson("1e309", "f").ok());
  EXPECT_FALSE(ParseJson("[-1e999]", "f").ok());
  EXPECT_FALSE(ParseOrderedJson("[1e309]", "f").ok());
  EXPECT_TRUE(ParseJson("1e308", "f").ok());
  EXPECT_EQ(ParseJson("1e-400", "f")->get<double>(), 0.0);
  EXPECT_EQ(ParseJson("18446744073709551615", "f")->get<uint64_t>(), UINT64_MAX);
  EXPECT_EQ(ParseJson("-9223372036854775808", "f")->get<int64_t>(), INT64_MIN);
  EXPECT_TRUE(ParseJson("18446744073709551616", "f")->is_number_float());
}

TEST(Json, Limits) {
  const auto code = [](std::string_view text, const JsonLimits& limits) {
    const absl::StatusCode code = ParseJson(text, "f", limits).status().code();
    EXPECT_EQ(ParseOrderedJson(text, "f", limits).status().code(), code);
    return code;
  };
  constexpr auto kOk = absl::StatusCode::kOk;
  constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;
  EXPECT_EQ(code("[1,2]", {.max_bytes = 5}), kOk);
  EXPECT_EQ(code("[1,2]", {.max_bytes = 4}), kExhausted);
  EXPECT_EQ(code("[[1]]", {.max_depth = 2}), kOk);
  EXPECT_EQ(code("[[1]]", {.max_depth = 1}), kExhausted);
  EXPECT_EQ(code("{\"a\":[]}", {.max_depth = 1}), kExhausted);
  EXPECT_EQ(code("1", {.max_depth = 0}), kOk);
  EXPECT_EQ(code("[1,2,[]]", {.max_values = 4}), kOk);
  EXPECT_EQ(code("[1,2,[]]", {.max_values = 3}), kExhausted);
  EXPECT_EQ(code(R"({"a":1,"b":2})", {.max_object_keys = 2}), kOk);
  EXPECT_EQ(code(R"({"a":1,"b":2})", {.max_object_keys = 1}), kExhausted);
  EXPECT_EQ(code(R"([{"a":1},{"b":2}])", {.max_object_keys = 1}), kOk);
}

TEST(Json, OrderedKeepsOrderAndBoundsItsKeys) {
  EXPECT_EQ(ParseOrderedJson(R"({"b":1,"a":{"z":1,"y":2}})", "f")->dump(), R"({"b":1,"a":{"z":1,"y":2}})");
  const auto object = [](int keys) {
    std::string text = "{";
    for (int i = 0; i < keys; ++i) text += absl::StrFormat("%s\"k%d\":%d", i ? "," : "", i, i);
    return text + "}";
  };
  const absl::StatusOr<OrderedJson> most = ParseOrderedJson(object(10'000), "f");
  ASSERT_TRUE(most.ok()) << most.status();
  EXPECT_EQ(most->size(), 10'000u);
  EXPECT_EQ((*most)["k9999"], 9999);
  EXPECT_TRUE(absl::IsResourceExhausted(ParseOrderedJson(object(10'001), "f").status()));
  EXPECT_TRUE(ParseJson(object(10'001), "f").ok());
}

}  // namespace
}  // namespace qiao
