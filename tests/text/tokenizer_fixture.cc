#include "tests/text/tokenizer_fixture.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

namespace qiao::text {
namespace {

std::string Decompress(const std::string& path) {
  const std::string command = "xz -dc '" + path + "'";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  std::string out;
  if (pipe) {
    char buffer[1 << 16];
    for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
    if (::pclose(pipe) == 0) return out;
  }
  ADD_FAILURE() << command << " failed: the tests need the program xz (Debian package xz-utils)";
  return {};
}

Tokenizer Load(const std::string& style) {
  const std::string folder = "golden/tokenizers/" + style + "/";
  const std::string source = std::string(QIAO_TEST_DATA) + "/" + folder;
  // FromDir reads a folder, and the large tokenizers lie compressed: so one is made.
  std::string dir = (std::filesystem::temp_directory_path() / "qiao_tokenizer_XXXXXX").string();
  if (!::mkdtemp(dir.data())) {
    std::cerr << "no temporary folder at " << dir << "\n";
    std::exit(1);
  }
  const bool packed = std::filesystem::exists(source + "tokenizer.json.xz");
  std::ofstream(dir + "/tokenizer.json")
      << TestFile(folder + (packed ? "tokenizer.json.xz" : "tokenizer.json"));
  if (std::filesystem::exists(source + "tokenizer_config.json")) {
    std::ofstream(dir + "/tokenizer_config.json") << TestFile(folder + "tokenizer_config.json");
  }
  absl::StatusOr<Tokenizer> tokenizer = Tokenizer::FromDir(dir);
  std::filesystem::remove_all(dir);
  if (!tokenizer.ok()) {
    std::cerr << source << " does not load: " << tokenizer.status() << "\n";
    std::exit(1);
  }
  return *std::move(tokenizer);
}

}  // namespace

std::string TestFile(const std::string& path) {
  const std::string full = std::string(QIAO_TEST_DATA) + "/" + path;
  if (path.ends_with(".xz")) return Decompress(full);
  std::ifstream file(full, std::ios::binary);
  EXPECT_TRUE(file) << full;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<Json> JsonLines(const std::string& path) {
  std::vector<Json> lines;
  std::istringstream file(TestFile(path));
  for (std::string line; std::getline(file, line);) {
    absl::StatusOr<Json> json = ParseJson(line, path);
    EXPECT_TRUE(json.ok()) << json.status();
    if (json.ok()) lines.push_back(*std::move(json));
  }
  return lines;
}

const Tokenizer& GoldenTokenizer(const std::string& style) {
  static auto* const loaded = new std::map<std::string, Tokenizer>;
  auto it = loaded->find(style);
  if (it == loaded->end()) it = loaded->emplace(style, Load(style)).first;
  return it->second;
}

}  // namespace qiao::text
