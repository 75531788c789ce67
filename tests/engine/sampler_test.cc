#include "runtime/engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

namespace qiao::engine {
namespace {

using Row = std::vector<float>;
using Mask = std::vector<uint32_t>;

const Row kLogits = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f};
const float kNan = std::numeric_limits<float>::quiet_NaN();
const float kInf = std::numeric_limits<float>::infinity();

absl::StatusOr<Sampled> Sample(const Sampler& sampler, const Row& logits, const Mask& mask = {}) {
  static SamplerScratch scratch;  // shared on purpose: nothing may stay in it
  return sampler.Sample({.logits = logits, .mask = mask}, scratch);
}

int32_t Id(const Sampler& sampler, const Row& logits, const Mask& mask = {}) {
  const absl::StatusOr<Sampled> sampled = Sample(sampler, logits, mask);
  EXPECT_TRUE(sampled.ok()) << sampled.status();
  return sampled.ok() ? sampled->id : -1;
}

std::map<int32_t, int> DrawMany(const SamplingOptions& options, const Row& logits, int n) {
  Sampler sampler(options);
  std::map<int32_t, int> counts;
  for (int i = 0; i < n; ++i) {
    const int32_t id = Id(sampler, logits);
    ++counts[id];
    sampler.Accept(id);
  }
  return counts;
}

// The definition, as plainly as it can be said: the laws of the filters over a fully sorted vocabulary.
struct Oracle {
  SamplingOptions options;
  std::vector<int32_t> prompt, generated;

  Row Adjusted(const Row& logits, const Mask& mask) const {
    Row row = logits;
    for (size_t i = 0; i < row.size(); ++i) {
      const auto id = static_cast<int32_t>(i);
      const auto count = std::count(generated.begin(), generated.end(), id);
      const bool seen = count > 0 || std::count(prompt.begin(), prompt.end(), id) > 0;
      const auto penalty = static_cast<float>(options.repetition_penalty);
      if (seen) row[i] = row[i] > 0 ? row[i] / penalty : row[i] * penalty;
      if (count > 0) {
        row[i] -= static_cast<float>(options.presence_penalty);
        row[i] -= static_cast<float>(options.frequency_penalty) * static_cast<float>(count);
      }
      for (const auto& [biased, bias] : options.logit_bias) {
        if (biased == id) row[i] = bias == -100 ? -kInf : row[i] + bias;
      }
      if (!mask.empty() && (mask[i / 32] >> (i % 32) & 1) == 0) row[i] = -kInf;
    }
    return row;
  }

  // The tokens that can be drawn with their probabilities, in the order in which the draw goes through them.
  std::vector<std::pair<int32_t, double>> Law(const Row& logits, const Mask& mask) const {
    const Row row = Adjusted(logits, mask);
    std::vector<int32_t> ids;
    for (size_t i = 0; i < row.size(); ++i) {
      if (!std::isnan(row[i]) && row[i] != -kInf) ids.push_back(static_cast<int32_t>(i));
    }
    const auto logit = [&](int32_t id) { return row[static_cast<size_t>(id)]; };
    std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) { return logit(a) > logit(b); });
    if (options.temperature == 0) return {{ids[0], 1.0}};
    if (options.top_k > 0 && static_cast<size_t>(options.top_k) < ids.size())
      ids.resize(static_cast<size_t>(options.top_k));
    std::vector<std::pair<int32_t, double>> law;
    double total = 0, reached = 0;
    const float top = logit(ids[0]);
    for (int32_t id : ids) total += std::exp((static_cast<double>(logit(id)) - top) / options.temperature);
    for (int32_t id : ids) {
      const double weight = std::exp((static_cast<double>(logit(id)) - top) / options.temperature);
      if (!law.empty() && weight < options.min_p) break;
      law.emplace_back(id, weight);
      reached += weight;
      if (options.top_p < 1 && reached >= options.top_p * total) break;
    }
    for (auto& [id, weight] : law) weight /= reached;
    const bool filtered =
        (options.top_k > 0 && options.top_k < static_cast<int64_t>(row.size())) || options.top_p < 1;
    if (!filtered) std::sort(law.begin(), law.end());
    return law;
  }

  // SplitMix64 as published: a state that moves on.
  int32_t Token(const Row& logits, const Mask& mask) const {
    uint64_t state = options.seed, z = 0;
    for (size_t i = 0; i <= generated.size(); ++i) {
      z = (state += 0x9e3779b97f4a7c15u);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      z ^= z >> 31;
    }
    double at = static_cast<double>(z >> 11) / 9007199254740992.0;
    const auto law = Law(logits, mask);
    for (const auto& [id, p] : law) {
      at -= p;
      if (at < 0) return id;
    }
    return law.back().first;
  }
};

