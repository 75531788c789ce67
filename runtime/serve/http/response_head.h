// What stands before and inside of an answer: the status line and headers as bytes, and the body of an error.
#pragma once

#include <string>
#include <string_view>

#include "runtime/serve/http/message.h"

namespace qiao::serve {

// How the end of a body is told.
enum class Framing {
  kLength,      // Content-Length
  kChunked,     // in chunks, the last of them empty
  kUntilClose,  // by the end of the connection: streams to HTTP/1.0
};

// The reason phrase of RFC 9110, or "Unknown".
std::string_view Reason(int status);
// Whether a status has no body at all: 1xx, 204, 304.
inline bool HasNoBody(int status) { return status < 200 || status == 204 || status == 304; }

// {"error":{"message":...,"type":...,"param":null,"code":...}}. The type is "invalid_request_error" below 500, else
// "server_error".
std::string ErrorBody(int status, std::string_view code, std::string_view message);
HttpResponse ErrorResponse(int status, std::string_view code, std::string_view message);

// From the status line to the empty line. Headers whose name is no token or whose value has control characters are
// left out, and so are those that only the transport may set; a name in `common` gives way to the same in the response.
std::string ResponseHead(const HttpResponse& response, Framing framing, const HeaderList& common,
                         std::string_view id, bool keep_alive, std::string_view date);

// The current time as "Sat, 28 Nov 2026 02:08:24 GMT".
std::string HttpDate();

}  // namespace qiao::serve
