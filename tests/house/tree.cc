#include "tests/house/tree.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>

namespace qiao::house {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 7> kSourceEndings = {".h", ".hpp", ".c", ".cc", ".inc", ".cu", ".cuh"};
constexpr std::array<std::string_view, 6> kOtherEndings = {".cmake", ".in", ".md", ".py", ".sh", ".map"};
constexpr std::array<std::string_view, 3> kOtherNames = {"CMakeLists.txt", "CMakePresets.json", "NOTICE"};

bool IsSource(std::string_view name) {
  return std::any_of(kSourceEndings.begin(), kSourceEndings.end(),
                     [&](std::string_view ending) { return EndsWith(name, ending); });
}

// Scripts have no ending: tools/start, tools/test, .ci/run.
bool IsScript(const fs::path& path) {
  if (path.has_extension()) return false;
  std::ifstream in(path, std::ios::binary);
  char begin[2] = {};
  in.read(begin, 2);
  return begin[0] == '#' && begin[1] == '!';
}

bool IsOther(const fs::path& path) {
  const std::string name = path.filename().string();
  return std::any_of(kOtherEndings.begin(), kOtherEndings.end(),
                     [&](std::string_view ending) { return EndsWith(name, ending); }) ||
         std::find(kOtherNames.begin(), kOtherNames.end(), name) != kOtherNames.end() || IsScript(path);
}

// Relative to the root. Names with a leading dot are git's and editors', except .ci.
bool IsLeftOut(const std::string& path, const std::string& name) {
  return (name[0] == '.' && name != ".ci") ||
         (StartsWith(path, "build") && path.find('/') == std::string::npos) || path == "tests/golden" ||
         path == "tests/fuzz/corpus" || EndsWith(path, "/licences");
}

}  // namespace

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

bool EndsWith(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

std::vector<Line> File::Lines() const {
  std::vector<Line> lines;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    lines.push_back({static_cast<int>(lines.size()) + 1, rest.substr(0, end)});
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return lines;
}

std::vector<File> ReadTree(Kind kind) {
  const fs::path root = QIAO_ROOT;
  std::vector<File> files;
  for (auto it = fs::recursive_directory_iterator(root); it != fs::recursive_directory_iterator(); ++it) {
    const std::string path = it->path().lexically_relative(root).generic_string();
    const std::string name = it->path().filename().string();
    if (IsLeftOut(path, name)) {
      if (it->is_directory()) it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file()) continue;
    if (!IsSource(name) && (kind == Kind::kSource || !IsOther(it->path()))) continue;
    std::ifstream in(it->path(), std::ios::binary);
    files.push_back({path, std::string(std::istreambuf_iterator<char>(in), {})});
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.path < b.path; });
  return files;
}

}  // namespace qiao::house
