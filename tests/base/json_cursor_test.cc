#include "runtime/base/json_cursor.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/json.h"
#include "tests/base/json_cases.h"

namespace qiao {
namespace {

absl::Status Skip(std::string text) {
  JsonCursor json(absl::MakeSpan(text), "f.json");
  QIAO_RETURN_IF_ERROR(json.SkipValue());
  return json.End();
}

TEST(JsonCursor, AgreesWithTheParser) {
  for (const std::string& text : GoodJson()) EXPECT_TRUE(Skip(text).ok()) << text << ": " << Skip(text);
  for (const std::string& text : BadJson()) EXPECT_TRUE(absl::IsInvalidArgument(Skip(text))) << text;
}

// Every string of the shared cases, and every escape, decodes as the parser decodes it.
TEST(JsonCursor, StringsDecodeInPlace) {
  std::vector<std::string> texts;
  for (const std::string& text : GoodJson()) {
    if (text[0] == '"') texts.push_back(text);
  }
  for (int code = 0; code < 0x10000; code += 37) {
    if (code < 0xd800 || code > 0xdfff) texts.push_back(absl::StrFormat("\"a\\u%04xz\"", code));
  }
  for (int code = 0; code < 0x100000; code += 4099) {
    texts.push_back(absl::StrFormat("\"\\u%04X\\u%04x\"", 0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff)));
  }
  for (std::string text : texts) {
    const std::string expected = *ParseJson(text, "f");
    JsonCursor json(absl::MakeSpan(text), "f.json");
    const absl::StatusOr<std::string_view> string = json.ReadString();
    ASSERT_TRUE(string.ok()) << text << ": " << string.status();
    EXPECT_EQ(*string, expected);
    EXPECT_TRUE(json.End().ok());
  }
}

TEST(JsonCursor, ReadsAKnownForm) {
  std::string text = R"({"skip": [1, {"x": "y"}], "list": [1, 20, 300], "name": "a\nb"})";
  JsonCursor json(absl::MakeSpan(text), "f.json");
  std::vector<int64_t> list;
  std::string name;
  const absl::Status status = json.Object([&](std::string_view key) -> absl::Status {
    if (key == "list") {
      return json.Array([&]() -> absl::Status {
        QIAO_ASSIGN_OR_RETURN(list.emplace_back(), json.ReadUnsigned());
        return absl::OkStatus();
      });
    }
    if (key != "name") return json.SkipValue();
    QIAO_ASSIGN_OR_RETURN(name, json.ReadString());
    return absl::OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(json.End().ok());
  EXPECT_EQ(list, (std::vector<int64_t>{1, 20, 300}));
  EXPECT_EQ(name, "a\nb");
}

TEST(JsonCursor, UnsignedNumbers) {
  const auto read = [](std::string text) -> absl::StatusOr<int64_t> {
    JsonCursor json(absl::MakeSpan(text), "f.json");
    QIAO_ASSIGN_OR_RETURN(const int64_t value, json.ReadUnsigned());
    QIAO_RETURN_IF_ERROR(json.End());
    return value;
  };
  EXPECT_EQ(*read("0"), 0);
  EXPECT_EQ(*read(" 9223372036854775807 "), INT64_MAX);
  for (const char* text :
       {"9223372036854775808", "99999999999999999999999", "-1", "1.0", "1e3", "01", "", "\"1\"", "1x"}) {
    EXPECT_FALSE(read(text).ok()) << text;
  }
}

TEST(JsonCursor, ErrorsNameFileAndByte) {
  std::string text = "{\"a\": x}";
  JsonCursor json(absl::MakeSpan(text), "f.json", 8);
  const absl::Status status = json.SkipValue();
  EXPECT_EQ(Message(status).substr(0, 15), "f.json: byte 14") << status;
}

TEST(Utf8SequenceLength, EveryCodePointAndNoOther) {
  for (uint32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xd800 && code < 0xe000) continue;
    char s[4];
    size_t n;
    if (code < 0x80) {
      n = 1, s[0] = static_cast<char>(code);
    } else if (code < 0x800) {
      n = 2, s[0] = static_cast<char>(0xc0 | code >> 6);
    } else if (code < 0x10000) {
      n = 3, s[0] = static_cast<char>(0xe0 | code >> 12);
    } else {
      n = 4, s[0] = static_cast<char>(0xf0 | code >> 18);
    }
    for (size_t i = 1; i < n; ++i) s[i] = static_cast<char>(0x80 | (code >> (6 * (n - 1 - i)) & 0x3f));
    ASSERT_EQ(Utf8SequenceLength(s, s + n), n) << code;
    ASSERT_EQ(Utf8SequenceLength(s, s + n - 1), 0u) << code;
  }
  // Of all sequences of up to three bytes, as many are right as there are code points.
  int right = 0;
  for (uint32_t v = 0; v < 0x1000000; ++v) {
    const char s[3] = {static_cast<char>(v), static_cast<char>(v >> 8), static_cast<char>(v >> 16)};
    if (Utf8SequenceLength(s, s + 3) == 3) ++right;
  }
  EXPECT_EQ(right, 0x10000 - 0x800 - 0x800);
}

}  // namespace
}  // namespace qiao
