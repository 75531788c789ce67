// A program as text: the nodes that run, in order.
#pragma once

#include "runtime/program/program.h"

namespace qiao::tools {

// The lowered graphs of the smallest and the largest bucket on stdout.
absl::Status PrintProgram(const program::ProgramSet& programs, bool json);

}  // namespace qiao::tools
