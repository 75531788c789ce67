// How a command ends: the documented exit codes, and errors that know theirs and what to do about them.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/status.h"

namespace qiao::tools {

// Documented in `infer --help`; scripts may rely on them.
enum Exit : int {
  kExitOk = 0,
  kExitFailure = 1,       // something failed while running
  kExitUsage = 2,         // an option or argument is wrong
  kExitModel = 3,         // the model or another file is missing or invalid
  kExitMemory = 4,        // it does not fit the memory
  kExitUnsupported = 5,   // the backend is missing or lacks operations that the model needs
  kExitInterrupted = 130  // Ctrl-C, as shells count it
};

// The same error with an exit code, unless it has one already; OK stays OK.
absl::Status WithExit(absl::Status status, Exit exit);
// The same error with a line that says what to do.
absl::Status WithHint(absl::Status status, std::string_view hint);

// The code given with WithExit; else from the status: CANCELLED is an interrupt, all others a failure.
Exit ExitOf(const absl::Status& status);
// Empty where there is none.
std::string HintOf(const absl::Status& status);

inline absl::Status UsageError(std::string message, std::string_view hint = {}) {
  absl::Status status = WithExit(absl::InvalidArgumentError(message), kExitUsage);
  return hint.empty() ? status : WithHint(std::move(status), hint);
}

}  // namespace qiao::tools
