// What CANN's error codes mean, and what to do about them. The meanings are those that the public headers of
// clients state (graphengine's inc/external/acl/error_codes, Apache-2.0) and what the two-phase interface documents.
#pragma once

#include <qiao/backend.hpp>
#include <string>

#include "backends/ascend/cann/functions.h"

namespace qiao::ascend {

// "161002: an argument is invalid (dtype, shape, format or value)".
std::string Explain(int64_t code);

// What usually helps; empty where nothing is known.
std::string LikelyFix(int64_t code);

// Whether the device is unusable after it.
bool IsLost(int64_t code);

// The status of a failed call: its name, the meaning of the code, CANN's own text (taken from this thread's message
// stack), and what usually helps.
plugin::Status Failed(const std::string& call, int64_t code);

}  // namespace qiao::ascend
