#include "runtime/engine/draft_gain.h"

#include <gtest/gtest.h>

namespace qiao::engine {
namespace {

// Steps of `sequences`, of which one with drafts takes `cost` times as long and makes `tokens` times as many.
int64_t Drafted(DraftGain& gain, int64_t sequences, double cost, double tokens, int steps) {
  int64_t drafted = 0;
  for (int i = 0; i < steps; ++i) {
    const bool drafts = gain.Try(sequences);
    drafted += drafts;
    gain.Record(sequences, drafts,
                static_cast<int64_t>(static_cast<double>(sequences) * 100 * (drafts ? tokens : 1)),
                drafts ? cost : 1);
  }
  return drafted;
}

TEST(DraftGain, StaysWithWhatPaysAndTriesTheOtherNowAndThen) {
  DraftGain pays;
  EXPECT_EQ(pays.Gain(1), 0);
  const int64_t drafted = Drafted(pays, 1, 1.2, 1.8, 1000);
  EXPECT_GT(drafted, 940);
  EXPECT_LT(drafted, 990) << "it looks again whether that is still so";
  EXPECT_NEAR(pays.Gain(1), 1.5, 1e-6);

  DraftGain costs;
  const int64_t tried = Drafted(costs, 1, 1.9, 1.5, 1000);
  EXPECT_GT(tried, 10);
  EXPECT_LT(tried, 60);
}

TEST(DraftGain, DecidesForEachNumberOfSequences) {
  DraftGain gain;
  for (int round = 0; round < 50; ++round) {
    Drafted(gain, 1, 1.1, 1.7, 4);
    Drafted(gain, 16, 2.0, 1.7, 4);
  }
  EXPECT_TRUE(gain.Try(1));
  EXPECT_FALSE(gain.Try(16));
  EXPECT_FALSE(gain.Try(31)) << "of the same order";
  EXPECT_TRUE(gain.Try(32)) << "not known yet";
}

TEST(DraftGain, FollowsWhenTheTextChanges) {
  DraftGain gain;
  Drafted(gain, 2, 1.5, 1.2, 300);
  EXPECT_FALSE(gain.Try(2));
  Drafted(gain, 2, 1.5, 2.5, 600);
  EXPECT_TRUE(gain.Try(2));
}

}  // namespace
}  // namespace qiao::engine
