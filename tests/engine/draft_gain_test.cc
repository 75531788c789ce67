#include "runtime/engine/draft_gain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

namespace qiao::engine {
namespace {

// What a step of so many sequences takes that checks `checked` guesses of each and makes `made`.
using Cost = std::function<double(int64_t sequences, int32_t checked, int32_t made)>;

// Steps on a clock of its own, with the noise of a machine that does other things too. Losses are counted without
// the noise.
class Simulation {
 public:
  Simulation(int32_t most, Cost cost, std::vector<double> right, double noise, uint64_t seed)
      : gain(most), cost_(std::move(cost)), right_(std::move(right)), noise_(noise), random_(seed) {}

  void Run(int64_t sequences, int steps) {
    for (int i = 0; i < steps; ++i) {
      const int32_t made = gain.Guesses(sequences);
      std::vector<int64_t> right(right_.size() + 1);
      for (int64_t s = 0; s < sequences; ++s) {
        int32_t m = 0;
        while (m < checks_ && uniform_(random_) < right_[static_cast<size_t>(m)]) ++m;
        ++right[static_cast<size_t>(m)];
      }
      const double seconds = cost_(sequences, checks_, made);
      double measured = seconds * std::exp(noise_ * normal_(random_));
      if (noise_ > 0 && uniform_(random_) < 0.06) measured *= 1 + 4 * uniform_(random_);
      if (busy && uniform_(random_) < 0.03) others_ = !others_;
      if (others_) measured *= 1.5;
      if (checks_ == made) gain.Record({sequences, made, right, measured});
      tokens_ += static_cast<double>(sequences) * Tokens(checks_);
      seconds_ += seconds;
      checks_ = made;
      counts.resize(right_.size() + 1);
      ++counts[static_cast<size_t>(made)];
      best_seconds_ +=
          static_cast<double>(sequences) * Tokens(checks_before_) / Rate(sequences, Best(sequences));
      checks_before_ = checks_;
    }
  }
  double Tokens(int32_t guesses) const {
    double tokens = 1, all = 1;
    for (int32_t m = 0; m < guesses; ++m) tokens += all *= right_[static_cast<size_t>(m)];
    return tokens;
  }
  double Rate(int64_t sequences, int32_t guesses) const {
    return static_cast<double>(sequences) * Tokens(guesses) / cost_(sequences, guesses, guesses);
  }
  int32_t Best(int64_t sequences) const {
    int32_t best = 0;
    for (int32_t k = 1; k <= static_cast<int32_t>(right_.size()); ++k) {
      if (Rate(sequences, k) > Rate(sequences, best)) best = k;
    }
    return best;
  }
  // The share of the time that the best number of guesses would have saved for the same tokens.
  double Loss() const { return 1 - best_seconds_ / seconds_; }
  void Forget() {
    tokens_ = seconds_ = best_seconds_ = 0;
    counts.clear();
  }

  DraftGain gain;
  bool busy = false;  // others compute for a while, again and again
  std::vector<double>& right() { return right_; }
  std::vector<int64_t> counts;  // of steps by guesses

