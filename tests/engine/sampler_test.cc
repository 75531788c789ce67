#include "runtime/engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

namespace qiao::engine {
namespace {

const std::vector<float> kLogits = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f};

std::map<int32_t, int> Draw(SamplingOptions options, const std::vector<float>& logits, int n) {
  Sampler sampler(options);
  std::map<int32_t, int> counts;
  for (int i = 0; i < n; ++i) ++counts[sampler.Sample(logits, {})->id];
  return counts;
}

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  Sampler sampler({});
  auto sampled = sampler.Sample(kLogits, {});
  ASSERT_TRUE(sampled.ok());
  EXPECT_EQ(sampled->id, 1);
  double sum = 0;
  for (float x : kLogits) sum += std::exp(x);
  EXPECT_NEAR(sampled->logprob, 3.0 - std::log(sum), 1e-6);
}

TEST(Sampler, FollowsTheDistribution) {
  SamplingOptions options{.temperature = 0.5, .seed = 11};
  const int n = 200000;
  const auto counts = Draw(options, kLogits, n);
  double sum = 0;
  for (float x : kLogits) sum += std::exp(x / 0.5);
  for (size_t i = 0; i < kLogits.size(); ++i) {
    const double p = std::exp(kLogits[i] / 0.5) / sum;
    const auto it = counts.find(static_cast<int32_t>(i));
    const double got = it == counts.end() ? 0.0 : static_cast<double>(it->second) / n;
    EXPECT_NEAR(got, p, 5 * std::sqrt(p * (1 - p) / n) + 1e-5) << i;
  }
}

TEST(Sampler, FiltersKeepWhatTheyPromise) {
  auto kept = [](SamplingOptions options) {
    options.temperature = 1;
    std::set<int32_t> ids;
    for (const auto& [id, count] : Draw(options, kLogits, 20000)) ids.insert(id);
    return ids;
  };
  EXPECT_EQ(kept({.top_k = 1}), (std::set<int32_t>{1}));
  EXPECT_EQ(kept({.top_k = 3}), (std::set<int32_t>{1, 2, 3}));
  EXPECT_EQ(kept({.top_k = 99}).size(), 5u);
  EXPECT_EQ(kept({.top_p = 1e-9}), (std::set<int32_t>{1})) << "one token always stays";
  // Probabilities: .38 .38 .14 .05 .007...
  EXPECT_EQ(kept({.top_p = 0.7}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(kept({.min_p = 0.3}), (std::set<int32_t>{1, 2, 3}));
  EXPECT_EQ(kept({.min_p = 1.0}), (std::set<int32_t>{1, 3}));
}

TEST(Sampler, TheSeedDecides) {
  auto sequence = [](uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed});
    std::vector<int32_t> ids;
    for (int i = 0; i < 64; ++i) ids.push_back(sampler.Sample(kLogits, {})->id);
    return ids;
  };
  EXPECT_EQ(sequence(5), sequence(5));
  EXPECT_NE(sequence(5), sequence(6));
}

TEST(Sampler, TheRepetitionPenaltyMovesChoiceAway) {
  Sampler sampler({.repetition_penalty = 2});
  EXPECT_EQ(sampler.Sample(kLogits, std::vector<int32_t>{1, 99, -5})->id, 3);
  EXPECT_EQ(sampler.Sample(kLogits, std::vector<int32_t>{1, 3})->id, 2);
}

TEST(Sampler, NanIsNeverChosen) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Sampler greedy({});
  EXPECT_EQ(greedy.Sample({{nan, 1.0f, nan, 2.0f}}, {})->id, 3);
  Sampler random({.temperature = 1});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random.Sample({{nan, 1.0f, nan}}, {})->id, 1);
  EXPECT_EQ(greedy.Sample({{nan, nan}}, {}).status().code(), absl::StatusCode::kInternal);
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(greedy.Sample({{-infinity, infinity, 0.0f}}, {})->id, 1);
}

TEST(Sampler, RefusesOptionsOutsideTheirRange) {
  const double nan = std::nan("");
  EXPECT_TRUE(SamplingOptions{}.Check().ok());
  for (const SamplingOptions& bad :
       {SamplingOptions{.temperature = -1}, SamplingOptions{.temperature = nan}, SamplingOptions{.top_k = -1},
        SamplingOptions{.top_p = 0}, SamplingOptions{.top_p = 1.5}, SamplingOptions{.min_p = -0.1},
        SamplingOptions{.min_p = nan}, SamplingOptions{.repetition_penalty = 0}}) {
    EXPECT_EQ(bad.Check().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace qiao::engine
