// The clock that durations are measured with.
#pragma once

#include <chrono>

namespace qiao {

using Clock = std::chrono::steady_clock;

// In seconds.
inline double Seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }
inline double Since(Clock::time_point start) { return Seconds(Clock::now() - start); }

}  // namespace qiao
