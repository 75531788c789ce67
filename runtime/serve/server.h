// `infer serve`'s server: one engine behind OpenAI's and Anthropic's APIs, with a web page.
//
//   GET  /                        the page; its files below /page/
//   GET  /health                  {"status": "ok"}, 503 while it drains; the only route that needs no key
//   GET  /metrics                 Prometheus
//   GET  /v1/stats                what the page shows of the engine
//   GET  /v1/models, /v1/models/ID
//   POST /v1/chat/completions, /v1/completions, /v1/responses      as OpenAI
//   POST /v1/messages, /v1/messages/count_tokens                   as Anthropic
//   POST /tokenize, /detokenize
//
// A request can only fail itself: whatever is wrong with it is an error for its client, bounded in time and memory.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "qiao/engine.h"
#include "runtime/serve/api/limits.h"
#include "runtime/serve/http/server.h"

namespace qiao::serve {

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;     // 0: any that is free
  std::string model_id;  // the name that clients use
  // Who has none of these is answered 401; empty: everybody is let in.
  std::vector<std::string> api_keys;
  // Origins whose pages may call (CORS): "https://chat.example", or "*". Empty: none.
  std::vector<std::string> origins;
  bool page = true;
  HttpLimits http;
  ApiLimits api;
  std::function<void(LogLevel, std::string_view)> log;  // from any thread; may be null
};

class Server {
 public:
  // `engine` must outlive it. Errors as HttpServer::Start.
  static absl::StatusOr<std::unique_ptr<Server>> Start(Engine& engine, ServerOptions options);
  // Ends everything at once.
  virtual ~Server() = default;

  virtual uint16_t port() const = 0;
  // Takes no more requests, and lets those that are here end for so long; what is not done then fails with an error
  // that says so. True when all ended by themselves.
  virtual bool Drain(std::chrono::milliseconds patience) = 0;
};

}  // namespace qiao::serve
