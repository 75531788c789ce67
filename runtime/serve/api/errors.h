// Errors on their way to a client: an absl::Status, and what HTTP and the protocols want to know beside it.
#pragma once

#include <string>
#include <string_view>

#include "qiao/engine.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"

namespace qiao::serve {

// The client's fault, at `param`, the path of a member of the body ("messages[3].content"; may be "").
// INVALID_ARGUMENT "PARAM: MESSAGE".
absl::Status BadParam(std::string_view param, std::string_view message);
// The status, with the machine-readable name of what went wrong ("context_length_exceeded").
absl::Status WithErrorCode(absl::Status status, std::string_view code);
// The server has too much to do: 429, with Retry-After.
absl::Status Busy(std::string_view message, int retry_after_seconds);

// NOT_FOUND: the client asks for another model.
absl::Status ModelNotServed(std::string_view asked, std::string_view served);

absl::Status FromPublic(const Status& status);

struct ApiError {
  int http_status = 500;
  std::string type;   // OpenAI's: "invalid_request_error", "rate_limit_error", "server_error", ...
  std::string code;   // "" none
  std::string param;  // "" none
  std::string message;
  int retry_after = 0;  // seconds; 0: no such header
};
// INVALID_ARGUMENT, OUT_OF_RANGE, FAILED_PRECONDITION, UNIMPLEMENTED: 400; PERMISSION_DENIED: 403; NOT_FOUND: 404;
// RESOURCE_EXHAUSTED: 400, or 429 where it is Busy; UNAVAILABLE: 503; the rest: 500.
ApiError Describe(const absl::Status& status);

// {"error": {"message", "type", "param", "code"}}
OrderedJson OpenAiError(const ApiError& error);
// {"type": "error", "error": {"type", "message"}, "request_id"}
OrderedJson AnthropicError(const ApiError& error, std::string_view request_id);

}  // namespace qiao::serve
