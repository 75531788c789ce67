// What this machine can do at most, measured by fixed means: the denominators of rooflines. Nothing here
// depends on the kernels, so a faster kernel never moves its own limit.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/base/threads.h"

namespace qiao::kernels::cpu {

struct Limit {
  double per_second = 0;  // 0: could not be measured
  std::string how;        // one line
};

struct Limits {
  Limit read;           // bytes, of memory that no cache holds
  Limit f32, bf16, i8;  // operations; a product and a sum are two
};

// Takes a few seconds and all threads of the pool. `stream_bytes` of memory, on huge pages where the system
// gives them, are mapped, walked a few times from end to end, and given back; the fastest walk counts.
// Arithmetic is a register-resident loop; of the ones that this CPU runs the fastest counts, and of its
// repetitions the fastest.
Limits MeasureLimits(uint64_t stream_bytes, ThreadPool& pool);

}  // namespace qiao::kernels::cpu
