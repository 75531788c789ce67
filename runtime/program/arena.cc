#include "runtime/program/arena.h"

#include <algorithm>
#include <numeric>

#include "runtime/base/checked.h"

namespace qiao::program {

uint64_t PlanArena(absl::Span<ArenaItem> items, uint64_t alignment) {
  std::vector<size_t> order(items.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return items[a].bytes > items[b].bytes; });
  std::vector<const ArenaItem*> placed;  // by offset
  uint64_t size = 0;
  for (size_t i : order) {
    ArenaItem& item = items[i];
    uint64_t offset = 0;
    for (const ArenaItem* other : placed) {
      if (other->last < item.first || item.last < other->first) continue;
      if (other->offset >= offset + item.bytes) break;
      offset = std::max(offset, RoundUp(other->offset + other->bytes, alignment));
    }
    item.offset = offset;
    size = std::max(size, offset + item.bytes);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), &item,
                         [](const ArenaItem* a, const ArenaItem* b) { return a->offset < b->offset; }),
        &item);
  }
  return RoundUp(size, alignment);
}

}  // namespace qiao::program
