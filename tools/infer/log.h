// What `-v` shows: the libraries' log lines, on stderr.
#pragma once

#include <string_view>

namespace qiao::tools {

// 0: warnings and errors; 1: information; 2: everything.
void SetVerbosity(int verbosity);
// `level` as qiao::LogLevel and QIAO_LOG_*: 0 debug .. 3 error. From any thread.
void Log(int level, std::string_view message);

}  // namespace qiao::tools
