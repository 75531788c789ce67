// An HTTP/1.1 server on Boost.Beast: one network thread for all connections, a few workers for the handlers.
// It bounds everything that a client can make it hold or wait for; what it refuses gets a short JSON error with
// the status that says why. No TLS: a proxy in front does that.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/serve/http/message.h"

namespace qiao::serve {

// Times are kept to an eighth, or a tenth of a second.
struct HttpLimits {
  int64_t header_bytes = 16 << 10;         // request line and headers; 431 beyond
  int64_t headers = 100;                   // 431 beyond
  int64_t target_bytes = 8 << 10;          // 414 beyond
  int64_t body_bytes = int64_t{32} << 20;  // 413 beyond, before it is read
  // Of all bodies that are being received or handled, together: 503 with Retry-After beyond.
  int64_t bodies_bytes = int64_t{256} << 20;
  int64_t unsent_bytes = int64_t{1} << 20;        // of one stream, waiting for a client that reads too slowly
  int64_t connections = 4096;                     // beyond, the new ones get 503 and are closed
  int64_t queued_requests = 4096;                 // that wait for a worker: 503 with Retry-After beyond
  std::chrono::milliseconds header_time{10'000};  // for all of the headers, from a request's first byte
  std::chrono::milliseconds body_idle{30'000};    // without a byte of the body
  // For all of the body: at least this many bytes a second on average, after the first body_idle. 408.
  int64_t body_rate = 1 << 10;
  std::chrono::milliseconds keep_alive{75'000};   // an idle connection
  std::chrono::milliseconds write_stall{60'000};  // a client that takes nothing
  int64_t requests_a_connection = 100'000;
};

struct HttpOptions {
  std::string host = "127.0.0.1";  // an address, not a name
  uint16_t port = 0;               // 0: any that is free
  int workers = 2;
  HttpLimits limits;
  HeaderList headers;  // of every answer ("Server", security headers, those of CORS)
  // One line of text a finished request; on the network thread; may be null.
  std::function<void(const struct AccessRecord&)> access;
};

struct AccessRecord {
  std::string_view id, method, path, peer;  // method and path are "" where the headers could not be read
  int status = 0;                           // 0: the client went before there was one
  int64_t bytes = 0;                        // of the body sent, as it went over the wire
  double seconds = 0;  // since the request was whole; of one refused before, since it began
};

struct HttpCounters {
  int64_t connections = 0, open_streams = 0, active_requests = 0, queued_requests = 0;  // now
  // Since the start. `vanished`: clients that went, or were cut off, before their answer was complete.
  int64_t accepted = 0, refused_connections = 0, requests = 0, bad_requests = 0, timeouts = 0, vanished = 0;
};

// Thread-safe.
class HttpServer {
 public:
  // Listens; INVALID_ARGUMENT for a bad address, UNAVAILABLE with address and reason where it is taken.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(HttpOptions options, Handler handler);
  // Closes everything at once, and waits for the handlers that run. Not to be called by a handler or a callback.
  virtual ~HttpServer() = default;

  virtual uint16_t port() const = 0;
  // Stops listening; closes idle connections; answers that are under way may end, with "Connection: close", for so
  // long. True when all of them did.
  virtual bool Drain(std::chrono::milliseconds patience) = 0;
  virtual HttpCounters counters() const = 0;
};

}  // namespace qiao::serve
