// Time that only goes forward.
#pragma once

#include <chrono>

namespace qiao {

using Clock = std::chrono::steady_clock;

inline double Seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }
inline double Since(Clock::time_point start) { return Seconds(Clock::now() - start); }

}  // namespace qiao
