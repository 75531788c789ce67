// The clock that durations are measured with.
#pragma once

#include <chrono>

namespace qiao {

using Clock = std::chrono::steady_clock;

// Seconds of a duration, seconds since then, and the duration of so many seconds.
inline double Seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }
inline double Since(Clock::time_point start) { return Seconds(Clock::now() - start); }
inline Clock::duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace qiao
