// The pattern engine and the splits that are built on it.
#include "runtime/text/pretokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/text/pretokenizer_regex.h"
#include "runtime/text/pretokenizer_unicode.h"
#include "tests/text/tokenizer_fixture.h"

namespace qiao::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Split(const Json& spec, const std::string& text) {
  const auto pre = PreTokenizer::FromJson(spec, "pre_tokenizer");
  EXPECT_TRUE(pre.ok()) << pre.status();
  std::vector<std::string> pieces;
  if (!pre.ok()) return pieces;
  const auto words = pre->Split(text, true);
  EXPECT_TRUE(words.ok()) << words.status();
  for (const TextRange& r : words->ranges) pieces.push_back(words->text.substr(r.first, r.last - r.first));
  return pieces;
}

Json SplitOn(const char* kind, const char* pattern, const char* behavior, bool invert = false) {
  return {{"type", "Split"}, {"pattern", {{kind, pattern}}}, {"behavior", behavior}, {"invert", invert}};
}

TEST(Regex, CutsAsOniguruma) {
  const std::vector<Json> lines = JsonLines("golden/tokenizers/patterns.jsonl");
  ASSERT_GT(lines.size(), 40u);
  for (const Json& line : lines) {
    const std::string pattern = line.at("pattern");
    for (const Json& entry : line.at("cases")) {
      EXPECT_EQ(Split(SplitOn("Regex", pattern.c_str(), "Isolated"), entry[0]),
                entry[1].get<std::vector<std::string>>())
          << pattern << " on " << entry[0].dump();
    }
  }
}

TEST(Regex, RefusesWhatItDoesNotKnow) {
  const std::pair<const char*, const char*> bad[] = {
      {"(", "'(' without ')'"},       {")", "')' without '('"},
      {"[a", "'[' without ']'"},      {"[]a]", "empty class"},
      {"*a", "nothing to repeat"},    {"[z-a]", "runs backwards"},
      {"a{3,1}", "run backwards"},    {"\\", "'\\' at the end"},
      {"\\x{110000}", "hexadecimal"}, {"(?<=a)b", "lookbehind"},
      {"(?<n>a)", "kind of group"},   {"\\1", "this escape"},
      {"\\p{Klingon}", "property"},   {"\\p{L", "without '}'"},
      {"[[:alpha:]]", "POSIX"},       {"(a*)*", "match nothing"},
      {"a{1001}", "above 1000"},      {"a**", "quantifier of a quantifier"},
      {"a{2}+", "after {n,m}"},       {"(?=a)*", "repeating this"},
      {"\xff", "not UTF-8"},          {"((a{1000}){1000}){99}", "too large"}};
  for (const auto& [pattern, message] : bad) {
    const auto regex = Regex::Compile(pattern);
    ASSERT_FALSE(regex.ok()) << pattern;
    EXPECT_THAT(std::string(Message(regex.status())), HasSubstr(message)) << pattern;
  }
  EXPECT_FALSE(Regex::Compile(std::string(100, '(')).ok());
  EXPECT_FALSE(Regex::Compile(std::string(100, '[')).ok());
  EXPECT_FALSE(Regex::Compile(std::string(kMaxPatternBytes + 1, 'a')).ok());
}

