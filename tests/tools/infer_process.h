// The real `infer`, run as a user would run it.
#pragma once

#include <string>
#include <vector>

namespace qiao::tools {

struct Finished {
  int exit = -1;  // 128 + N where signal N ended it
  std::string out, err;
};

// Runs this build's infer with these arguments. `input` is its stdin; `environment` holds additions,
// "NAME=VALUE".
Finished Infer(const std::vector<std::string>& args, const std::string& input = "",
               const std::vector<std::string>& environment = {});

// The same with another program of this build.
Finished RunProgram(const std::string& name, const std::vector<std::string>& args);

// As Infer, and SIGINT as soon as it has written something to stdout.
Finished InferInterrupted(const std::vector<std::string>& args);

// An empty folder of its own for each test.
std::string Scratch();
std::string DemoModel();
std::string Golden(const std::string& name);
void WriteText(const std::string& path, const std::string& text);
std::string ReadText(const std::string& path);

}  // namespace qiao::tools
