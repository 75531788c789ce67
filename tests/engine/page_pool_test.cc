#include "runtime/engine/page_pool.h"

#include <gtest/gtest.h>

#include <set>

namespace qiao::engine {
namespace {

TEST(PagePool, HandsOutEveryPageOnceAndThenSaysSo) {
  PagePool pool(3);
  std::set<int32_t> pages;
  for (int i = 0; i < 3; ++i) pages.insert(*pool.Acquire());
  EXPECT_EQ(pages, (std::set<int32_t>{0, 1, 2}));
  EXPECT_EQ(pool.Acquire().status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(pool.free(), 0);
}

TEST(PagePool, APageIsFreeWhenItsLastHolderLetsGo) {
  PagePool pool(1);
  const int32_t page = *pool.Acquire();
  pool.Hold(page);
  pool.Release(page);
  EXPECT_EQ(pool.holders(page), 1);
  EXPECT_FALSE(pool.Acquire().ok());
  pool.Release(page);
  EXPECT_EQ(*pool.Acquire(), page);
}

}  // namespace
}  // namespace qiao::engine
