// What is kept: compiled constraints, and masks.
#include "runtime/text/constraint_cache.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "runtime/text/constraint_mask.h"
#include "tests/text/constraint_fixture.h"

namespace qiao::text {
namespace {

ConstraintSpec Regex(const std::string& pattern) { return {Kind::kRegex, pattern}; }

TEST(ConstraintCache, LeastRecentlyUsedLeavesFirst) {
  ConstraintCache cache(2, 100 << 20);
  const auto a = *cache.Get(Regex("a"));
  const auto b = *cache.Get(Regex("b"));
  EXPECT_EQ(*cache.Get(Regex("a")), a);
  ASSERT_TRUE(cache.Get(Regex("c")).ok());  // b leaves
  EXPECT_EQ(cache.counters().constraints, 2u);
  EXPECT_EQ(*cache.Get(Regex("a")), a);
  EXPECT_NE(*cache.Get(Regex("b")), b);
  EXPECT_TRUE(Matches(b, "b")) << "it stays valid for who has it";
  EXPECT_EQ(cache.counters().hits, 2u);
  EXPECT_EQ(cache.counters().misses, 4u);
}

TEST(ConstraintCache, BytesAreCapped) {
  size_t one;
  {
    ConstraintCache cache(100, 100 << 20);
    ASSERT_TRUE(cache.Get(Regex("a{100}")).ok());
    one = cache.counters().bytes;
  }
  ConstraintCache cache(100, 3 * one + one / 2);
  for (int i = 0; i < 10; ++i)
    ASSERT_TRUE(cache.Get(Regex(std::string(1, static_cast<char>('a' + i)) + "{100}")).ok());
  EXPECT_EQ(cache.counters().constraints, 3u);
  EXPECT_LE(cache.counters().bytes, 3 * one + one / 2);
  // What is larger than the cache is given out and not kept.
  ConstraintCache small(100, 10);
  EXPECT_TRUE(small.Get(Regex("a")).ok());
  EXPECT_EQ(small.counters().constraints, 0u);
}

TEST(ConstraintCache, SpecsThatDifferAreApart) {
  ConstraintCache cache(10, 100 << 20);
  ConstraintSpec one{Kind::kChoice}, two{Kind::kChoice}, three{Kind::kChoice};
  one.choices = {"a", "b"};
  two.choices = {"ab"};
  three.choices = {"a1:b"};
  EXPECT_NE(*cache.Get(one), *cache.Get(two));
  EXPECT_NE(*cache.Get(one), *cache.Get(three));
  EXPECT_NE(*cache.Get(Regex("true")), *cache.Get({Kind::kJsonSchema, "true"}));
  EXPECT_FALSE(cache.Get(Regex("(")).ok());
  EXPECT_EQ(cache.counters().constraints, 5u);
}

TEST(ConstraintCache, MasksAreCapped) {
  ConstraintLimits limits;
  limits.max_mask_bytes = 2 << 10;
  const auto small = Compiled({Kind::kJsonSchema, "{}"}, limits), large = Compiled({Kind::kJsonSchema, "{}"});
  const auto trie = DemoTrie();
  ConstraintState a(small, trie), b(large, trie);
  for (const char c :
       std::string_view(R"({"name": "Ada", "list": [1, 2.5e-3, true, {"x": null, "y": "\u00e9"}]})")) {
    EXPECT_EQ(MaskOf(a, *trie), MaskOf(b, *trie)) << "with and without room for masks";
    EXPECT_LE(small->masks().size_in_bytes(), limits.max_mask_bytes);
    ASSERT_TRUE(a.AcceptBytes({&c, 1}));
    ASSERT_TRUE(b.AcceptBytes({&c, 1}));
  }
  EXPECT_GT(large->masks().size_in_bytes(), limits.max_mask_bytes);
  EXPECT_GT(large->masks().size(), small->masks().size());
}

TEST(ConstraintCache, StatesFarFromTheirBoundsShareMasks) {
  const auto constraint =
      Compiled({Kind::kJsonSchema, R"({"type":"string","minLength":500,"maxLength":3000})"});
  const auto trie = DemoTrie();
  ConstraintState state(constraint, trie);
  ASSERT_TRUE(state.AcceptBytes("\""));
  for (int i = 0; i < 2999; ++i) {
    if (i % 10 == 0) MaskOf(state, *trie);
    ASSERT_TRUE(state.AcceptBytes("x"));
  }
  EXPECT_LT(constraint->masks().size(), 60u);
}

TEST(ConstraintCache, ThreadsShareIt) {
  ConstraintCache cache(3, 1 << 20);
  const auto trie = DemoTrie();
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 25; ++i) {
        const SchemaCase& c = SchemaCases()[random() % 6];
        const auto constraint = cache.Get({Kind::kJsonSchema, c.schema.dump()});
        ASSERT_TRUE(constraint.ok());
        ConstraintState state(*constraint, trie);
        for (int step = 0; step < 5; ++step) {
          const std::vector<bool> mask = MaskOf(state, *trie);
          const auto token = static_cast<int32_t>(random() % mask.size());
          EXPECT_EQ(state.Accept(token), mask[static_cast<size_t>(token)]);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(cache.counters().constraints, 3u);
}

}  // namespace
}  // namespace qiao::text
