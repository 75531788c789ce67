// Puts a load on a client: sends every request when it is due, and looks at the server meanwhile.
#pragma once

#include <functional>
#include <vector>

#include "tools/infer/load/client.h"

namespace qiao::tools {

struct LoadSample {
  double at = 0;  // seconds from the start
  ServerState state;
};

struct LoadRun {
  Clock::time_point start;
  double seconds = 0;  // from the start to the last end
  bool interrupted = false;
  std::vector<RequestRecord> records;  // one for each request of the workload, in its order
  std::vector<LoadSample> samples;     // in order of time, at most kMostSamples; counters from the start on
};

inline constexpr double kSampleSeconds = 0.05;
// A run that needs more is sampled half as often from then on.
inline constexpr size_t kMostSamples = 4096;

// Returns when every request that was sent has ended. `go_on` hears of progress several times a second, in
// requests that have ended and in all; where it returns false the rest is cancelled and nothing more is sent.
LoadRun Drive(LoadClient& client, const Workload& workload,
              const std::function<bool(uint64_t done, uint64_t total)>& go_on);

}  // namespace qiao::tools
