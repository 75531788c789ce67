#include "runtime/engine/page_pool.h"

namespace qiao::engine {

PagePool::PagePool(int64_t pages) : holders_(static_cast<size_t>(pages), 0) {
  for (int64_t p = pages; p-- > 0;) free_.push_back(static_cast<int32_t>(p));
}

absl::StatusOr<int32_t> PagePool::Acquire() {
  if (free_.empty())
    return ResourceExhausted("all %d pages of the KV cache are held; allow more context (--ctx)", size());
  const int32_t page = free_.back();
  free_.pop_back();
  holders_[static_cast<size_t>(page)] = 1;
  return page;
}

void PagePool::Hold(int32_t page) { ++holders_[static_cast<size_t>(page)]; }

void PagePool::Release(int32_t page) {
  if (--holders_[static_cast<size_t>(page)] == 0) free_.push_back(page);
}

}  // namespace qiao::engine
