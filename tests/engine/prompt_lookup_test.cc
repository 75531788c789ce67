#include "runtime/engine/prompt_lookup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace qiao::engine {
namespace {

using Ids = std::vector<int32_t>;

// By trying every place, from the end.
Ids Search(const Ids& history, int max_ngram, int drafts) {
  const int size = static_cast<int>(history.size());
  for (int n = std::min(max_ngram, size); n >= 1; --n) {
    for (int end = size - 2; end >= n - 1; --end) {
      if (!std::equal(history.end() - n, history.end(), history.begin() + (end - n + 1))) continue;
      Ids all = history;
      for (int i = 0; i < drafts; ++i) all.push_back(all[static_cast<size_t>(end + 1 + i)]);
      return Ids(all.begin() + size, all.end());
    }
  }
  return {};
}

Ids Propose(PromptLookup& lookup, const Ids& history, int drafts) {
  Ids out = {-7};
  lookup.Propose(history, drafts, out);
  return out;
}

TEST(PromptLookupTest, ProposesWhatFollowedTheLongestAndThenTheLatestOccurrence) {
  PromptLookup lookup;
  EXPECT_EQ(Propose(lookup, {}, 4), Ids());
  EXPECT_EQ(Propose(lookup, {1, 2, 3}, 4), Ids()) << "nothing occurred twice";
  lookup.Clear();
  // "2 3" is followed by 9 the last time, but "1 2 3" by 4.
  EXPECT_EQ(Propose(lookup, {1, 2, 3, 4, 5, 7, 2, 3, 9, 1, 2, 3}, 2), (Ids{4, 5}));
  lookup.Clear();
  EXPECT_EQ(Propose(lookup, {1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3}, 1), (Ids{5})) << "the later of two";
  lookup.Clear();
  EXPECT_EQ(Propose(lookup, {8, 1, 2, 1, 2, 1}, 5), (Ids{2, 1, 2, 1, 2})) << "runs into itself";
  EXPECT_EQ(Propose(lookup, {8, 1, 2, 1, 2, 1}, 0), Ids());
}

// Texts over few tokens, so that n-grams of every length recur; the tables grow several times.
TEST(PromptLookupTest, EqualsASearchOfTheWholeText) {
  std::mt19937 random(20);
  for (const int vocab : {1, 2, 5, 40}) {
    for (const int max_ngram : {1, 3, 8}) {
      PromptLookup lookup(max_ngram);
      for (int text = 0; text < 2; ++text) {
        lookup.Clear();
        Ids history;
        while (history.size() < 300) {
          const size_t fresh = 1 + random() % 3;  // as a step appends them
          for (size_t i = 0; i < fresh; ++i) history.push_back(static_cast<int32_t>(random() % vocab) * 1000);
          const int drafts = static_cast<int>(random() % 6);
          ASSERT_EQ(Propose(lookup, history, drafts), Search(history, max_ngram, drafts))
              << vocab << " tokens, n-grams up to " << max_ngram << ", at " << history.size();
        }
      }
    }
  }
}

}  // namespace
}  // namespace qiao::engine
