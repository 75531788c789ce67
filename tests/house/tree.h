// The repository's own text, as the house rules read it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace qiao::house {

struct Line {
  int number = 0;  // from 1
  std::string_view text;
};

struct File {
  std::string path;  // from the repository's root, with '/'
  std::string text;
  std::vector<Line> Lines() const;
};

enum class Kind {
  kSource,  // C and C++: .h .hpp .c .cc .inc .cu .cuh
  kAny,     // those, CMake, scripts and documents
};

// All files of that kind, by path; build folders and data (tests/golden, models/*/ other than sources, fuzz
// corpora) are left out. Throws std::filesystem errors: tests may.
std::vector<File> ReadTree(Kind kind);

bool StartsWith(std::string_view text, std::string_view prefix);
bool EndsWith(std::string_view text, std::string_view suffix);

}  // namespace qiao::house
