// How strictly the emulator checks, what it found, and the report at exit.
//
// Environment: QIAO_CANN_CHECK = fail (only what CANN documents as an error), warn (the default: also what is undefined but
// served) or stress (also delays, orders that the hardware may choose, races, poisoned frees); QIAO_CANN_SEED for stress
// (default 1); QIAO_CANN_REPORT=1 prints the report even where it has nothing to complain of, 0 never;
// QIAO_CANN_EXACT=1; QIAO_CANN_FILL=0 leaves fresh memory zero.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace qiao::cann {

enum class CheckLevel { kFail, kWarn, kStress };

struct Settings {
  CheckLevel level = CheckLevel::kWarn;
  uint64_t seed = 1;
  int report = -1;  // -1: where there is something to say
  bool exact = false;
  bool fill = true;
  bool stress() const { return level == CheckLevel::kStress; }
};

// Read from the environment once.
const Settings& GetSettings();

// A client's mistake that no call can return: a race, memory freed under a queued task. Logged on stderr, each different
// message once, and counted.
void Fault(std::string_view rule, std::string message);

// One more failed call, for the report.
void CountFail(int code);

// So far in this process.
struct Counts {
  uint64_t failed_calls = 0;
  uint64_t warnings = 0;
  uint64_t faults = 0;
};
Counts CountsSoFar();

// "(emulated) " and the text, on stderr. Nothing else in the emulator prints.
void LogLine(std::string_view text);

// Prints what was found when the process exits. `leaks` (a line, or empty) is asked for then. Once.
void ReportAtExit(std::string (*leaks)());

}  // namespace qiao::cann
