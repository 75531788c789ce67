#include "runtime/text/utf8.h"

#include <gtest/gtest.h>

#include <random>

namespace qiao::text {
namespace {

constexpr const char* kR = "\xEF\xBF\xBD";

TEST(Utf8, RepairsByMaximalSubparts) {
  const std::string r = kR;
  const std::pair<std::string, std::string> cases[] = {
      {"", ""},
      {"a\xC3\xA9", "a\xC3\xA9"},
      {"\xFF", r},
      {"\x80\x80", r + r},
      {"\xC0\xAF", r + r},                  // overlong
      {"\xE0\x80\x80", r + r + r},          // overlong
      {"\xED\xA0\x80", r + r + r},          // surrogate
      {"\xF4\x90\x80\x80", r + r + r + r},  // above U+10FFFF
      {"\xF0\x9F\x99"
       "a",
       r + "a"},  // cut short: one for the three bytes
      {"\xF0\x9F\x99", r},
      {"\xE2\x82\xE2\x82\xAC", r + "\xE2\x82\xAC"},
      {"\x61\xF1\x80\x80\xE1\x80\xC2\x62", "a" + r + r + r + "b"},  // the standard's own example
  };
  for (const auto& [bytes, want] : cases) {
    EXPECT_EQ(ReplaceInvalidUtf8(bytes), want) << testing::PrintToString(bytes);
    EXPECT_EQ(IsValidUtf8(bytes), bytes == want);
  }
}

TEST(Utf8, EncodesWhatItDecodes) {
  for (uint32_t code = 0; code <= kMaxCodePoint; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    AppendUtf8(code, &text);
    const Utf8Step step = NextCodePoint(text);
    ASSERT_TRUE(step.valid);
    ASSERT_EQ(step.code, code);
    ASSERT_EQ(step.length, text.size());
    int length;
    ASSERT_EQ(DecodeValid(text.data(), &length), code);
    ASSERT_EQ(static_cast<size_t>(length), text.size());
  }
}

TEST(Utf8Stream, EqualsTheWholeHoweverItIsCut) {
  std::mt19937 random(1);
  const std::string bytes = "aé€🙂\x80\xC2\xE0\xA0\xED\x9F\xF0\x90\xF4\x8F\xFF";
  for (int round = 0; round < 20'000; ++round) {
    std::string text, out;
    for (size_t n = random() % 12; n > 0; --n) text.push_back(bytes[random() % bytes.size()]);
    Utf8Stream stream;
    for (size_t pos = 0; pos < text.size();) {
      const size_t n = std::min<size_t>(1 + random() % 4, text.size() - pos);
      stream.Append(std::string_view(text).substr(pos, n), &out);
      ASSERT_TRUE(IsValidUtf8(out));
      pos += n;
    }
    stream.Finish(&out);
    ASSERT_EQ(out, ReplaceInvalidUtf8(text)) << testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace qiao::text
