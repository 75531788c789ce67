#include "runtime/serve/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <deque>
#include <mutex>

#include "runtime/base/clock.h"

namespace qiao::serve {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using Buckets = Histogram::BucketBoundaries;

constexpr double kWindow = 5;  // seconds that rates look back

// The engine's counters only grow; Prometheus's are told by how much.
void Raise(Counter& counter, double to) {
  if (const double by = to - counter.Value(); by > 0) counter.Increment(by);
}

}  // namespace

struct Metrics::Families {
  explicit Families(const std::string& model_id) : labels{{"model", model_id}} {}

  Counter& AddCounter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
  }
  Gauge& AddGauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(labels);
  }
  Histogram& AddHistogram(const char* name, const char* help, Buckets buckets) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(labels,
                                                                                     std::move(buckets));
  }

  const prometheus::Labels labels;
  prometheus::Registry registry;

  Gauge& running = AddGauge("qiao_sequences_running", "Sequences that are being worked on");
  Gauge& waiting = AddGauge("qiao_requests_waiting", "Requests that have not begun");
  Gauge& pages = AddGauge("qiao_cache_pages", "Pages of the cache");
  Gauge& pages_free = AddGauge("qiao_cache_pages_free", "Pages of the cache that hold nothing");
  Gauge& pages_cached =
      AddGauge("qiao_cache_pages_prefix", "Pages of the cache kept for prompts that begin alike");
  Gauge& drafting = AddGauge("qiao_drafting", "1 while speculative decoding pays");
  Gauge& acceptance = AddGauge("qiao_draft_acceptance", "Share of the guessed tokens that were right");
  Gauge& batch = AddGauge("qiao_batch_rows", "Tokens in a step of the model, lately");
  Gauge& connections = AddGauge("qiao_http_connections", "Open connections");
  Gauge& streams = AddGauge("qiao_http_streams", "Answers that are being streamed");

  Counter& steps = AddCounter("qiao_steps_total", "Steps of the model");
  Counter& step_seconds = AddCounter("qiao_step_seconds_total", "Seconds the model was at work");
  Counter& rows = AddCounter("qiao_rows_total", "Tokens in the model's steps");
  Counter& prompt = AddCounter("qiao_prompt_tokens_total", "Tokens of prompts");
  Counter& cached = AddCounter("qiao_cached_tokens_total", "Tokens of prompts that were in the prefix cache");
  Counter& generated = AddCounter("qiao_generated_tokens_total", "Tokens generated");
  Counter& drafted = AddCounter("qiao_draft_tokens_total", "Tokens guessed");
  Counter& accepted = AddCounter("qiao_draft_accepted_tokens_total", "Guessed tokens that were right");
  Counter& finished = AddCounter("qiao_requests_finished_total", "Requests that ended well");
  Counter& failed = AddCounter("qiao_requests_failed_total", "Requests that failed");
  Counter& cancelled =
      AddCounter("qiao_requests_cancelled_total", "Requests whose client went, or that were stopped");
  Counter& preemptions = AddCounter("qiao_preemptions_total", "Sequences that gave up their pages to others");
  Counter& fallbacks =
      AddCounter("qiao_fallback_ops_total", "Operations that ran on the host instead of the device");
  Counter& accepts = AddCounter("qiao_http_accepted_total", "Connections");
  Counter& refused = AddCounter("qiao_http_refused_total", "Connections beyond the limit");
  Counter& bad =
      AddCounter("qiao_http_bad_requests_total", "Requests that were no valid HTTP or beyond its limits");
  Counter& timeouts =
      AddCounter("qiao_http_timeouts_total", "Connections closed because the client was too slow");
  Counter& vanished = AddCounter("qiao_http_vanished_total", "Clients that went before their answer");

  Histogram& ttft = AddHistogram("qiao_time_to_first_token_seconds", "From the request to its first token",
                                 {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60});
  Histogram& tpot = AddHistogram("qiao_time_per_output_token_seconds", "Between tokens, a request's mean",
                                 {.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5});
  Histogram& prompt_lengths = AddHistogram("qiao_request_prompt_tokens", "Tokens of a request's prompt",
                                           {1, 16, 64, 256, 1024, 4096, 16384, 65536});
  Histogram& answer_lengths = AddHistogram("qiao_request_generated_tokens", "Tokens of a request's answer",
                                           {1, 16, 64, 256, 1024, 4096, 16384, 65536});
  prometheus::Family<Counter>& requests = prometheus::BuildCounter()
                                              .Name("qiao_http_requests_total")
                                              .Help("Requests by route and status")
                                              .Register(registry);

  struct Sample {
    Clock::time_point at;
    int64_t generated, prompt, rows, steps;
  };
  std::mutex mutex;
  std::deque<Sample> samples;
  double read_tokens = 0, read_seconds = 0;  // of prompts, lately: both decay
};

