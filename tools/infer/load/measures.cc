#include "tools/infer/load/measures.h"

#include <algorithm>

namespace qiao::tools {
namespace {

using Outcome = RequestRecord::Outcome;

void AddSamples(const std::vector<LoadSample>& samples, Measures& m) {
  double running = 0, waiting = 0, seconds = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    const ServerState& state = samples[i].state;
    m.running_most = std::max(m.running_most, state.running);
    m.waiting_most = std::max(m.waiting_most, state.waiting);
    if (i + 1 == samples.size()) break;
    const double width = samples[i + 1].at - samples[i].at;
    seconds += width;
    running += width * static_cast<double>(state.running);
    waiting += width * static_cast<double>(state.waiting);
  }
  if (seconds > 0) {
    m.running_mean = running / seconds;
    m.waiting_mean = waiting / seconds;
  }
  if (samples.empty()) return;
  m.steps = samples.back().state.steps;
  m.rows = samples.back().state.rows;
  m.step_seconds = samples.back().state.step_seconds;
}

}  // namespace

Latencies LatenciesOf(const RequestRecord& r) {
  Latencies l;
  l.end_to_end = Seconds(r.ended - r.due);
  l.first_token = r.tokens.empty() ? l.end_to_end : Seconds(r.tokens.front() - r.due);
  if (r.tokens.size() > 1) {
    l.per_token = Seconds(r.tokens.back() - r.tokens.front()) / static_cast<double>(r.tokens.size() - 1);
  }
  return l;
}

bool Meets(const Latencies& l, const Deadlines& d) {
  return (d.first_token <= 0 || l.first_token <= d.first_token) &&
         (d.per_token <= 0 || l.per_token.value_or(0) <= d.per_token);
}

Measures Measure(const LoadRun& run, int64_t sequences, const Deadlines& deadlines) {
  Measures m;
  m.seconds = run.seconds;
  m.asked = static_cast<int64_t>(run.records.size());
  std::vector<double> queue, first, per, gap, all, late;
  int64_t met = 0;
  for (const RequestRecord& r : run.records) {
    if (r.outcome == Outcome::kUnsent) continue;
    ++m.sent;
    m.output_tokens += static_cast<int64_t>(r.tokens.size());
    if (!r.tokens.empty()) m.prompt_tokens += r.prompt_tokens;
    m.cached_tokens += r.cached_tokens;
    m.drafted += r.drafted;
    m.accepted += r.accepted;
    m.preemptions += r.preemptions;
    if (r.outcome == Outcome::kRefused) {
      ++m.refused;
      ++m.refusals[r.error];
    } else if (!r.error.empty()) {
      ++m.errors[r.error];
    }
    if (r.outcome == Outcome::kFailed) ++m.failed;
    if (r.outcome == Outcome::kCancelled) ++m.cancelled;
    if (r.outcome != Outcome::kFinished) continue;
    ++m.finished;
    const Latencies l = LatenciesOf(r);
    const double waited = Seconds(r.sent - r.due);
    late.push_back(waited);
    if (r.queue_seconds >= 0) queue.push_back(waited + r.queue_seconds);
    first.push_back(l.first_token);
    all.push_back(l.end_to_end);
    if (l.per_token) per.push_back(*l.per_token);
    for (size_t i = 1; i < r.tokens.size(); ++i) gap.push_back(Seconds(r.tokens[i] - r.tokens[i - 1]));
    // One that was cut short is no success.
    if (r.error.empty() && Meets(l, deadlines)) ++met;
  }
  m.queue = PercentilesOf(std::move(queue));
  m.first_token = PercentilesOf(std::move(first));
  m.per_token = PercentilesOf(std::move(per));
  m.gap = PercentilesOf(std::move(gap));
  m.end_to_end = PercentilesOf(std::move(all));
  m.late = PercentilesOf(std::move(late));
  if (deadlines.any()) m.met = met;
  m.steady = MeasureSteadyDecode(run, std::min(sequences, m.asked));
  AddSamples(run.samples, m);
  return m;
}

Series TokenRates(const LoadRun& run, int bins) {
  Series series;
  if (run.seconds <= 0) return series;
  const auto count = static_cast<size_t>(bins);
  series.width = run.seconds / bins;
  series.output.resize(count);
  for (const RequestRecord& r : run.records) {
    for (const Clock::time_point t : r.tokens) {
      const double bin = Seconds(t - run.start) / series.width;
      series.output[std::min(count - 1, static_cast<size_t>(std::max(bin, 0.0)))] += 1 / series.width;
    }
  }
  // Of a counter: as if it rose evenly between two samples.
  if (run.samples.size() < 2) return series;
  series.prompt.resize(count);
  for (size_t i = 1; i < run.samples.size(); ++i) {
    const LoadSample &a = run.samples[i - 1], &b = run.samples[i];
    const auto tokens = static_cast<double>(b.state.prompt_tokens - a.state.prompt_tokens);
    if (tokens <= 0 || b.at <= a.at) continue;
    const double from = std::clamp(a.at / series.width, 0.0, static_cast<double>(bins));
    const double to = std::clamp(b.at / series.width, from, static_cast<double>(bins));
    for (auto bin = static_cast<size_t>(from); bin < count && static_cast<double>(bin) < to; ++bin) {
      const double part =
          std::min(to, static_cast<double>(bin + 1)) - std::max(from, static_cast<double>(bin));
      series.prompt[bin] += tokens * part / (b.at - a.at);
    }
  }
  return series;
}

}  // namespace qiao::tools
