// What GET /metrics tells (Prometheus's text format), and the rates of GET /v1/stats.
#pragma once

#include <memory>
#include <string>

#include "qiao/engine.h"
#include "runtime/serve/api/answer.h"
#include "runtime/serve/http/server.h"

namespace qiao::serve {

// Over the last seconds.
struct Rates {
  double generated_per_second = 0, prompt_per_second = 0;
  double batch = 0;  // tokens in a step of the model
};

// Thread-safe.
class Metrics {
 public:
  explicit Metrics(const std::string& model_id);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  void Answered(const AnswerTotals& totals);
  void Request(std::string_view route, int status);

  std::string Text(const EngineStats& engine, const DeviceReport& device, const HttpCounters& http);
  // Counted anew every half second at most, from the counters that are given.
  Rates RatesNow(const EngineStats& engine);
  // Prompt tokens read a second, over the last answers; 0 unknown.
  double prefill_rate() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace qiao::serve