// Random options with each filter and penalty on half of the time, over rows with ties, NaN and -inf.
TEST(Sampler, AgreesWithTheDefinition) {
  std::mt19937_64 random(20250);
  const auto uniform = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  std::set<size_t> law_sizes;
  for (int round = 0; round < 200; ++round) {
    const size_t vocab = std::vector<size_t>{1, 5, 31, 64, 700, 2000}[below(6)];
    SamplingOptions o;
    if (below(8) != 0) o.temperature = uniform(0.2, 3);
    if (below(2) != 0) o.top_k = 1 + static_cast<int64_t>(below(vocab + 3));
    if (below(2) != 0) o.top_p = uniform(0.05, 1);
    if (below(2) != 0) o.min_p = below(2) != 0 ? uniform(0, 0.3) : uniform(0, 1e-3);
    if (below(2) != 0) o.repetition_penalty = uniform(0.5, 2);
    if (below(2) != 0) o.presence_penalty = uniform(-2, 2);
    if (below(2) != 0) o.frequency_penalty = uniform(-2, 2);
    std::map<int32_t, float> bias;
    for (size_t i = below(2) * below(vocab); bias.size() < i;)
      bias[static_cast<int32_t>(below(vocab))] = below(3) == 0 ? -100.0f : static_cast<float>(uniform(-5, 5));
    if (bias.size() < std::min<size_t>(vocab, kMaxLogitBias)) o.logit_bias.assign(bias.begin(), bias.end());
    o.seed = random();
    ASSERT_TRUE(o.Check(static_cast<int64_t>(vocab)).ok());

    Oracle oracle{o, {}, {}};
    Sampler sampler(o);
    for (size_t i = below(40); i > 0; --i)
      oracle.prompt.push_back(static_cast<int32_t>(below(vocab + 2)) - 1);
    sampler.Prompt(oracle.prompt);
    std::normal_distribution<float> normal(0, static_cast<float>(uniform(0.1, 6)));
    for (int step = 0; step < 8; ++step) {
      Row row(vocab);
      const bool ties = below(3) == 0;
      for (float& x : row) {
        x = normal(random);
        if (ties) x = std::round(x);
        if (vocab > 1 && below(50) == 0) x = below(2) != 0 ? kNan : -kInf;
      }
      Mask mask;
      if (below(3) == 0) {
        mask.resize((vocab + 31) / 32);
        for (uint32_t& word : mask) {
          const auto any = static_cast<uint32_t>(random());
          word = std::vector<uint32_t>{0, 0xffffffffu, any, any & (any >> 3)}[below(4)];
        }
      }
      const Row adjusted = oracle.Adjusted(row, mask);
      const bool none = std::none_of(adjusted.begin(), adjusted.end(), [](float x) { return x > -kInf; });
      const absl::StatusOr<Sampled> sampled = Sample(sampler, row, mask);
      if (none) {
        EXPECT_FALSE(sampled.ok());
        continue;
      }
      ASSERT_TRUE(sampled.ok()) << sampled.status();
      law_sizes.insert(oracle.Law(row, mask).size());
      ASSERT_EQ(sampled->id, oracle.Token(row, mask)) << "round " << round << " step " << step;
      ASSERT_EQ(Id(sampler, row, mask), sampled->id) << "a second draw at the same position";
      const int32_t accepted = below(4) == 0 ? static_cast<int32_t>(below(vocab)) : sampled->id;
      sampler.Accept(accepted);
      oracle.generated.push_back(accepted);
      ASSERT_EQ(sampler.position(), oracle.generated.size());
    }
  }
  EXPECT_GT(law_sizes.size(), 50u) << "the cases are too much alike to tell anything";
}