 private:
  const Cost cost_;
  std::vector<double> right_;
  const double noise_;
  bool others_ = false;
  int32_t checks_ = 0, checks_before_ = 0;
  double tokens_ = 0, seconds_ = 0, best_seconds_ = 0;
  std::mt19937_64 random_;
  std::uniform_real_distribution<double> uniform_;
  std::normal_distribution<double> normal_;
};

// Bytes that must be read whatever the rows, work for each row, and a layer that makes the guesses.
Cost Linear(double step, double row, double layer) {
  return [=](int64_t sequences, int32_t checked, int32_t made) {
    const auto n = static_cast<double>(sequences);
    return step + row * n * (1 + checked) + layer * (step + row * n) * made;
  };
}

struct Table {
  const char* what;
  Cost cost;
  std::vector<double> right;
  int64_t sequences;
};

std::vector<Table> Tables() {
  return {
      {"reads only: all guesses pay", Linear(1, 0.02, 0.05), {0.85, 0.8, 0.75, 0.7}, 1},
      {"two pay, three do not", Linear(1, 0.25, 0.05), {0.85, 0.75, 0.3}, 1},
      {"one pays", Linear(1, 0.3, 0.08), {0.8, 0.4, 0.3}, 1},
      {"none pays, by much", Linear(0.1, 1, 0.2), {0.85, 0.75, 0.7}, 16},
      {"none pays, by 10 percent", Linear(1, 0.1, 0.15), {0.85, 0.8}, 16},
      {"one sequence whose guesses are wrong", Linear(1, 0.1, 0.1), {0.05, 0.05}, 1},
      {"free guesses, rarely right", Linear(1, 0.1, 0), {0.3, 0.3, 0.3}, 2},
      {"only many pay: the second row is dear, further ones are not",
       [](int64_t n, int32_t checked, int32_t) {
         return checked == 0 ? 1.0 : 1.9 + 0.01 * static_cast<double>(n) * checked;
       },
       {0.9, 0.9, 0.9, 0.9},
       2},
  };
}

TEST(DraftGain, LosesLittleAgainstTheBestNumberWhateverTheNoise) {
  for (const double noise : {0.0, 0.05, 0.1, 0.2}) {
    for (const Table& t : Tables()) {
      double worst = 0, all = 0;
      for (uint64_t seed = 1; seed <= 8; ++seed) {
        SCOPED_TRACE(testing::Message() << t.what << ", noise " << noise << ", seed " << seed);
        Simulation s(static_cast<int32_t>(t.right.size()), t.cost, t.right, noise, seed);
        s.busy = noise > 0;
        s.Run(t.sequences, 5000);
        worst = std::max(worst, s.Loss());
        all += s.Loss() / 8;
        EXPECT_LT(s.Loss(), noise < 0.15 ? 0.03 : 0.05);
      }
      std::printf("noise %.2f: loses %.2f %%, %.2f %% at most: %s\n", noise, 100 * all, 100 * worst, t.what);
    }
  }
}

TEST(DraftGain, FindsTheBestNumberAndStaysWithIt) {
  for (const Table& t : Tables()) {
    SCOPED_TRACE(t.what);
    Simulation s(static_cast<int32_t>(t.right.size()), t.cost, t.right, 0.05, 3);
    s.Run(t.sequences, 1000);
    s.Forget();
    s.Run(t.sequences, 4000);
    EXPECT_GT(s.counts[static_cast<size_t>(s.Best(t.sequences))], 3800);
  }
}

// The tries of what always loses get rarer, and short where it is clear.
TEST(DraftGain, TriesTheLosersLessAndLess) {
  Simulation s(2, Linear(0.1, 1, 0.2), {0.5, 0.5}, 0.05, 1);
  std::vector<int64_t> tries;
  for (int i = 0; i < 4; ++i) {
    s.Forget();
    s.Run(8, 4000);
    tries.push_back(s.counts[1] + s.counts[2]);
  }
  EXPECT_GT(tries[0], 40);
  EXPECT_LT(tries[0], 160);
  EXPECT_GT(tries[3], 0) << "it looks again whether that is still so";
  EXPECT_LT(tries[3], 40);
}

TEST(DraftGain, DecidesForEachNumberOfSequences) {
  Simulation s(2, Linear(1, 0.15, 0.1), {0.85, 0.7}, 0.05, 1);
  ASSERT_EQ(s.Best(1), 2);
  ASSERT_EQ(s.Best(4), 1);
  ASSERT_EQ(s.Best(32), 0);
  EXPECT_EQ(s.gain.Gain(1), 0) << "not known yet";
  for (int round = 0; round < 400; ++round) {
    for (const int64_t n : {1, 4, 32}) s.Run(n, 4);
  }
  s.Forget();
  for (int round = 0; round < 400; ++round) {
    for (const int64_t n : {1, 4, 32}) s.Run(n, 4);
  }
  EXPECT_LT(s.Loss(), 0.04) << "with the steps between two numbers";
  EXPECT_NEAR(s.gain.Gain(1), s.Rate(1, 2) / s.Rate(1, 0), 0.17);
  EXPECT_NEAR(s.gain.Gain(32), s.Rate(32, 1) / s.Rate(32, 0), 0.1);
  EXPECT_EQ(s.gain.Guesses(32), 0);
  EXPECT_EQ(s.gain.Guesses(63), 0) << "of the same order";
  EXPECT_EQ(s.gain.Guesses(100), 0) << "begins with what its neighbour has found";
}

// Sequences come and go all the time, so that times of different numbers must not be mixed up.
TEST(DraftGain, DecidesWhileSequencesComeAndGo) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Simulation pays(2, Linear(1, 0.02, 0.05), {0.85, 0.8}, 0.1, seed);
    Simulation costs(2, Linear(0.3, 0.3, 0.2), {0.6, 0.5}, 0.1, seed);
    std::mt19937_64 random(seed);
    int64_t n = 12;
    for (int i = 0; i < 1500; ++i) {
      n = std::clamp<int64_t>(n + static_cast<int64_t>(random() % 3) - 1, 8, 15);
      pays.Run(n, 3);
      costs.Run(n, 3);
    }
    EXPECT_LT(pays.Loss(), 0.04);
    EXPECT_LT(costs.Loss(), 0.04);
    std::printf("loses %.2f %%, %.2f %%\n", 100 * pays.Loss(), 100 * costs.Loss());
  }
}

