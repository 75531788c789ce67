#include "tools/infer/input.h"

#include <fstream>
#include <iostream>

#include "runtime/base/mmap.h"
#include "tools/infer/exit.h"

namespace qiao::tools {

absl::StatusOr<std::string> ReadInput(const std::string& path) {
  if (path != "-") {
    auto text = ReadFile(path, kMaxInputBytes);
    if (!text.ok()) return WithExit(text.status(), kExitModel);
    return text;
  }
  std::string text;
  char buffer[65536];
  while (std::cin.read(buffer, sizeof buffer) || std::cin.gcount() > 0) {
    text.append(buffer, static_cast<size_t>(std::cin.gcount()));
    if (text.size() > kMaxInputBytes)
      return UsageError(absl::StrFormat("stdin: more than %d bytes", kMaxInputBytes));
  }
  return text;
}

absl::Status ForEachLine(const std::string& path,
                         const std::function<absl::Status(int64_t number, std::string_view line)>& each) {
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) return WithExit(NotFound("%s: cannot be opened", path), kExitModel);
  }
  std::istream& in = path == "-" ? std::cin : file;
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.size() > kMaxInputBytes) {
      return WithExit(InvalidArgument("%s: line %d is longer than %d bytes", path, number, kMaxInputBytes),
                      kExitModel);
    }
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    QIAO_RETURN_IF_ERROR(each(number, line));
  }
  if (in.bad()) return WithExit(DataLoss("%s: cannot be read", path), kExitModel);
  return absl::OkStatus();
}

}  // namespace qiao::tools