// The selections at a real vocabulary's size, where most blocks are skipped and prefixes are sorted in parts.
TEST(Sampler, AgreesWithTheDefinitionOverALargeVocabulary) {
  std::mt19937_64 random(77);
  std::normal_distribution<float> normal(0, 2.5f);
  Row row(129280);
  for (float& x : row) x = normal(random);
  for (int i = 0; i < 30; ++i) row[random() % row.size()] = 12 + normal(random) / 3;
  for (SamplingOptions o :
       {SamplingOptions{.temperature = 1}, SamplingOptions{.temperature = 1, .top_p = 0.95},
        SamplingOptions{.temperature = 1.5, .top_p = 0.9}, SamplingOptions{.temperature = 1, .top_k = 50},
        SamplingOptions{.temperature = 1, .top_k = 50, .top_p = 0.8},
        SamplingOptions{.temperature = 1, .top_k = 5000, .top_p = 0.99},
        SamplingOptions{.temperature = 1, .top_p = 0.9999, .min_p = 0.001},
        SamplingOptions{.temperature = 2, .min_p = 0.01}}) {
    o.seed = 5;
    Oracle oracle{o, {}, {}};
    Sampler sampler(o);
    for (int i = 0; i < 2; ++i) {
      const int32_t id = Id(sampler, row);
      ASSERT_EQ(id, oracle.Token(row, {})) << "top_k " << o.top_k << " top_p " << o.top_p << " draw " << i;
      sampler.Accept(id);
      oracle.generated.push_back(id);
    }
  }
}

// Pearson's statistic against the definition's law. The bound is passed by chance with a probability of 1e-5 (Wilson
// and Hilferty's approximation of the quantile); the seeds are fixed.
TEST(Sampler, FollowsTheDistribution) {
  std::mt19937_64 random(3);
  std::normal_distribution<float> normal(0, 1.2f);
  Row row(60);
  for (float& x : row) x = normal(random);
  const int n = 60000;
  for (SamplingOptions o :
       {SamplingOptions{.temperature = 1}, SamplingOptions{.temperature = 0.6, .top_p = 0.95},
        SamplingOptions{.temperature = 1.3, .top_k = 20}, SamplingOptions{.temperature = 1, .min_p = 0.05},
        SamplingOptions{.temperature = 1, .top_k = 30, .top_p = 0.8, .logit_bias = {{4, 2.0f}}}}) {
    o.seed = 11;
    const auto counts = DrawMany(o, row, n);
    double statistic = 0;
    const auto law = Oracle{o, {}, {}}.Law(row, {});
    int drawn = 0;
    for (const auto& [id, p] : law) {
      const auto it = counts.find(id);
      const int got = it == counts.end() ? 0 : it->second;
      drawn += got;
      statistic += (got - n * p) * (got - n * p) / (n * p);
    }
    EXPECT_EQ(drawn, n) << "a token outside the law was drawn";
    const double freedom = static_cast<double>(law.size()) - 1;
    const double scale = 2 / (9 * freedom);
    EXPECT_LT(statistic, freedom * std::pow(1 - scale + 4.265 * std::sqrt(scale), 3)) << freedom;
    EXPECT_GT(statistic, freedom * std::pow(std::max(0.0, 1 - scale - 4.265 * std::sqrt(scale)), 3));
  }
}

