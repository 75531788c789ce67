#include "runtime/program/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace qiao::program {
namespace {

bool Meet(const ArenaItem& a, const ArenaItem& b) { return a.first <= b.last && b.first <= a.last; }

TEST(Arena, ValuesThatLiveTogetherNeverOverlap) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<ArenaItem> items(1 + random() % 60);
    for (ArenaItem& item : items) {
      item.bytes = random() % 5000;
      item.first = static_cast<int32_t>(random() % 40);
      item.last = item.first + static_cast<int32_t>(random() % 10);
    }
    const uint64_t size = PlanArena(absl::MakeSpan(items), 64);
    uint64_t most = 0;
    for (int32_t t = 0; t < 50; ++t) {
      uint64_t live = 0;
      for (const ArenaItem& item : items) {
        if (item.first <= t && t <= item.last) live += item.bytes;
      }
      most = std::max(most, live);
    }
    EXPECT_GE(size, most);
    for (size_t i = 0; i < items.size(); ++i) {
      EXPECT_EQ(items[i].offset % 64, 0u);
      EXPECT_LE(items[i].offset + items[i].bytes, size);
      for (size_t j = 0; j < i; ++j) {
        if (!Meet(items[i], items[j]) || items[i].bytes == 0 || items[j].bytes == 0) continue;
        const bool apart = items[i].offset + items[i].bytes <= items[j].offset ||
                           items[j].offset + items[j].bytes <= items[i].offset;
        EXPECT_TRUE(apart) << i << " and " << j;
      }
    }
  }
}

TEST(Arena, AChainNeedsTwoValuesAtOnce) {
  std::vector<ArenaItem> items;
  for (int32_t i = 0; i < 100; ++i) items.push_back({.bytes = 1024, .first = i, .last = i + 1});
  EXPECT_EQ(PlanArena(absl::MakeSpan(items), 64), 2048u);
}

TEST(Arena, NothingNeedsNothing) { EXPECT_EQ(PlanArena({}, 64), 0u); }

}  // namespace
}  // namespace qiao::program
