#include "runtime/engine/prefix_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace qiao::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<int32_t> Acquire(PagePool& pool, int64_t n) {
  std::vector<int32_t> pages;
  for (int64_t i = 0; i < n; ++i) pages.push_back(pool.Acquire().value());
  return pages;
}
void Release(PagePool& pool, const std::vector<int32_t>& pages) {
  for (int32_t page : pages) pool.Release(page);
}

TEST(PrefixTree, FindsTheLongestBeginningAndThePagesThatItLiesIn) {
  PagePool pool(8);
  PrefixTree tree(pool, 4);
  EXPECT_EQ(tree.Find({1, 2, 3}).length, 0);
  const auto pages = Acquire(pool, 3);
  tree.Insert({1, 2, 3, 4, 5, 6, 7, 8, 9}, pages);
  Release(pool, pages);
  EXPECT_EQ(pool.free(), 5);
  EXPECT_EQ(tree.evictable(), 3);

  auto match = tree.Find({1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  EXPECT_EQ(match.length, 9);
  EXPECT_EQ(match.pages, pages);
  match = tree.Find({1, 2, 3, 4, 5, 6, 0});
  EXPECT_EQ(match.length, 6) << "a page in part";
  EXPECT_THAT(match.pages, ElementsAre(pages[0], pages[1]));
  EXPECT_THAT(tree.Find({2, 2, 3}).pages, IsEmpty());
}

TEST(PrefixTree, TextsThatPartInsideAPageStandBesideEachOther) {
  PagePool pool(8);
  PrefixTree tree(pool, 4);
  const auto a = Acquire(pool, 2), b = Acquire(pool, 2);
  tree.Insert({1, 2, 3, 4, 5, 6, 7, 8}, a);
  tree.Insert({1, 2, 3, 4, 5, 6, 0, 0}, b);
  Release(pool, a);
  Release(pool, b);
  EXPECT_EQ(pool.free(), 5) << "the first page is known, the second one's copy of it is free";
  EXPECT_THAT(tree.Find({1, 2, 3, 4, 5, 6, 0, 0}).pages, ElementsAre(a[0], b[1]));
  EXPECT_THAT(tree.Find({1, 2, 3, 4, 5, 6, 7, 8}).pages, ElementsAre(a[0], a[1]));
}

TEST(PrefixTree, ALongerEndTakesTheShorterOnesPlace) {
  PagePool pool(4);
  PrefixTree tree(pool, 4);
  const auto a = Acquire(pool, 1), b = Acquire(pool, 2);
  tree.Insert({1, 2}, a);
  tree.Insert({1, 2, 3, 4, 5}, b);
  Release(pool, a);
  Release(pool, b);
  EXPECT_EQ(tree.pages(), 2);
  EXPECT_THAT(tree.Find({1, 2, 3, 4, 5, 6}).pages, ElementsAre(b[0], b[1]));
  EXPECT_EQ(pool.free(), 2);
  const auto c = Acquire(pool, 1);
  tree.Insert({1, 2, 3}, c);  // known, with more behind it
  Release(pool, c);
  EXPECT_EQ(tree.pages(), 2);
}

TEST(PrefixTree, GivesUpWhatWasNotUsedForLongestAndNobodyHolds) {
  PagePool pool(6);
  PrefixTree tree(pool, 2);
  const auto a = Acquire(pool, 2), b = Acquire(pool, 2), c = Acquire(pool, 2);
  tree.Insert({1, 1, 1, 2}, a);
  tree.Insert({2, 1, 1, 2}, b);
  tree.Insert({3, 1, 1, 2}, c);
  Release(pool, a);
  Release(pool, c);  // b is in use
  EXPECT_EQ(tree.Find({1, 1, 1, 2}).length, 4);
  ASSERT_TRUE(tree.Evict());
  EXPECT_EQ(tree.Find({3, 1, 1, 2}).length, 2) << "leaves first, and b is held";
  EXPECT_EQ(tree.Find({1, 1, 1, 2}).length, 4);
  ASSERT_TRUE(tree.Evict());
  ASSERT_TRUE(tree.Evict());
  ASSERT_TRUE(tree.Evict());
  EXPECT_FALSE(tree.Evict());
  EXPECT_EQ(tree.Find({2, 1, 1, 2}).length, 4);
  EXPECT_EQ(pool.free(), 4);
}

// A list of the texts that were inserted, and no eviction.
TEST(PrefixTree, FindsWhatASearchOfAllTextsFinds) {
  std::mt19937 random(7);
  for (int64_t page_tokens : {1, 3, 8}) {
    PagePool pool(4000);
    PrefixTree tree(pool, page_tokens);
    std::vector<std::vector<int32_t>> texts;
    std::map<int32_t, std::vector<int32_t>> content;  // of a page, when it was written
    for (int round = 0; round < 150; ++round) {
      std::vector<int32_t> text;
      if (!texts.empty() && random() % 2 == 0) {
        text = texts[random() % texts.size()];
        text.resize(random() % (text.size() + 1));
      }
      for (size_t n = 1 + random() % 12; n > 0; --n) text.push_back(static_cast<int32_t>(random() % 3));

      size_t longest = 0;
      for (const auto& known : texts) {
        const size_t n = std::min(known.size(), text.size());
        longest = std::max(
            longest,
            static_cast<size_t>(
                std::mismatch(known.begin(), known.begin() + static_cast<ptrdiff_t>(n), text.begin()).first -
                known.begin()));
      }
      const PrefixTree::Match match = tree.Find(text);
      ASSERT_EQ(match.length, static_cast<int64_t>(longest));
      ASSERT_EQ(static_cast<int64_t>(match.pages.size()), (match.length + page_tokens - 1) / page_tokens);
      for (int64_t i = 0; i < match.length; ++i) {
        ASSERT_EQ(
            content[match.pages[static_cast<size_t>(i / page_tokens)]][static_cast<size_t>(i % page_tokens)],
            text[static_cast<size_t>(i)]);
      }
      const auto count = (static_cast<int64_t>(text.size()) + page_tokens - 1) / page_tokens;
      const auto pages = Acquire(pool, count);
      for (size_t i = 0; i < text.size(); ++i) {
        auto& page = content[pages[i / static_cast<size_t>(page_tokens)]];
        page.resize(static_cast<size_t>(page_tokens));
        page[i % static_cast<size_t>(page_tokens)] = text[i];
      }
      tree.Insert(text, pages);
      Release(pool, pages);
      texts.push_back(text);
    }
    EXPECT_EQ(pool.size() - pool.free(), tree.pages());
    tree.Clear();
    EXPECT_EQ(pool.free(), pool.size());
  }
}

// As deep as the longest context: destroying it must not recurse.
TEST(PrefixTree, TakesTextsOfAMillionPages) {
  PagePool pool(1 << 20);
  const std::vector<int32_t> text(1 << 20, 5);
  const auto pages = Acquire(pool, 1 << 20);
  PrefixTree tree(pool, 1);
  tree.Insert(text, pages);
  EXPECT_EQ(tree.Find(text).length, 1 << 20);
}

}  // namespace
}  // namespace qiao::engine
