// When all sequences of a server decode and nobody's prompt is read.
#include <algorithm>

#include "tools/infer/load/measures.h"

namespace qiao::tools {
namespace {

struct Window {
  Clock::time_point from, to;
};

// A request begins or stops to decode, or to disturb those that do.
struct Change {
  Clock::time_point at;
  int decoding = 0, disturbing = 0;
};

std::vector<Change> ChangesOf(const std::vector<RequestRecord>& records) {
  std::vector<Change> changes;
  for (const RequestRecord& r : records) {
    if (r.outcome == RequestRecord::Outcome::kUnsent) continue;
    const Clock::time_point begun = r.queue_seconds < 0 ? r.sent : r.sent + FromSeconds(r.queue_seconds);
    // One that was preempted reads its prompt again, nobody knows when.
    const bool decodes = !r.tokens.empty() && r.preemptions == 0;
    changes.push_back({begun, 0, 1});
    if (decodes) {
      changes.push_back({r.tokens.front(), 1, -1});
      changes.push_back({r.tokens.back(), -1, 0});
    } else {
      changes.push_back({r.ended, 0, -1});
    }
  }
  std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) { return a.at < b.at; });
  return changes;
}

std::vector<Window> WindowsOf(const std::vector<Change>& changes, int64_t sequences) {
  std::vector<Window> windows;
  int64_t decoding = 0, disturbing = 0;
  for (size_t i = 0; i + 1 < changes.size(); ++i) {
    decoding += changes[i].decoding;
    disturbing += changes[i].disturbing;
    if (decoding != sequences || disturbing != 0) continue;
    if (changes[i].at < changes[i + 1].at) windows.push_back({changes[i].at, changes[i + 1].at});
  }
  return windows;
}

}  // namespace

// The time between two tokens of one request has no ends that a step could straddle, as a window has: so it is
// these that are counted, where both tokens came within a window.
std::optional<SteadyDecode> MeasureSteadyDecode(const LoadRun& run, int64_t sequences) {
  const std::vector<Window> windows = WindowsOf(ChangesOf(run.records), sequences);
  SteadyDecode steady{.sequences = sequences};
  double depth = 0;
  for (const RequestRecord& r : run.records) {
    size_t w = 0;
    for (size_t i = 1; i < r.tokens.size(); ++i) {
      while (w < windows.size() && windows[w].to < r.tokens[i]) ++w;
      if (w == windows.size()) break;
      if (r.tokens[i - 1] < windows[w].from) continue;
      ++steady.tokens;
      steady.seconds += Seconds(r.tokens[i] - r.tokens[i - 1]) / static_cast<double>(sequences);
      depth += static_cast<double>(r.prompt_tokens + static_cast<int64_t>(i) - 1);
    }
  }
  if (steady.tokens == 0 || steady.seconds <= 0) return std::nullopt;
  steady.depth = depth / static_cast<double>(steady.tokens);
  return steady;
}

}  // namespace qiao::tools