// Attention gets slower with the depth of the cache, of steps with and without guesses.
TEST(DraftGain, IsNotMisledWhenEverythingGetsSlower) {
  double depth = 1;
  const Cost base = Linear(0.3, 0.3, 0.2);
  Simulation s(
      2, [&](int64_t n, int32_t checked, int32_t made) { return depth * base(n, checked, made); }, {0.6, 0.5},
      0.05, 1);
  for (int i = 0; i < 5000; ++i) {
    depth += 0.001;
    s.Run(4, 1);
  }
  EXPECT_LT(s.Loss(), 0.03);
  EXPECT_GT(s.counts[0], 4700);
}

TEST(DraftGain, FollowsWhenTheTextChanges) {
  Simulation s(3, Linear(1, 0.3, 0.1), {0.2, 0.1, 0.1}, 0.05, 1);
  ASSERT_EQ(s.Best(2), 0);
  s.Run(2, 2000);
  EXPECT_EQ(s.gain.Guesses(2), 0);
  s.right() = {0.95, 0.95, 0.95};
  ASSERT_EQ(s.Best(2), 3);
  s.Run(2, 3000);
  EXPECT_EQ(s.gain.Guesses(2), 3);
  // From guessing to none there is no waiting: the shares are seen in every step.
  s.right() = {0.2, 0.1, 0.1};
  s.Run(2, 500);
  EXPECT_EQ(s.gain.Guesses(2), 0);
}

// What one number of sequences learns of the text, others use before their wait is over.
TEST(DraftGain, SharesWhatIsRight) {
  Simulation s(1, Linear(1, 0.1, 0.1), {0.1}, 0.02, 1);
  s.Run(4, 6000);
  s.Run(1, 500);
  EXPECT_EQ(s.gain.Guesses(4), 0);
  s.right() = {0.9};
  ASSERT_EQ(s.Best(4), 1);
  s.Run(1, 2000);
  EXPECT_EQ(s.gain.Guesses(1), 1);
  s.Run(4, 100);
  EXPECT_EQ(s.gain.Guesses(4), 1);
}

TEST(DraftGain, LeavesOutNumbersWhereThereAreMany) {
  DraftGain gain(16);
  std::vector<int32_t> seen;
  const std::vector<int64_t> right(17, 1);
  for (int i = 0; i < 2000; ++i) {
    const int32_t k = gain.Guesses(17);
    if (std::find(seen.begin(), seen.end(), k) == seen.end()) seen.push_back(k);
    gain.Record({17, k, absl::MakeConstSpan(right).first(static_cast<size_t>(k) + 1), 1.0 + 0.01 * k});
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, (std::vector<int32_t>{0, 1, 2, 3, 4, 6, 8, 12, 16}));
}

}  // namespace
}  // namespace qiao::engine
