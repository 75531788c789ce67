// The members of a body that are about tools, whatever the protocol.
#pragma once

#include "runtime/serve/api/call.h"
#include "runtime/serve/api/fields.h"

namespace qiao::serve {

// tools, tool_choice and, in OpenAI's dialects, parallel_tool_calls. Errors as of errors.h.
absl::Status ReadTools(const Fields& body, ToolDialect dialect, Call& call);

}  // namespace qiao::serve
