#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/serve/load/scenarios.h"

namespace qiao::storm {
namespace {

constexpr double kTimes = 10;        // the load over the capacity
constexpr double kLeastShare = 0.8;  // of the peak that is left under it
constexpr double kGraceSeconds = 120;
constexpr int64_t kMostOpen = 20'000;  // requests under way: a client has to stop somewhere

struct Counts {
  int64_t sent = 0, finished = 0, refused = 0, without_retry = 0, failed = 0, open = 0, held_back = 0;
  std::map<int, int64_t> statuses;
  std::vector<double> refused_after;
  std::string error;

  void Add(const Ask& ask) {
    --open;
    if (ask.finished()) {
      ++finished;
    } else if (ask.refused()) {
      ++refused;
      ++statuses[ask.answer.http_status()];
      refused_after.push_back(Seconds(ask.record.ended - ask.record.sent));
      if (ask.answer.retry_after().empty()) ++without_retry;
    } else {
      ++failed;
      error = ask.record.error;
    }
  }
};

// As many finish a second as the server can: `clients` that ask one thing after the other.
double Peak(Target& target, double seconds, std::string& error) {
  Counts counts;
  int64_t next = 0;
  const Clock::time_point start = Clock::now(), end = start + FromSeconds(seconds);
  int64_t in_time = 0;
  std::function<void()> begin = [&] {
    ++counts.open;
    target.Send(target.Call(next++), [&](Ask& ask) {
      counts.Add(ask);
      if (Clock::now() >= end) return;
      in_time += ask.finished() ? 1 : 0;
      if (counts.failed + counts.refused < 1000) begin();
    });
  };
  for (int64_t i = 0; i < target.options().clients; ++i) begin();
  if (!target.Run(seconds + kGraceSeconds, [&] { return counts.open == 0; })) target.CancelAll();
  error = counts.error;
  return static_cast<double>(in_time) / seconds;
}

}  // namespace

absl::Status Overload(Target& target, Findings& findings) {
  const StormOptions& options = target.options();
  std::string error;
  Peak(target, std::min(2.0, options.seconds), error);  // warms up
  const double peak = Peak(target, options.seconds, error);
  if (peak <= 0) return Unavailable("nothing was finished within %g s: %s", options.seconds, error);
  findings.Tell("peak", peak, "requests/s");

  Counts counts;
  tools::Random random(options.seed, 0x10ad);
  const Clock::time_point start = Clock::now();
  double due = 0;
  int64_t next = 0, in_time = 0;
  target.Run(options.seconds, [&] {
    while (due < Since(start)) {
      due += random.Exponential() / (kTimes * peak);
      if (counts.open >= kMostOpen) {
        ++counts.held_back;
        continue;
      }
      ++counts.sent;
      ++counts.open;
      target.Send(target.Call(next++), [&](Ask& ask) {
        counts.Add(ask);
        if (Since(start) <= options.seconds) in_time += ask.finished() ? 1 : 0;
      });
    }
    return false;
  });
  const double goodput = static_cast<double>(in_time) / options.seconds;
  target.Run(kGraceSeconds, [&] { return counts.open == 0; });

  findings.Tell("sent", static_cast<double>(counts.sent));
  if (counts.held_back > 0)
    findings.Tell("not sent: too many were open", static_cast<double>(counts.held_back));
  findings.Tell("finished", static_cast<double>(counts.finished));
  for (const auto& [status, count] : counts.statuses)
    findings.Tell(absl::StrCat("status ", status), static_cast<double>(count));
  findings.Tell("refused within, p99", 1e3 * PercentileOf(counts.refused_after, 99), "ms");
  findings.Promise("refused", static_cast<double>(counts.refused), "", counts.refused > 0,
                   "some: a queue that holds all of it was not overloaded");
  findings.Promise("refused without Retry-After", static_cast<double>(counts.without_retry), "",
                   counts.without_retry == 0, "none");
  findings.Promise("other errors", static_cast<double>(counts.failed), "", counts.failed == 0, "none");
  if (!counts.error.empty()) findings.Example("error", counts.error);
  findings.Promise("never answered", static_cast<double>(counts.open), "", counts.open == 0, "none");
  findings.Promise("goodput", goodput, "requests/s", goodput >= kLeastShare * peak,
                   absl::StrCat("at least ", 100 * kLeastShare, " % of the peak"));
  findings.Tell("goodput over peak", 100 * goodput / peak, "%");
  const bool idle = target.WaitIdle(kGraceSeconds);
  const absl::Status after = target.StillServes();
  findings.Promise("idle again, and serves", idle && after.ok());
  return absl::OkStatus();
}

}  // namespace qiao::storm
