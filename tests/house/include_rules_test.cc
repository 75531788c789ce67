// Who may include whom: the table of the architecture, checked line by line. A folder may include itself,
// what stands beside it here, and what those may include in turn.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/house/tree.h"

namespace qiao::house {
namespace {

using Parts = std::set<std::string>;

// A part of the house is a folder, or one public header. The longest prefix that fits names a file's part.
const std::map<std::string, Parts>& DirectRules() {
  static const auto* const rules = new std::map<std::string, Parts>{
      {"runtime/include/qiao/ops.h", {}},
      {"runtime/include/qiao/backend.h", {"runtime/include/qiao/ops.h"}},
      {"runtime/include/qiao/backend.hpp", {"runtime/include/qiao/backend.h"}},
      {"runtime/include/qiao/engine.h", {}},
      {"runtime/base", {}},
      {"kernels/common", {"runtime/base", "runtime/include/qiao/ops.h"}},
      {"kernels/*", {"kernels/common"}},
      {"backends/*", {"runtime/include/qiao/backend.hpp", "runtime/base", "kernels/*"}},
      // Stands in for a vendor's libraries, under the plugin that is their client: neither may see the other.
      {"backends/ascend/emulator", {"runtime/base", "kernels/*"}},
      {"runtime/hal", {"runtime/base", "runtime/include/qiao/backend.h"}},
      {"runtime/ops", {"runtime/base", "runtime/include/qiao/ops.h", "kernels/reference"}},
      {"runtime/formats", {"runtime/base"}},
      {"runtime/text", {"runtime/base"}},
      {"runtime/program", {"runtime/hal", "runtime/ops", "runtime/formats"}},
      {"models", {"runtime/program", "runtime/formats", "runtime/base"}},
      {"runtime/engine",
       {"models", "runtime/program", "runtime/hal", "runtime/text", "runtime/formats", "runtime/base",
        "runtime/include/qiao/engine.h"}},
      // The server stands on what embedders have.
      {"runtime/serve", {"runtime/include/qiao/engine.h", "runtime/base", "runtime/text"}},
      {"tools", {"runtime/engine", "runtime/serve"}},
  };
  return *rules;
}

// backend.hpp is one header in three files.
std::string Canonical(const std::string& path) {
  if (StartsWith(path, "runtime/include/qiao/backend_")) return "runtime/include/qiao/backend.hpp";
  return path;
}

// "kernels/cpu", "backends/null", "runtime/base", "models", or "" for what has no rule (tests).
std::string PartOf(const std::string& path) {
  if (StartsWith(path, "runtime/include/")) return Canonical(path);
  if (StartsWith(path, "backends/ascend/emulator/")) return "backends/ascend/emulator";
  for (std::string_view folder : {"kernels/", "backends/", "runtime/"}) {
    if (StartsWith(path, folder)) return path.substr(0, path.find('/', folder.size()));
  }
  for (std::string_view folder : {"models", "tools"}) {
    if (StartsWith(path, std::string(folder) + "/")) return std::string(folder);
  }
  return "";
}

// The rule of a part: its own, or that of its family ("kernels/*").
const Parts* RuleOf(const std::string& part) {
  const auto& rules = DirectRules();
  if (auto it = rules.find(part); it != rules.end()) return &it->second;
  if (auto it = rules.find(part.substr(0, part.find('/')) + "/*"); it != rules.end()) return &it->second;
  return nullptr;
}

void AddAllowed(const std::string& part, Parts& allowed) {
  if (!allowed.insert(part).second) return;
  if (const Parts* rule = RuleOf(part)) {
    for (const std::string& next : *rule) AddAllowed(next, allowed);
  }
}

bool MayInclude(const std::string& from, const std::string& to) {
  if (from == to) return true;
  Parts allowed;
  AddAllowed(from, allowed);
  if (allowed.count(to)) return true;
  // A family that is allowed stands for each of its members, one's own siblings apart.
  const std::string family = to.substr(0, to.find('/')) + "/*";
  return allowed.count(family) && !StartsWith(from, to.substr(0, to.find('/') + 1));
}

// The name in an #include line, or "".
std::string IncludedName(std::string_view line, char& open) {
  size_t at = line.find_first_not_of(" \t");
  if (at == std::string_view::npos || line[at] != '#') return "";
  at = line.find_first_not_of(" \t", at + 1);
  if (at == std::string_view::npos || !StartsWith(line.substr(at), "include")) return "";
  at = line.find_first_of("\"<", at);
  if (at == std::string_view::npos) return "";
  open = line[at];
  const size_t end = line.find(open == '<' ? '>' : '"', at + 1);
  return end == std::string_view::npos ? "" : std::string(line.substr(at + 1, end - at - 1));
}

// Third-party folders that are included with quotes.
bool IsThirdParty(std::string_view name) {
  for (std::string_view prefix :
       {"absl/", "hwy/", "nlohmann/", "gtest/", "gmock/", "spdlog/", "CLI/", "unicode/"}) {
    if (StartsWith(name, prefix)) return true;
  }
  return false;
}

// From a public header on the left, what it may name besides the rules above.
bool IsStandardName(std::string_view name) { return name.find('/') == std::string_view::npos; }

// ---- the rules rule out what they should ----

TEST(IncludeRules, TableIsTheArchitectures) {
  const std::string ops = "runtime/include/qiao/ops.h", backend = "runtime/include/qiao/backend.h";
  EXPECT_TRUE(MayInclude("runtime/program", "runtime/hal"));
  EXPECT_TRUE(MayInclude("runtime/program", "runtime/base")) << "through hal";
  EXPECT_TRUE(MayInclude("models", "runtime/ops")) << "through program";
  EXPECT_TRUE(MayInclude("backends/cpu", "kernels/cpu"));
  EXPECT_TRUE(MayInclude("backends/reference", "kernels/reference"));
  EXPECT_TRUE(MayInclude("kernels/cpu", ops));
  EXPECT_TRUE(MayInclude("runtime/ops", "kernels/reference"));

  EXPECT_FALSE(MayInclude("runtime/base", "runtime/hal"));
  EXPECT_FALSE(MayInclude("kernels/cpu", "kernels/reference"));
  EXPECT_FALSE(MayInclude("kernels/cpu", backend));
  EXPECT_FALSE(MayInclude("backends/cpu", "runtime/hal"));
  EXPECT_FALSE(MayInclude("backends/cpu", "backends/reference"));
  EXPECT_TRUE(MayInclude("backends/ascend/emulator", "kernels/reference"));
  EXPECT_FALSE(MayInclude("backends/ascend", "backends/ascend/emulator"));
  EXPECT_FALSE(MayInclude("backends/ascend/emulator", "backends/ascend"));
  EXPECT_FALSE(MayInclude("backends/ascend/emulator", backend));
  EXPECT_FALSE(MayInclude("runtime/hal", "runtime/ops"));
  EXPECT_FALSE(MayInclude("runtime/ops", "kernels/cpu"));
  EXPECT_FALSE(MayInclude("runtime/formats", "runtime/program"));
  EXPECT_FALSE(MayInclude("runtime/text", "runtime/formats"));
  EXPECT_FALSE(MayInclude("runtime/program", "models"));
  EXPECT_FALSE(MayInclude("models", "runtime/engine"));
  EXPECT_FALSE(MayInclude("models", "runtime/text"));
  EXPECT_FALSE(MayInclude("runtime/engine", "backends/cpu"));
  EXPECT_FALSE(MayInclude("tools", "backends/cpu"));
}

TEST(IncludeRules, EveryIncludeIsAllowed) {
  const std::filesystem::path root = QIAO_ROOT;
  int checked = 0;
  for (const File& file : ReadTree(Kind::kSource)) {
    const std::string part = PartOf(file.path);
    if (part.empty()) continue;
    ASSERT_NE(RuleOf(part), nullptr) << file.path << ": the folder has no rule; add it to DirectRules()";
    for (const Line& line : file.Lines()) {
      char open = 0;
      const std::string name = IncludedName(line.text, open);
      if (name.empty()) continue;
      const std::string where = file.path + ":" + std::to_string(line.number) + ": #include " + name;
      EXPECT_EQ(name.find(".."), std::string::npos) << where << ": name it from the repository's root";

      std::string target;
      if (StartsWith(name, "qiao/")) {
        target = "runtime/include/" + name;
      } else if (open == '"' && !IsThirdParty(name)) {
        target = name;
      } else {
        continue;
      }
      EXPECT_TRUE(std::filesystem::is_regular_file(root / target))
          << where << ": there is no such file; includes are named from the repository's root";
      const std::string target_part = PartOf(target);
      EXPECT_FALSE(target_part.empty()) << where << ": that folder is not for including";
      EXPECT_TRUE(MayInclude(part, target_part))
          << where << ": " << part << " may not include " << target_part;
      ++checked;
    }
  }
  EXPECT_GT(checked, 100) << "the tree was not read";
}

// Embedders and porters get these headers without Abseil or anything else of ours.
TEST(IncludeRules, PublicHeadersStandAlone) {
  int headers = 0;
  for (const File& file : ReadTree(Kind::kSource)) {
    if (!StartsWith(file.path, "runtime/include/")) continue;
    ++headers;
    for (const Line& line : file.Lines()) {
      char open = 0;
      const std::string name = IncludedName(line.text, open);
      if (name.empty() || StartsWith(name, "qiao/")) continue;
      EXPECT_TRUE(IsStandardName(name) && open == '<')
          << file.path << ":" << line.number
          << ": a public header includes the standard library and qiao/ only";
    }
  }
  EXPECT_GE(headers, 4);
}

// The emulator's clients get its headers alone, as from a vendor's toolkit, and include them by the vendor's names.
TEST(IncludeRules, TheEmulatorsHeadersStandAlone) {
  const std::string root = "backends/ascend/emulator/include/";
  std::set<std::string> headers;
  for (const File& file : ReadTree(Kind::kSource)) {
    if (StartsWith(file.path, root)) headers.insert(file.path.substr(root.size()));
  }
  EXPECT_TRUE(headers.count("acl/acl.h"));
  for (const File& file : ReadTree(Kind::kSource)) {
    if (!StartsWith(file.path, root)) continue;
    for (const Line& line : file.Lines()) {
      char open = 0;
      const std::string name = IncludedName(line.text, open);
      if (name.empty()) continue;
      EXPECT_TRUE(open == '<' && (IsStandardName(name) || headers.count(name)))
          << file.path << ":" << line.number
          << ": such a header includes C's and its fellows, in angle brackets";
    }
  }
}

}  // namespace
}  // namespace qiao::house
