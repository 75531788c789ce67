// The pages of the KV cache: who holds which. A page may be held by several sequences (a shared prefix); it
// is free again when the last one lets go.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/base/status.h"

namespace qiao::engine {

// Not thread-safe.
class PagePool {
 public:
  explicit PagePool(int64_t pages);
  // A page held once. RESOURCE_EXHAUSTED, with numbers, when all are held.
  absl::StatusOr<int32_t> Acquire();
  void Hold(int32_t page);     // once more
  void Release(int32_t page);  // once less
  int32_t holders(int32_t page) const { return holders_[static_cast<size_t>(page)]; }
  int64_t size() const { return static_cast<int64_t>(holders_.size()); }
  int64_t free() const { return static_cast<int64_t>(free_.size()); }

 private:
  std::vector<int32_t> holders_;
  std::vector<int32_t> free_;  // a stack: the page that was let go last is the warmest
};

}  // namespace qiao::engine
