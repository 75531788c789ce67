// Regexes and choices over whole texts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/text/constraint.h"
#include "tests/text/constraint_fixture.h"

namespace qiao::text {
namespace {

using testing::HasSubstr;

TEST(ConstraintRegex, MatchesWholeTexts) {
  const struct {
    const char* pattern;
    std::vector<const char*> matches, others;
  } kCases[] = {
      {"abc", {"abc"}, {"", "ab", "abcd", "xabc"}},
      {"^abc$", {"abc"}, {"abcd"}},
      {"", {""}, {"a"}},
      {"a|bc|", {"a", "bc", ""}, {"b", "abc"}},
      {"(a|b)*c+d?", {"c", "abac", "ccd"}, {"", "ab", "cdd"}},
      {"(?:ab){2,3}", {"abab", "ababab"}, {"ab", "abababab"}},
      {"a{2}", {"aa"}, {"a", "aaa"}},
      {"a{2,}", {"aa", "aaaaa"}, {"a"}},
      {"a{,2}", {"a{,2}"}, {"a", "aa"}},
      {"a*?b+?c??", {"b", "aabb", "bc"}, {"", "a"}},
      {"[a-cx]+", {"abcx"}, {"d", ""}},
      {"[^a-c]", {"d", "é", "漢", "😀", "\n"}, {"a", "", "dd"}},
      {"[]", {}, {"", "]"}},
      {"[^]", {"a", "\n"}, {""}},
      {"[\\]\\\\-]", {"]", "\\", "-"}, {"a"}},
      {"[\\w-]+", {"a-b_1"}, {"a.b"}},
      {".", {"a", "é", "漢", "😀", "\x7F"}, {"", "\n", "\r", "\xE2\x80\xA8", "ab"}},
      {"\\d\\D\\w\\W\\s\\S", {"1x_- z"}, {"aaaaaa", "1x_-zz"}},
      {"[\\d]{2}:[^\\d]", {"12:a"}, {"12:1"}},
      {"é[à-ü]", {"éê"}, {"ée", "e"}},
      {"\\u00e9\\x41\\u{1F600}\\uD83D\\uDE00", {"éA😀😀"}, {"éA😀"}},
      {"\\p{Lu}\\p{Han}+\\P{L}", {"A漢字1", "É漢!"}, {"a漢1", "A漢漢"}},
      {"(?<year>\\d{4})-(?P<month>\\d\\d)", {"2024-01"}, {"24-01"}},
      {"\\t\\n\\.\\*\\cJ\\0?", {"\t\n.*\n"}, {"\t\n.*"}},
      {"(^a|b$|c)d?", {}, {}},
      {"^a|b$", {"a", "b"}, {"ab", ""}},
      {"(?:^a$)|(^b)", {"a", "b"}, {"ab"}},
      {"((a*)*)*b", {"b", "aaab"}, {"a"}},
      {"(a|a)*", {"", "aaa"}, {"b"}},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.pattern);
    if (c.matches.empty()) {
      EXPECT_FALSE(CompileConstraint({Kind::kRegex, c.pattern}).ok());
      continue;
    }
    const auto constraint = Compiled({Kind::kRegex, c.pattern});
    ASSERT_NE(constraint, nullptr);
    for (const char* text : c.matches) EXPECT_TRUE(Matches(constraint, text)) << text;
    for (const char* text : c.others) EXPECT_FALSE(Matches(constraint, text)) << text;
  }
}

TEST(ConstraintRegex, IsUtf8) {
  const auto constraint = Compiled({Kind::kRegex, "[^]*"});
  for (const char* text : {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80", "\xE9", "\xFF"}) {
    EXPECT_FALSE(Matches(constraint, text));
  }
  // A token may end inside a character, the text may not.
  ConstraintState state(constraint, ByteTrie());
  ASSERT_TRUE(state.AcceptBytes("\xE6\xBC"));
  EXPECT_FALSE(state.CanEnd());
  ASSERT_TRUE(state.AcceptBytes("\xA2"));
  EXPECT_TRUE(state.CanEnd());
}

TEST(ConstraintRegex, RefusesByName) {
  const struct {
    const char* pattern;
    const char* name;
  } kCases[] = {
      {"(?=a)", "look-ahead"},
      {"a(?!b)", "look-ahead"},
      {"(?<=a)b", "look-behind"},
      {"(?<!a)b", "look-behind"},
      {"(a)\\1", "back-ref"},
      {"(?<n>a)\\k<n>", "back-ref"},
      {"(?P<n>a)(?P=n)", "back-ref"},
      {"\\bfoo", "word bound"},
      {"(?i)a", "flags"},
      {"a*+", "possessive"},
      {"(?>a)", "atomic"},
      {"[[:alpha:]]", "POSIX"},
      {"a^b", "ends"},
      {"(a$)b", "ends"},
      {"\\Aa", "anchor"},
      {"a**", "quantifier"},
      {"*a", "repeat"},
      {"{2}", "repeat"},
      {"a{3,2}", "backwards"},
      {"[b-a]", "backwards"},
      {"(a", "'('"},
      {"a)", "')'"},
      {"[a", "'['"},
      {"a\\", "'\\'"},
      {"\\q", "escape"},
      {"\\p{Klingon}", "property"},
      {"\\xZZ", "hexadecimal"},
      {"\\u{110000}", "hexadecimal"},
      {"\xFF", "UTF-8"},
      {"^*", "anchor"},
  };
  for (const auto& c : kCases) {
    const absl::Status status = CompileConstraint({Kind::kRegex, c.pattern}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.pattern << " " << status;
    EXPECT_THAT(std::string(Message(status)), HasSubstr(c.name)) << c.pattern;
  }
}

TEST(ConstraintChoice, OneOfThem) {
  ConstraintSpec spec{Kind::kChoice};
  spec.choices = {"yes", "no", "yes, but", "漢字", "no"};
  const auto constraint = Compiled(spec);
  for (const std::string& choice : spec.choices) EXPECT_TRUE(Matches(constraint, choice));
  for (const char* text : {"", "y", "yes,", "yes, but ", "漢", "YES"})
    EXPECT_FALSE(Matches(constraint, text)) << text;
  ConstraintState state(constraint, ByteTrie());
  ASSERT_TRUE(state.AcceptBytes("no"));
  EXPECT_TRUE(state.MustEnd());

  spec.choices = {};
  EXPECT_EQ(CompileConstraint(spec).status().code(), absl::StatusCode::kInvalidArgument);
  spec.choices = {"a", "\xFF"};
  EXPECT_EQ(CompileConstraint(spec).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ConstraintChoice, MasksAreTheTokensThatLeadToOne) {
  const auto trie = *TokenTrie::FromTokens({"y", "ye", "yes", "s", "es", "n", "no", "", "yesno", "yes"});
  ConstraintSpec spec{Kind::kChoice};
  spec.choices = {"yes", "no"};
  ConstraintState state(Compiled(spec), trie);
  EXPECT_EQ(MaskOf(state, *trie), std::vector<bool>({1, 1, 1, 0, 0, 1, 1, 0, 0, 1}));
  ASSERT_TRUE(state.Accept(0));
  EXPECT_EQ(MaskOf(state, *trie), std::vector<bool>({0, 0, 0, 0, 1, 0, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace qiao::text
