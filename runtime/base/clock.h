// The clock that durations are measured with.
#pragma once

#include <chrono>

namespace qiao {

using Clock = std::chrono::steady_clock;

// Seconds.
inline double Since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace qiao