// Seeds of choices and of neighbouring requests: the first draws of many seeds are as spread as those of one.
TEST(Sampler, SeedsAreIndependentOfEachOther) {
  const Row row(16, 0.0f);
  const auto statistic = [&](auto seed_of) {
    std::vector<int> counts(256, 0);
    for (int i = 0; i < 51200; ++i) {
      Sampler sampler({.temperature = 1, .seed = seed_of(i)});
      const int32_t first = Id(sampler, row);
      sampler.Accept(first);
      ++counts[static_cast<size_t>(first * 16 + Id(sampler, row))];
    }
    double sum = 0;
    for (int c : counts) sum += (c - 200.0) * (c - 200.0) / 200.0;
    return sum;
  };
  // 255 degrees of freedom: 360 is passed with a probability of about 1e-5.
  EXPECT_LT(statistic([](int i) { return static_cast<uint64_t>(i); }), 360);
  EXPECT_LT(statistic([](int i) { return ChoiceSeed(42, i); }), 360);
  EXPECT_EQ(ChoiceSeed(42, 0), 42u);
  std::set<uint64_t> seeds;
  for (int i = 0; i < 1000; ++i) seeds.insert(ChoiceSeed(0, i));
  EXPECT_EQ(seeds.size(), 1000u);
}

TEST(Sampler, FiltersKeepWhatTheyPromise) {
  auto kept = [](SamplingOptions options) {
    options.temperature = 1;
    std::set<int32_t> ids;
    for (const auto& [id, count] : DrawMany(options, kLogits, 20000)) ids.insert(id);
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

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  EXPECT_EQ(Id(Sampler({}), kLogits), 1);
  const absl::StatusOr<Sampled> sampled = Sample(Sampler({.top_logprobs = 0}), kLogits);
  ASSERT_TRUE(sampled.ok());
  double sum = 0;
  for (float x : kLogits) sum += std::exp(x);
  EXPECT_NEAR(sampled->logprob, 3.0 - std::log(sum), 1e-6);
  EXPECT_EQ(sampled->top().size(), 0u);
}

TEST(Sampler, TakesTheDevicesArgmaxWhereThatIsAllThereIsToKnow) {
  SamplerScratch scratch;
  const auto argmax_of = [&](const SamplingOptions& o, const Mask& mask) {
    return Sampler(o).Sample({.logits = kLogits, .mask = mask, .argmax = 4}, scratch)->id;
  };
  EXPECT_EQ(argmax_of({}, {}), 4);
  EXPECT_EQ(argmax_of({.top_k = 3, .seed = 9}, {}), 4);
  EXPECT_EQ(argmax_of({}, {0x1fu}), 1);
  EXPECT_EQ(argmax_of({.temperature = 0.01, .seed = 2}, {0x0fu}) & 1, 1) << "1 or 3";
  EXPECT_EQ(argmax_of({.presence_penalty = 1}, {}), 1);
  EXPECT_EQ(argmax_of({.logit_bias = {{0, -1.0f}}}, {}), 1);
  EXPECT_EQ(argmax_of({.top_logprobs = 0}, {}), 1);
  EXPECT_EQ(Sampler({}).Sample({.argmax = 7}, scratch)->id, 7) << "no logits needed";
  EXPECT_EQ(Sampler({}).Sample({.argmax = -1}, scratch).status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(Sampler({.temperature = 1}).Sample({.argmax = 7}, scratch).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Sampler, LogprobsAreTheModelsOwn) {
  std::mt19937_64 random(8);
  std::normal_distribution<float> normal(0, 4);
  Row row(5000);
  for (float& x : row) x = std::round(normal(random) * 2) / 2;  // many ties
  row[17] = kNan;
  row[18] = -kInf;
  std::vector<int32_t> ids;
  double sum = 0;
  for (int32_t i = 0; i < 5000; ++i) {
    if (i == 17 || i == 18) continue;
    ids.push_back(i);
    sum += std::exp(static_cast<double>(row[static_cast<size_t>(i)]));
  }
  const auto logprob = [&](int32_t id) { return row[static_cast<size_t>(id)] - std::log(sum); };
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    return row[static_cast<size_t>(a)] > row[static_cast<size_t>(b)];
  });
  Mask mask(157, 0xfffffff0u);
  for (SamplingOptions o : {SamplingOptions{}, SamplingOptions{.temperature = 1},
                            SamplingOptions{.temperature = 2, .top_k = 40, .top_p = 0.9},
                            SamplingOptions{.temperature = 1, .logit_bias = {{ids[0], -100.0f}}}}) {
    for (int32_t k : {0, 1, 20}) {
      o.top_logprobs = k;
      Sampler sampler(o);
      const absl::StatusOr<Sampled> sampled = Sample(sampler, row, k == 1 ? mask : Mask());
      ASSERT_TRUE(sampled.ok());
      EXPECT_NEAR(sampled->logprob, logprob(sampled->id), 2e-6);
      ASSERT_EQ(sampled->top().size(), static_cast<size_t>(k));
      for (size_t i = 0; i < sampled->top().size(); ++i) {
        EXPECT_EQ(sampled->top()[i].id, ids[i]) << i;
        EXPECT_NEAR(sampled->top()[i].logprob, logprob(ids[i]), 2e-6);
      }
    }
  }
  EXPECT_EQ(Sample(Sampler({}), row)->logprob, 0) << "not asked for";
  const absl::StatusOr<Sampled> few = Sample(Sampler({.top_logprobs = 5}), {kNan, 0, -kInf, 0});
  ASSERT_EQ(few->top().size(), 2u);
  EXPECT_NEAR(few->top()[1].logprob, -std::log(2), 1e-7);
}

TEST(Sampler, PositionsDecideAndCopiesGoTheirOwnWay) {
  const Row row(1000, 0.0f);
  const auto go_on = [&](Sampler& sampler, int n) {
    std::vector<int32_t> ids;
    for (int i = 0; i < n; ++i) {
      ids.push_back(Id(sampler, row));
      sampler.Accept(ids.back());
    }
    return ids;
  };
  const SamplingOptions options{
      .temperature = 1, .repetition_penalty = 1.5, .frequency_penalty = 1, .seed = 5};
  Sampler a(options), b(options);
  a.Prompt(std::vector<int32_t>{1, 2, 3});
  b.Prompt(std::vector<int32_t>{1, 2, 3});
  EXPECT_EQ(go_on(a, 30), go_on(b, 30));
  Sampler copy(a);
  EXPECT_EQ(copy.position(), 30u);
  for (int i = 0; i < 100; ++i) Id(a, row);  // what a rejected draft does
  EXPECT_EQ(go_on(copy, 30), go_on(a, 30));

  Sampler other = Sampler(options).Fork(1), same = Sampler(options).Fork(0), start(options);
  Sampler derived({.temperature = 1,
                   .repetition_penalty = 1.5,
                   .frequency_penalty = 1,
                   .seed = ChoiceSeed(options.seed, 1)});
  const std::vector<int32_t> ids = go_on(start, 30);
  EXPECT_EQ(go_on(same, 30), ids);
  const std::vector<int32_t> others = go_on(other, 30);
  EXPECT_NE(others, ids);
  EXPECT_EQ(others, go_on(derived, 30));
}

// Drafts of any quality change nothing: neither the tokens nor what the sampler remembers.
TEST(Sampler, VerifyingDraftsGivesTheSameText) {
  std::mt19937_64 random(12);
  std::normal_distribution<float> normal(0, 2);
  std::vector<Row> rows(64, Row(50));  // the model's logits depend on the last two tokens
  for (Row& row : rows) {
    for (float& x : row) x = normal(random);
  }
  const auto row_after = [&](const std::vector<int32_t>& ids) -> const Row& {
    const size_t n = ids.size();
    return rows[static_cast<size_t>((n > 0 ? ids[n - 1] : 0) * 7 + (n > 1 ? ids[n - 2] : 0)) % 64];
  };
  const SamplingOptions options{.temperature = 0.8, .top_p = 0.9, .presence_penalty = 0.5, .seed = 3};
  std::vector<int32_t> plain;
  Sampler alone(options);
  while (plain.size() < 300) {
    plain.push_back(Id(alone, row_after(plain)));
    alone.Accept(plain.back());
  }
  Sampler sampler(options);
  std::vector<int32_t> ids;
  int accepted = 0;
  while (ids.size() < 300) {
    std::vector<int32_t> with_draft = ids;
    for (int k = 0; k < 3; ++k) {
      const Row& row = row_after(with_draft);
      with_draft.push_back(static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
    }
    for (int k = 0; k <= 3; ++k) {
      const int32_t draft = k < 3 ? with_draft[ids.size()] : -1;
      const int32_t id = Id(sampler, row_after(ids));
      ids.push_back(id);
      sampler.Accept(id);
      if (id != draft) break;
      ++accepted;
    }
  }
  ids.resize(300);
  EXPECT_EQ(ids, plain);
  EXPECT_GT(accepted, 20);
}

TEST(Sampler, PenaltiesMoveChoiceAway) {
  Sampler repetition({.repetition_penalty = 2});
  repetition.Prompt(std::vector<int32_t>{1, 99, -5});
  EXPECT_EQ(Id(repetition, kLogits), 3);
  repetition.Accept(3);
  EXPECT_EQ(Id(repetition, kLogits), 2);

  Sampler presence({.presence_penalty = 0.5});
  presence.Prompt(std::vector<int32_t>{1});
  EXPECT_EQ(Id(presence, kLogits), 1) << "the prompt does not count";
  for (int i = 0; i < 3; ++i) presence.Accept(1);
  presence.Accept(3);
  EXPECT_EQ(Id(presence, kLogits), 1) << "once, however often";

  Sampler frequency({.frequency_penalty = 0.5});
  for (int i = 0; i < 3; ++i) frequency.Accept(1);
  frequency.Accept(3);
  EXPECT_EQ(Id(frequency, kLogits), 3);
  for (int i = 0; i < 2; ++i) frequency.Accept(3);
  EXPECT_EQ(Id(frequency, kLogits), 2);
}

TEST(Sampler, NanIsNeverChosen) {
  EXPECT_EQ(Id(Sampler({}), {kNan, 1.0f, kNan, 2.0f}), 3);
  Sampler random({.temperature = 1, .top_logprobs = 2});
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Id(random, {kNan, 1.0f, kNan, -kInf}), 1);
    random.Accept(1);
  }
  EXPECT_EQ(Id(Sampler({}), {-kInf, kInf, 0.0f}), 1);
  for (const SamplingOptions& o : {SamplingOptions{}, SamplingOptions{.temperature = 1},
                                   SamplingOptions{.temperature = 1, .top_k = 2}}) {
    for (const Row& row : {Row{kNan, kNan, kNan}, Row{-kInf, kNan, -kInf}}) {
      const absl::Status status = Sample(Sampler(o), row).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
      EXPECT_NE(Message(status).find("all logits are NaN or -inf"), std::string_view::npos) << status;
    }
  }
  const auto infinite = DrawMany({.temperature = 1}, {kInf, 5.0f, kInf, kNan}, 2000);
  EXPECT_EQ(infinite.size(), 2u);
  EXPECT_NEAR(infinite.at(0), 1000, 150);
  const absl::StatusOr<Sampled> sampled = Sample(Sampler({.top_logprobs = 3}), {kInf, 5.0f, kInf, kNan});
  EXPECT_NEAR(sampled->logprob, -std::log(2), 1e-6);
  EXPECT_EQ(sampled->top()[2].logprob, -kInf);
}

