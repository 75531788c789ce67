// Where intermediate values lie: values whose lifetimes do not meet share memory.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace qiao::program {

// A value that is written in step `first` and read for the last time in step `last` (inclusive).
struct ArenaItem {
  uint64_t bytes = 0;
  int32_t first = 0, last = 0;
  uint64_t offset = 0;  // out
};

// Sets the offsets, multiples of `alignment`, and returns the size. Largest first, each at the lowest place
// that is free for its lifetime: within a few percent of the optimum on transformer graphs.
uint64_t PlanArena(absl::Span<ArenaItem> items, uint64_t alignment);

}  // namespace qiao::program
