// How much memory this process takes, as Linux counts it; 0 where the system does not say.
#pragma once

#include <cstdint>

namespace qiao::tools {

struct MemoryUse {
  uint64_t peak = 0;       // VmHWM: resident at most, since the start or the last ResetPeakMemory
  uint64_t anonymous = 0;  // RssAnon: its own memory, now
  uint64_t file = 0;       // RssFile: pages of mapped files, now; the system can take them back
};
MemoryUse ReadMemoryUse();

// The peak starts again from what is resident now. False where the system does not allow it.
bool ResetPeakMemory();

}  // namespace qiao::tools
