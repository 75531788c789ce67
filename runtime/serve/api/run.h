// One call on its way through the engine: from the parsed body to the last byte of the answer.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "qiao/engine.h"
#include "runtime/serve/api/answer_parser.h"
#include "runtime/serve/api/protocol.h"
#include "runtime/serve/http/message.h"
#include "runtime/serve/http/workers.h"

namespace qiao::serve {

// What the runs of a server share; outlives them.
struct RunHost {
  Engine* engine = nullptr;
  Workers* workers = nullptr;
  ModelDescription model;
  AnswerFormat format;
  std::string model_id;
  // Told of every answer when it is complete; any thread.
  std::function<void(const AnswerTotals&)> answered;
  // Prompt tokens read a second, lately; 0 unknown.
  std::function<double()> prefill_rate;
  // How long a refused client should wait, in seconds.
  std::function<int()> retry_after;
  std::function<void(LogLevel, std::string_view)> log;  // may be null
};

// A call that is being answered. Thread-safe.
class Run {
 public:
  virtual ~Run() = default;
  // Ends it with this error, if it has not ended.
  virtual void Fail(absl::Status status) = 0;
  // Keeps a stream alive that has been silent for a while.
  virtual void Ping() = 0;
};

// Answers through `responder`, whatever comes of it. `request_id` as of HttpRequest. Null where it was answered at once
// with an error. The run lives until its answer is complete, even if the caller drops it.
std::shared_ptr<Run> StartRun(const RunHost& host, const Protocol& protocol, Call call,
                              const std::string& request_id, std::shared_ptr<Responder> responder);

// The answer for an error before there was a run.
HttpResponse ErrorResponse(const Protocol& protocol, const absl::Status& status, std::string_view request_id);

}  // namespace qiao::serve
