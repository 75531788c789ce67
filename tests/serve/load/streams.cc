#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/serve/load/scenarios.h"

namespace qiao::storm {
namespace {

constexpr double kGraceSeconds = 120;  // for what is under way at the end

// What memory does over time: samples of (seconds, bytes).
class MemoryWatch {
 public:
  explicit MemoryWatch(pid_t pid) : pid_(pid), start_(Clock::now()) {}
  void Sample() {
    if (pid_ == 0 || Since(last_) < 1) return;
    last_ = Clock::now();
    const auto bytes = static_cast<double>(ResidentBytes(pid_));
    if (bytes > 0) samples_.emplace_back(Since(start_), bytes);
  }
  // Of the second half: the first is the warming up.
  void Tell(Findings& findings, double most_growth_mb) const {
    const size_t n = samples_.size();
    if (n < 8) return;
    findings.Tell("resident at the start", samples_.front().second / 1e6, "MB");
    findings.Tell("resident at the end", samples_.back().second / 1e6, "MB");
    double t = 0, b = 0, tt = 0, tb = 0;
    const size_t first = n / 2;
    const auto count = static_cast<double>(n - first);
    for (size_t i = first; i < n; ++i) {
      t += samples_[i].first / count;
      b += samples_[i].second / count;
    }
    for (size_t i = first; i < n; ++i) {
      tt += (samples_[i].first - t) * (samples_[i].first - t);
      tb += (samples_[i].first - t) * (samples_[i].second - b);
    }
    const double slope = tt > 0 ? tb / tt : 0;
    findings.Tell("slope of resident memory, second half", 3600 * slope / 1e6, "MB/h");
    const double growth = slope * (samples_.back().first - samples_[first].first) / 1e6;
    findings.Promise("growth of resident memory, second half", growth, "MB", growth <= most_growth_mb,
                     absl::StrCat("at most ", most_growth_mb, " MB"));
  }

 private:
  pid_t pid_;
  Clock::time_point start_, last_{};
  std::vector<std::pair<double, double>> samples_;
};

class Crowd {
 public:
  Crowd(Target& target, Findings& findings, std::vector<std::string> alone)
      : target_(target), findings_(findings), alone_(std::move(alone)) {}

  void Begin() {
    ++open_;
    const auto which = static_cast<size_t>(next_++) % alone_.size();
    target_.Send(target_.Call(static_cast<int64_t>(which)), [this, which](Ask& ask) { End(which, ask); });
  }

  // Begins those that were put off.
  void Again() {
    const auto due = [](Clock::time_point since) { return Since(since) > 0.2; };
    const auto rest = std::remove_if(waiting_.begin(), waiting_.end(), due);
    const auto ready = waiting_.end() - rest;
    waiting_.erase(rest, waiting_.end());
    for (int64_t i = 0; i < ready && !stop; ++i) Begin();
  }

  bool stop = false;
  int64_t open() const { return open_; }

  void Tell(double seconds) const {
    findings_.Tell("streams finished", static_cast<double>(finished_));
    findings_.Tell("tokens a second", static_cast<double>(tokens_) / seconds);
    findings_.Tell("first token p50", 1e3 * PercentileOf(first_, 50), "ms");
    findings_.Tell("first token p99", 1e3 * PercentileOf(first_, 99), "ms");
    findings_.Promise("errors", static_cast<double>(errors_), "", errors_ == 0, "none");
    findings_.Promise("answers that differ from the same request's alone", static_cast<double>(differ_), "",
                      differ_ == 0, "none");
    findings_.Promise("answers that are another request's", static_cast<double>(others_), "", others_ == 0,
                      "none");
    findings_.Promise("streams still open after the end", static_cast<double>(open_), "", open_ == 0, "none");
  }

 private:
  void End(size_t which, Ask& ask) {
    --open_;
    if (!ask.finished()) {
      ++errors_;
      findings_.Example("error", ask.record.error);
    } else {
      ++finished_;
      tokens_ += static_cast<int64_t>(ask.record.tokens.size());
      if (!ask.record.tokens.empty()) first_.push_back(Seconds(ask.record.tokens.front() - ask.record.sent));
      if (ask.text != alone_[which]) Differs(which, ask);
    }
    if (stop) return;
    if (ask.finished()) return Begin();
    // A server that refuses is not asked again at once.
    waiting_.push_back(Clock::now());
  }

  void Differs(size_t which, const Ask& ask) {
    ++differ_;
    const auto other = std::find(alone_.begin(), alone_.end(), ask.text);
    if (other != alone_.end() && !ask.text.empty()) ++others_;
    size_t at = 0;
    while (at < ask.text.size() && at < alone_[which].size() && ask.text[at] == alone_[which][at]) ++at;
    findings_.Example("difference",
                      absl::StrCat("request ", which, ", byte ", at, ": \"", ask.text.substr(at, 40),
                                   "\" instead of \"", alone_[which].substr(at, 40), "\""));
  }

  Target& target_;
  Findings& findings_;
  const std::vector<std::string> alone_;
  std::vector<Clock::time_point> waiting_;
  std::vector<double> first_;
  int64_t next_ = 0, open_ = 0, finished_ = 0, errors_ = 0, differ_ = 0, others_ = 0, tokens_ = 0;
};

absl::StatusOr<std::vector<std::string>> SendAlone(Target& target) {
  std::vector<std::string> texts;
  for (int64_t i = 0; i < target.options().distinct; ++i) {
    const auto ask = target.Send(target.Call(i));
    if (!target.Run(kGraceSeconds, [&] { return ask->ended; }))
      return Unavailable("request %d alone was not answered within %g s", i, kGraceSeconds);
    if (!ask->finished()) return Unavailable("request %d alone: %s", i, ask->record.error);
    texts.push_back(ask->text);
  }
  return texts;
}

}  // namespace

absl::Status Streams(Target& target, Findings& findings) {
  const StormOptions& options = target.options();
  QIAO_ASSIGN_OR_RETURN(std::vector<std::string> alone, SendAlone(target));
  std::vector<std::string> distinct = alone;
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  findings.Tell("different answers alone", static_cast<double>(distinct.size()));

  Crowd crowd(target, findings, std::move(alone));
  MemoryWatch memory(options.pid);
  const Clock::time_point start = Clock::now();
  for (int64_t i = 0; i < options.clients; ++i) crowd.Begin();
  target.Run(options.seconds, [&] {
    memory.Sample();
    crowd.Again();
    return false;
  });
  crowd.stop = true;
  const double seconds = Since(start);
  target.Run(kGraceSeconds, [&] { return crowd.open() == 0; });
  crowd.Tell(seconds);
  memory.Tell(findings, options.rss_growth_mb);
  const absl::Status after = target.StillServes();
  findings.Promise("serves afterwards", after.ok());
  return absl::OkStatus();
}

}  // namespace qiao::storm
