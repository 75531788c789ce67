// Requests to one server over plain HTTP/1.1, on connections that are kept for the next request.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "tools/infer/load/http_address.h"
#include "tools/infer/load/http_response.h"

namespace boost::asio {
class io_context;
}

namespace qiao::tools {

// A request as it goes over the wire.
struct HttpCall {
  std::string method = "GET";
  std::string route;  // "/v1/models"; the address's path comes before it
  std::string body;   // JSON; with POST only
};

// What comes back, on the thread of the io_context. `head` and `body` may be null; `end` is called once, and nothing
// after it: OK where the answer came whole, whatever its status.
struct HttpListener {
  std::function<void(const HttpHead&)> head;
  std::function<void(std::string_view)> body;
  std::function<void(const absl::Status&)> end;
};

// An answer that is kept as a whole, and what becomes of it once the exchange ended.
struct WholeAnswer {
  absl::Status status = absl::UnknownError("no answer");
  int http = 0;
  std::string server, body;  // what its Server header said; at most kMostWholeAnswer bytes
};
inline constexpr size_t kMostWholeAnswer = size_t{1} << 20;
HttpListener Keep(std::shared_ptr<WholeAnswer> answer, std::function<void()> then);

struct HttpPoolOptions {
  std::string api_key;  // sent as a bearer token; "": none
  double connect_seconds = 10;
  double silence_seconds = 600;  // without a byte from the server
  size_t idle = 1024;            // connections that are kept
};

// A request that is under way.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  // Its `end` is called with CANCELLED, later. The server sees the connection close; with `reset`, as a TCP reset.
  virtual void Cancel(bool reset = false) = 0;
};

// All calls on the thread that runs the io_context, which outlives it.
class HttpPool {
 public:
  virtual ~HttpPool() = default;

  // Looks the host up, which may wait. UNAVAILABLE where there is no such host.
  static absl::StatusOr<std::unique_ptr<HttpPool>> Make(boost::asio::io_context& io,
                                                        const HttpAddress& address, HttpPoolOptions options);

  // A kept connection that the server has closed meanwhile is replaced, once. The exchange lives until its end.
  virtual std::weak_ptr<HttpExchange> Start(const HttpCall& call, HttpListener listener) = 0;
  // As Cancel for each.
  virtual void CancelAll() = 0;
  virtual size_t open() const = 0;  // requests under way
};

// The bytes of a request.
std::string WireRequest(const HttpAddress& address, const HttpCall& call, std::string_view api_key);

}  // namespace qiao::tools