Metrics::Metrics(const std::string& model_id) : families_(std::make_unique<Families>(model_id)) {}
Metrics::~Metrics() = default;

void Metrics::Answered(const AnswerTotals& t) {
  Families& f = *families_;
  f.ttft.Observe(t.ttft_seconds);
  if (t.completion_tokens > 1)
    f.tpot.Observe(t.decode_seconds / static_cast<double>(t.completion_tokens - 1));
  f.prompt_lengths.Observe(static_cast<double>(t.prompt_tokens));
  f.answer_lengths.Observe(static_cast<double>(t.completion_tokens));
  const std::lock_guard<std::mutex> lock(f.mutex);
  f.read_tokens = 0.9 * f.read_tokens + static_cast<double>(t.prompt_tokens - t.cached_tokens);
  f.read_seconds = 0.9 * f.read_seconds + t.prefill_seconds;
}

void Metrics::Request(std::string_view route, int status) {
  prometheus::Labels labels = families_->labels;
  labels["route"] = std::string(route);
  labels["status"] = std::to_string(status);
  families_->requests.Add(labels).Increment();
}

double Metrics::prefill_rate() const {
  const std::lock_guard<std::mutex> lock(families_->mutex);
  return families_->read_seconds > 0 ? families_->read_tokens / families_->read_seconds : 0;
}

Rates Metrics::RatesNow(const EngineStats& e) {
  Families& f = *families_;
  const std::lock_guard<std::mutex> lock(f.mutex);
  const Clock::time_point now = Clock::now();
  if (f.samples.empty() || Seconds(now - f.samples.back().at) >= 0.5) {
    f.samples.push_back({now, e.generated_tokens, e.prompt_tokens - e.cached_tokens, e.rows, e.steps});
  }
  while (f.samples.size() > 2 && Seconds(now - f.samples[1].at) >= kWindow) f.samples.pop_front();
  const Families::Sample& first = f.samples.front();
  const double seconds = Seconds(now - first.at);
  if (seconds <= 0) return {};
  Rates rates;
  rates.generated_per_second = static_cast<double>(e.generated_tokens - first.generated) / seconds;
  rates.prompt_per_second = static_cast<double>(e.prompt_tokens - e.cached_tokens - first.prompt) / seconds;
  if (e.steps > first.steps) {
    rates.batch = static_cast<double>(e.rows - first.rows) / static_cast<double>(e.steps - first.steps);
  }
  return rates;
}

std::string Metrics::Text(const EngineStats& e, const DeviceReport& device, const HttpCounters& http) {
  Families& f = *families_;
  const Rates rates = RatesNow(e);
  f.running.Set(e.running);
  f.waiting.Set(e.waiting);
  f.pages.Set(static_cast<double>(e.pages));
  f.pages_free.Set(static_cast<double>(e.pages_free));
  f.pages_cached.Set(static_cast<double>(e.pages_cached));
  f.drafting.Set(e.drafting ? 1 : 0);
  f.acceptance.Set(e.drafted > 0 ? static_cast<double>(e.accepted) / static_cast<double>(e.drafted) : 0);
  f.batch.Set(rates.batch);
  f.connections.Set(static_cast<double>(http.connections));
  f.streams.Set(static_cast<double>(http.open_streams));
  Raise(f.steps, static_cast<double>(e.steps));
  Raise(f.step_seconds, e.step_seconds);
  Raise(f.rows, static_cast<double>(e.rows));
  Raise(f.prompt, static_cast<double>(e.prompt_tokens));
  Raise(f.cached, static_cast<double>(e.cached_tokens));
  Raise(f.generated, static_cast<double>(e.generated_tokens));
  Raise(f.drafted, static_cast<double>(e.drafted));
  Raise(f.accepted, static_cast<double>(e.accepted));
  Raise(f.finished, static_cast<double>(e.finished));
  Raise(f.failed, static_cast<double>(e.failed));
  Raise(f.cancelled, static_cast<double>(e.cancelled));
  Raise(f.preemptions, static_cast<double>(e.preemptions));
  Raise(f.fallbacks, static_cast<double>(device.fallback_launches));
  Raise(f.accepts, static_cast<double>(http.accepted));
  Raise(f.refused, static_cast<double>(http.refused_connections));
  Raise(f.bad, static_cast<double>(http.bad_requests));
  Raise(f.timeouts, static_cast<double>(http.timeouts));
  Raise(f.vanished, static_cast<double>(http.vanished));
  return prometheus::TextSerializer().Serialize(f.registry.Collect());
}

}  // namespace qiao::serve