TEST(Sampler, SaysWhyNothingIsLeft) {
  const auto status = [](const SamplingOptions& o, const Row& row, const Mask& mask) {
    return Sample(Sampler(o), row, mask).status();
  };
  const auto says = [](const absl::Status& s, absl::StatusCode code, std::string_view text) {
    EXPECT_EQ(s.code(), code) << s;
    EXPECT_NE(Message(s).find(text), std::string_view::npos) << s;
  };
  const SamplingOptions bans{.logit_bias = {{1, -100.0f}, {2, -100.0f}, {4, -100.0f}}};
  says(status({}, kLogits, {0}), absl::StatusCode::kFailedPrecondition, "mask allows none of the 5 tokens");
  says(status({}, kLogits, {0xffffffe0u}), absl::StatusCode::kFailedPrecondition, "mask allows none");
  says(status(bans, kLogits, {0x6u}), absl::StatusCode::kFailedPrecondition, "bans all 2 tokens");
  says(status({}, {1, kNan, -kInf}, {0x6u}), absl::StatusCode::kInternal, "all 2 allowed tokens are NaN");
  says(status({.temperature = 1}, {1, kNan, -kInf}, {0x6u}), absl::StatusCode::kInternal, "all 2 allowed");
  says(status({}, kLogits, {1, 1}), absl::StatusCode::kInvalidArgument, "must have 1 for 5 tokens");
  says(status({}, {}, {}), absl::StatusCode::kInvalidArgument, "no logits");
  EXPECT_EQ(Id(Sampler(bans), kLogits, {0x7u}), 0);
  EXPECT_EQ(Id(Sampler({.logit_bias = {{4, 100.0f}}}), kLogits), 4);
}