TEST(Regex, BacktrackingIsBounded) {
  for (const char* pattern : {"(?:a|aa)+b", "(?:a|a)+b", "(?:a+)+b", "a+b", "(?:(?:a+)+)+b"}) {
    const auto regex = Regex::Compile(pattern);
    ASSERT_TRUE(regex.ok()) << regex.status();
    std::vector<TextRange> matches;
    const absl::Status status = regex->FindAll(std::string(20'000, 'a'), &matches);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << pattern;
  }
}

TEST(Regex, LongRunsCostLinearWork) {
  const auto regex = Regex::Compile(
      R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)");
  ASSERT_TRUE(regex.ok()) << regex.status();
  for (const char* unit : {" ", "\n", "a", "1", "!", "\xE2\x80\xA8", "a ", " \n "}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    std::vector<TextRange> matches;
    EXPECT_TRUE(regex->FindAll(text + "x", &matches).ok()) << unit;
  }
}

TEST(CodePointSet, Algebra) {
  const CodePointSet a = CodePointSet(5, 9).Union({20, 30}).Union({10, 12});
  EXPECT_THAT(a.ranges(), ElementsAre(CodePointSet::Range{5, 12}, CodePointSet::Range{20, 30}));
  EXPECT_EQ(a.Complement().Complement().ranges(), a.ranges());
  EXPECT_THAT(a.Intersection({12, 20}).ranges(),
              ElementsAre(CodePointSet::Range{12, 12}, CodePointSet::Range{20, 20}));
  EXPECT_TRUE(CodePointSet(0, kMaxCodePoint).Complement().empty());
}

TEST(CodePointTable, AgreesWithItsSet) {
  for (const char* name : {"L", "Nd", "Han", "word", "Cn", "space"}) {
    const CodePointSet set = *UnicodeProperty(name);
    const CodePointTable table(set);
    for (uint32_t c = 0; c <= kMaxCodePoint; c += c < 0x3000 ? 1 : 7) {
      ASSERT_EQ(table.Has(c), set.Contains(c)) << name << " " << c;
    }
  }
}

TEST(PreTokenizer, Behaviours) {
  const auto cut = [](const char* behavior, bool invert = false) {
    return Split(SplitOn("String", "-", behavior, invert), "a--b-");
  };
  EXPECT_THAT(cut("Removed"), ElementsAre("a", "b"));
  EXPECT_THAT(cut("Removed", true), ElementsAre("-", "-", "-"));
  EXPECT_THAT(cut("Isolated"), ElementsAre("a", "-", "-", "b", "-"));
  EXPECT_THAT(cut("MergedWithPrevious"), ElementsAre("a-", "-", "b-"));
  EXPECT_THAT(cut("MergedWithNext"), ElementsAre("a", "-", "-b", "-"));
  EXPECT_THAT(cut("Contiguous"), ElementsAre("a", "--", "b", "-"));
}

TEST(PreTokenizer, Digits) {
  EXPECT_THAT(Split({{"type", "Digits"}, {"individual_digits", true}}, "a12½b"),
              ElementsAre("a", "1", "2", "½", "b"));
  EXPECT_THAT(Split({{"type", "Digits"}}, "a12b3"), ElementsAre("a", "12", "b", "3"));
}

TEST(PreTokenizer, NamesWhatItRefuses) {
  const auto message = [](const Json& spec) {
    return std::string(Message(PreTokenizer::FromJson(spec, "t.json: pre_tokenizer").status()));
  };
  EXPECT_THAT(message({{"type", "UnicodeScripts"}}),
              HasSubstr("t.json: pre_tokenizer: pre-tokenizer type \"UnicodeScripts\""));
  EXPECT_THAT(message({{"type", "Sequence"}, {"pretokenizers", {{{"type", "Split"}}}}}),
              HasSubstr("pre_tokenizer.pretokenizers[0].pattern: must be"));
  EXPECT_THAT(message(SplitOn("String", "a", "Sideways")), HasSubstr("behavior: \"Sideways\""));
  EXPECT_THAT(message(3), HasSubstr("\"type\""));
  Json deep = {{"type", "ByteLevel"}};
  for (int i = 0; i < 20; ++i) deep = {{"type", "Sequence"}, {"pretokenizers", Json::array({deep})}};
  EXPECT_THAT(message(deep), HasSubstr("nested too deeply"));
}

TEST(ByteAlphabet, EveryByteComesBack) {
  std::string all;
  for (int b = 0; b < 256; ++b) all.push_back(static_cast<char>(b));
  EXPECT_EQ(ByteAlphabet::Unmap(ByteAlphabet::Map(all)), all);
  EXPECT_EQ(ByteAlphabet::Map(" "), "Ġ");
  EXPECT_EQ(ByteAlphabet::Unmap("<｜x｜>"), "<｜x｜>");
}

}  // namespace
}  // namespace qiao::text
