// What CANN's error codes mean, and what to do about them: the numbers as acl_base.h and acl_meta.h name them.
#pragma once

#include <qiao/backend.hpp>
#include <string>

#include "backends/ascend/cann/functions.h"

namespace qiao::ascend {

// "161002: an argument is invalid: its dtype, shape, format or value"; the number alone where it is not known.
std::string Explain(int64_t code);

// The status of a failed call: its name, the meaning of the code, CANN's own text (taken from this thread's message
// stack), and what usually helps.
plugin::Status Failed(const std::string& call, int64_t code);
// The same, or OK where the call succeeded.
plugin::Status Check(const char* call, aclError code);

}  // namespace qiao::ascend
