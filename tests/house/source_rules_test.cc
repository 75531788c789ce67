// What every file of the repository keeps to, besides what the compiler and clang-format see.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tests/house/tree.h"

namespace qiao::house {
namespace {

// A file, or a folder with its '/' at the end, that need not keep to a rule, and why.
struct Exception {
  std::string_view path;
  std::string_view reason;
};

bool IsExcepted(const std::vector<Exception>& exceptions, const std::string& path) {
  return std::any_of(exceptions.begin(), exceptions.end(), [&](const Exception& e) {
    return e.path == path || (EndsWith(e.path, "/") && StartsWith(path, e.path));
  });
}

// An exception that nothing needs any more is itself an error: the lists stay true.
void ExpectUsed(const std::vector<Exception>& exceptions, const std::vector<std::string>& offenders) {
  for (const Exception& e : exceptions) {
    EXPECT_TRUE(std::any_of(offenders.begin(), offenders.end(),
                            [&](const std::string& path) { return IsExcepted({e}, path); }))
        << e.path << " keeps to the rule now: take it off the list (" << e.reason << ")";
  }
}

bool IsWordCharacter(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// The position of `word` in `text` (both lower case) as a word of its own: "cann" is not in "cannot", but an
// underscore or a digit ends a word ("cuda_graph", "amx2").
size_t FindWord(std::string_view text, std::string_view word) {
  const auto is_letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !is_letter(text[at - 1])) && (end == text.size() || !is_letter(text[end]))) return at;
  }
  return std::string_view::npos;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
  return lower;
}

// ---- no chip's name above backends/ ----

constexpr std::string_view kChips[] = {
    "cuda",     "cublas", "cudnn",    "nccl",   "nvidia",   "hopper",    "blackwell", "ascend",
    "cann",     "aclnn",  "hccl",     "huawei", "davinci",  "rocm",      "hip",       "amd",
    "radeon",   "musa",   "mthreads", "maca",   "metax",    "cambricon", "hygon",     "kunlun",
    "iluvatar", "biren",  "enflame",  "amx",    "avx",      "avx2",      "avx512",    "neon",
    "sve",      "intel",  "xeon",     "epyc",   "graviton", "apple",
};

const std::vector<Exception>& ChipExceptions() {
  static const auto* const exceptions = new std::vector<Exception>{
      {"tools/infer/machine.cc",
       "infer doctor repeats what the host's system says of its CPU; nothing depends on it"},
      {"tools/test-x86-cpus", "which variant each emulated processor must choose; for tests only"},
  };
  return *exceptions;
}

TEST(SourceRules, WordsAreFoundAsWords) {
  EXPECT_EQ(FindWord("one cannot say", "cann"), std::string_view::npos);
  EXPECT_EQ(FindWord("in ascending order", "ascend"), std::string_view::npos);
  EXPECT_EQ(FindWord("use cuda here", "cuda"), 4u);
  EXPECT_EQ(FindWord("cuda_graph", "cuda"), 0u);
  EXPECT_EQ(FindWord("cuda:1", "cuda"), 0u);
}

// runtime/, models/ and tools/ are the same on every chip.
TEST(SourceRules, NoChipIsNamedAboveTheBackends) {
  std::vector<std::string> offenders;
  int files = 0;
  for (const File& file : ReadTree(Kind::kAny)) {
    const bool above = StartsWith(file.path, "runtime/") || StartsWith(file.path, "models/") ||
                       StartsWith(file.path, "tools/");
    // Documents may compare and explain; a demo model's card says what it was trained on.
    if (!above || EndsWith(file.path, ".md")) continue;
    ++files;
    for (const Line& line : file.Lines()) {
      const std::string text = Lower(line.text);
      for (std::string_view chip : kChips) {
        if (FindWord(text, chip) == std::string_view::npos) continue;
        offenders.push_back(file.path);
        EXPECT_TRUE(IsExcepted(ChipExceptions(), file.path))
            << file.path << ":" << line.number << " names \"" << chip << "\", which belongs below backends/";
      }
    }
  }
  EXPECT_GT(files, 50) << "the tree was not read";
  ExpectUsed(ChipExceptions(), offenders);
}

