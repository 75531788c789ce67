// Options from a file: --config FILE, a line each, in TOML's form for such lines.
//
//   model = "models/demo"
//   port = 8000
//   api-key = ["first", "second"]
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "runtime/base/status.h"

namespace qiao::tools {

// Gives a subcommand --config.
void AddConfig(CLI::App* sub);

// The command line in the form that App::parse(vector) takes (the last argument first), with what the file of --config
// says put after the subcommand, but for options that are on the command line as well. Without --config, or for a
// subcommand that has none, just that form. A file that cannot be read, or a key that is no option of the subcommand,
// is an error with the exit code for it.
absl::StatusOr<std::vector<std::string>> WithConfig(const CLI::App& app, std::vector<std::string> arguments);

}  // namespace qiao::tools
