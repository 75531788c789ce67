#include "tools/infer/cli_config.h"

#include <algorithm>
#include <sstream>

#include "runtime/base/mmap.h"
#include "tools/infer/exit.h"

namespace qiao::tools {
namespace {

constexpr uint64_t kMostBytes = 1 << 20;

// The value of --config; "" where it is not there.
std::string ConfigFile(const std::vector<std::string>& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--config" && i + 1 < arguments.size()) return arguments[i + 1];
    if (arguments[i].rfind("--config=", 0) == 0) return arguments[i].substr(9);
  }
  return "";
}

bool Given(const std::vector<std::string>& arguments, const std::string& option) {
  return std::any_of(arguments.begin(), arguments.end(), [&](const std::string& argument) {
    return argument == option || argument.rfind(option + "=", 0) == 0;
  });
}

absl::StatusOr<std::vector<std::string>> ReadConfig(const CLI::App& sub, const std::string& path,
                                                    const std::vector<std::string>& arguments) {
  absl::StatusOr<std::string> text = ReadFile(path, kMostBytes);
  if (!text.ok()) return WithExit(text.status(), kExitModel);
  std::vector<CLI::ConfigItem> items;
  try {
    std::istringstream lines(*text);
    items = CLI::ConfigTOML().from_config(lines);
  } catch (const CLI::Error& error) {
    return UsageError(path + ": " + error.what());
  }
  std::vector<std::string> out;
  for (const CLI::ConfigItem& item : items) {
    const std::string option = "--" + item.name;
    if (!item.parents.empty() || sub.get_option_no_throw(option) == nullptr || option == "--config") {
      return UsageError(path + ": " + item.fullname() + " is no option of " + sub.get_name(),
                        "infer " + sub.get_name() + " --help");
    }
    if (Given(arguments, option)) continue;
    for (const std::string& value : item.inputs) out.push_back(option + "=" + value);
  }
  return out;
}

}  // namespace

void AddConfig(CLI::App* sub) {
  sub->add_option("--config", "Read options from this file, a line each: port = 8000")->expected(1);
}

absl::StatusOr<std::vector<std::string>> WithConfig(const CLI::App& app, std::vector<std::string> arguments) {
  const std::vector<const CLI::App*> subs = app.get_subcommands(
      [&](const CLI::App* sub) { return !arguments.empty() && sub->get_name() == arguments[0]; });
  const CLI::App* sub = subs.empty() ? nullptr : subs.front();
  if (sub != nullptr && sub->get_option_no_throw("--config") != nullptr) {
    if (const std::string path = ConfigFile(arguments); !path.empty()) {
      QIAO_ASSIGN_OR_RETURN(const std::vector<std::string> more, ReadConfig(*sub, path, arguments));
      arguments.insert(arguments.begin() + 1, more.begin(), more.end());
    }
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

}  // namespace qiao::tools