// ---- nothing outside the repository ----

TEST(SourceRules, NothingPointsOutOfTheRepository) {
  // Put together here, or this file would break its own rule.
  const std::vector<std::string> outside = {std::string("../") + "shared", std::string("/work") + "/",
                                            std::string("/root") + "/", std::string("/home") + "/"};
  for (const File& file : ReadTree(Kind::kAny)) {
    for (const Line& line : file.Lines()) {
      for (const std::string& path : outside) {
        EXPECT_EQ(line.text.find(path), std::string_view::npos)
            << file.path << ":" << line.number << " names " << path << ", which no clone has";
      }
    }
  }
}

// ---- files of one idea ----

constexpr int kMostLines = 600;

const std::vector<Exception>& LengthExceptions() {
  static const auto* const exceptions = new std::vector<Exception>{
      {"runtime/text/jinja_unicode_tables.inc", "a generated table"},
      {"runtime/text/pretokenizer_unicode.inc", "a generated table"},
  };
  return *exceptions;
}

TEST(SourceRules, FilesAreShort) {
  std::vector<std::string> offenders;
  for (const File& file : ReadTree(Kind::kSource)) {
    const int lines = static_cast<int>(file.Lines().size());
    if (lines <= kMostLines) continue;
    offenders.push_back(file.path);
    EXPECT_TRUE(IsExcepted(LengthExceptions(), file.path))
        << file.path << " has " << lines << " lines, more than " << kMostLines << ": split it by idea";
  }
  ExpectUsed(LengthExceptions(), offenders);
}

// ---- nothing left for later ----

TEST(SourceRules, NothingIsLeftForLater) {
  const std::vector<std::string> marks = {std::string("TO") + "DO", std::string("FIX") + "ME",
                                          std::string("XX") + "X"};
  for (const File& file : ReadTree(Kind::kAny)) {
    for (const Line& line : file.Lines()) {
      for (const std::string& mark : marks) {
        const size_t at = line.text.find(mark);
        if (at == std::string_view::npos) continue;
        const size_t end = at + mark.size();
        const bool is_word = (at == 0 || !IsWordCharacter(line.text[at - 1])) &&
                             (end == line.text.size() || !IsWordCharacter(line.text[end]));
        EXPECT_FALSE(is_word) << file.path << ":" << line.number << ": finish it, or open an issue";
      }
    }
  }
}

// ---- headers and scripts ----

TEST(SourceRules, HeadersAreGuardedAndExplained) {
  for (const File& file : ReadTree(Kind::kSource)) {
    const bool is_header = EndsWith(file.path, ".h") || EndsWith(file.path, ".hpp");
    // Highway's foreach_target includes "-inl.h" files once for every target: their guards are their own.
    if (!is_header || EndsWith(file.path, "-inl.h") || StartsWith(file.path, "tests/")) continue;
    EXPECT_TRUE(file.text.find("#pragma once") != std::string::npos ||
                file.text.find("#ifndef") != std::string::npos)
        << file.path << " has no include guard";
    EXPECT_TRUE(StartsWith(file.text, "//") || StartsWith(file.text, "/*"))
        << file.path << " does not begin with a comment that says what it is";
  }
}

TEST(SourceRules, ScriptsCanBeRun) {
  for (std::string_view path :
       {"tools/start", "tools/test", "tools/test-aarch64", "tools/test-x86-cpus", ".ci/run"}) {
    const auto mode = std::filesystem::status(std::filesystem::path(QIAO_ROOT) / path).permissions();
    EXPECT_NE(mode & std::filesystem::perms::owner_exec, std::filesystem::perms::none)
        << path << " is not executable";
  }
}

// README.md's example is the program that the install test builds and runs.
TEST(SourceRules, TheExampleIsTheTestedOne) {
  std::string readme, example;
  for (const File& file : ReadTree(Kind::kAny)) {
    if (file.path == "README.md") readme = file.text;
    if (file.path == "tests/house/consumer/main.cc") example = file.text;
  }
  ASSERT_FALSE(example.empty());
  EXPECT_NE(readme.find("```cpp\n" + example + "```"), std::string::npos);
}

}  // namespace
}  // namespace qiao::house
