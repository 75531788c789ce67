#include "runtime/text/detokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/text/tokenizer_fixture.h"

namespace qiao::text {
namespace {

using testing::HasSubstr;

TEST(Detokenizer, HoldsACharacterUntilItIsWhole) {
  const Tokenizer& tokenizer = GoldenTokenizer("deepseek_v3");
  std::vector<int32_t> ids;  // one token a byte of U+1F642
  for (const char* piece : {"ð", "Ł", "Ļ", "Ĥ"}) ids.push_back(*tokenizer.IdOf(piece));
  Detokenizer detokenizer(&tokenizer, false);
  EXPECT_EQ(detokenizer.Push(ids[0]), "");
  EXPECT_EQ(detokenizer.Push(ids[1]), "");
  EXPECT_EQ(detokenizer.Push(ids[2]), "");
  EXPECT_EQ(detokenizer.Push(ids[3]), "🙂");
  EXPECT_EQ(detokenizer.Push(ids[0]), "");
  EXPECT_EQ(detokenizer.Push(*tokenizer.IdOf("a")), "\uFFFDa");
  EXPECT_EQ(detokenizer.Push(ids[0]), "");
  EXPECT_EQ(detokenizer.Finish(), "\uFFFD");
  EXPECT_EQ(detokenizer.Finish(), "");
}

TEST(Detokenizer, TokenBytesJoinToTheText) {
  for (const char* style : {"deepseek_v3", "llama3", "sentencepiece"}) {
    const Tokenizer& tokenizer = GoldenTokenizer(style);
    const std::string text = "Hello, 汉字 🙂 naïve";
    const auto ids = tokenizer.Encode(text, false);
    ASSERT_TRUE(ids.ok());
    std::string bytes;
    for (const int32_t id : *ids) bytes += tokenizer.TokenBytes(id);
    EXPECT_EQ(bytes, (std::string(style) == "sentencepiece" ? " " : "") + text);
  }
}

TEST(Decoder, NamesWhatItRefuses) {
  const auto message = [](const Json& spec) {
    return std::string(Message(Decoder::FromJson(spec, "t.json: decoder").status()));
  };
  EXPECT_THAT(message({{"type", "WordPiece"}}), HasSubstr("t.json: decoder: decoder type \"WordPiece\""));
  const Json fuse = {{"type", "Fuse"}};
  const Json strip_end = {{"type", "Strip"}, {"content", " "}, {"start", 0}, {"stop", 1}};
  EXPECT_THAT(message({{"type", "Sequence"}, {"decoders", {fuse, strip_end}}}), HasSubstr("decoders[1]"));
  EXPECT_THAT(message({{"type", "Strip"}, {"content", " "}, {"start", -1}, {"stop", 0}}),
              HasSubstr("decoder.start"));
  EXPECT_EQ(message({{"type", "Sequence"}, {"decoders", {strip_end, fuse}}}), "");
}

TEST(StopMatcher, HoldsBackWhatMayBecomeAStop) {
  StopMatcher stop({"\n\nUser:", "END"});
  EXPECT_EQ(stop.Push("Hello\n"), "Hello");
  EXPECT_EQ(stop.Push("\nUs"), "");
  EXPECT_EQ(stop.Push("ual E"), "\n\nUsual ");
  EXPECT_FALSE(stop.stopped());
  EXPECT_EQ(stop.Push("ND of it"), "");
  EXPECT_TRUE(stop.stopped());
  EXPECT_EQ(stop.matched(), 1);
  EXPECT_EQ(stop.Push("more"), "");
  EXPECT_EQ(stop.Finish(), "");
}

TEST(StopMatcher, FinishGivesBackWhatWasNoStop) {
  StopMatcher stop({"", "abc"});
  EXPECT_EQ(stop.Push("xab"), "x");
  EXPECT_EQ(stop.Finish(), "ab");
  EXPECT_FALSE(stop.stopped());
  StopMatcher none({});
  EXPECT_EQ(none.Push("all of it"), "all of it");
}

// Against a search of the whole text: the first end wins, the longest stop among those that end there.
TEST(StopMatcher, DoesNotDependOnTheCuts) {
  std::mt19937 random(5);
  const auto any = [&](size_t most) {
    std::string s;
    for (size_t n = 1 + random() % most; n > 0; --n) s.push_back("ab"[random() % 2]);
    return s;
  };
  for (int round = 0; round < 5000; ++round) {
    const std::vector<std::string> stops = {any(4), any(5), any(3)};
    const std::string text = any(14);
    std::string want = text;
    bool stopped = false;
    for (size_t end = 1; end <= text.size() && !stopped; ++end) {
      for (const std::string& s : stops) {
        if (!std::string_view(text).substr(0, end).ends_with(s)) continue;
        if (!stopped || want.size() > end - s.size()) want = text.substr(0, end - s.size());
        stopped = true;
      }
    }
    StopMatcher matcher(stops);
    std::string out;
    for (size_t pos = 0; pos < text.size();) {
      const size_t n = 1 + random() % 3;
      out += matcher.Push(std::string_view(text).substr(pos, n));
      pos += n;
    }
    out += matcher.Finish();
    ASSERT_EQ(out, want) << text << " " << testing::PrintToString(stops);
    ASSERT_EQ(matcher.stopped(), stopped);
  }
}

}  // namespace
}  // namespace qiao::text
