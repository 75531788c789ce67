// How long work tells how far it is. The library calls; a tool draws.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace qiao {

// `what` is a short phrase ("loading weights"); done and total are in the same unit (bytes where there are
// bytes). Called from one thread at a time, at most some tens of times a second. Returning false asks the
// work to stop, which it then does with a CANCELLED status.
using Progress = std::function<bool(std::string_view what, uint64_t done, uint64_t total)>;

}  // namespace qiao