TEST(Sampler, RefusesOptionsOutsideTheirRange) {
  const double nan = std::nan("");
  EXPECT_TRUE(SamplingOptions{}.Check(1).ok());
  SamplingOptions most;
  for (int32_t i = 0; i < kMaxLogitBias; ++i) most.logit_bias.emplace_back(i, i % 2 == 0 ? -100.0f : 100.0f);
  EXPECT_TRUE(most.Check(kMaxLogitBias).ok());
  SamplingOptions more = most;
  more.logit_bias.emplace_back(kMaxLogitBias, 1.0f);
  using Bias = std::vector<std::pair<int32_t, float>>;
  const auto refused = [](const SamplingOptions& o, std::string_view name) {
    const absl::Status status = o.Check(2000);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_NE(Message(status).find(name), std::string_view::npos) << status;
  };
  for (double bad : {-1.0, nan, 101.0}) refused({.temperature = bad}, "temperature");
  refused({.top_k = -1}, "top_k");
  for (double bad : {0.0, 1.5, nan}) refused({.top_p = bad}, "top_p");
  for (double bad : {-0.1, 1.1, nan}) refused({.min_p = bad}, "min_p");
  for (double bad : {0.0, 101.0, nan}) refused({.repetition_penalty = bad}, "repetition_penalty");
  for (double bad : {-2.1, 2.1, nan}) refused({.presence_penalty = bad}, "presence_penalty");
  for (double bad : {-2.1, 2.1, nan}) refused({.frequency_penalty = bad}, "frequency_penalty");
  for (int32_t bad : {-2, 21}) refused({.top_logprobs = bad}, "top_logprobs");
  refused(more, "1025 entries");
  for (float bad : {-100.5f, 101.0f, kNan}) refused({.logit_bias = Bias{{1, bad}}}, "logit_bias of token 1");
  refused({.logit_bias = Bias{{-1, 0.0f}}}, "token -1");
  refused({.logit_bias = Bias{{2000, 0.0f}}}, "0..1999");
  refused({.logit_bias = Bias{{7, 1.0f}, {3, 1.0f}, {7, 1.0f}}}, "token 7 twice");
}

}  // namespace
}  // namespace qiao::engine
