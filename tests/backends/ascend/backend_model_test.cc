// The shipped model on the emulated Ascend device: what bf16 and INT8 weights cost, that nothing falls back, and that
// sequences do not touch each other. The goldens are in tests/models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <map>

#include "runtime/engine/perplexity.h"
#include "tests/backends/ascend/environment.h"
#include "tests/models/loaded_model.h"
#include "tests/models/shipped.h"

namespace qiao {
namespace {

using Options = std::map<std::string, std::string>;

engine::RunnerOptions OnAscend(std::string_view numerics, const Options& options = {}) {
  engine::RunnerOptions o = ShippedOptions(numerics);
  o.backend = "ascend";
  o.device.options = options;
  o.sequences = 3;
  return o;
}

// Of the first document.
double ShortPerplexity(engine::RunnerOptions options) {
  absl::StatusOr<LoadedModel> model = LoadModel(kShipped, std::move(options));
  EXPECT_TRUE(model.ok()) << model.status();
  if (!model.ok()) return NAN;
  engine::Loss total;
  for (const std::vector<int32_t>& ids : ShippedDocuments(*model->folder, 1)) {
    absl::StatusOr<engine::Loss> loss = engine::ScoreText(*model->runner, ids, 1024);
    EXPECT_TRUE(loss.ok()) << loss.status();
    if (!loss.ok()) return NAN;
    total.negative_log_likelihood += loss->negative_log_likelihood;
    total.tokens += loss->tokens;
  }
  return std::exp(total.negative_log_likelihood / static_cast<double>(total.tokens));
}

int Count(const engine::Runner& runner, std::string_view text) {
  int n = 0;
  for (const program::PlacementRow& row : runner.programs().placement())
    n += row.shapes.find(text) != std::string::npos;
  return n;
}

TEST(AscendModel, E4m3WeightsAreMultipliedAsIntegersAndTheOthersAreNot) {
  const absl::StatusOr<LoadedModel> model = LoadModel(kShipped, OnAscend("bf16"));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(Count(*model->runner, "linear(i8/channel"), 30);
  std::string not_integers;
  for (const program::PlacementRow& row : model->runner->programs().placement()) {
    EXPECT_EQ(row.device, "ascend") << row.name;
    if (row.op == "linear" && row.shapes.find("linear(i8") == std::string::npos)
      not_integers += row.name + " ";
  }
  // kv_b by heads, the router and the head.
  EXPECT_THAT(not_integers,
              testing::AllOf(testing::HasSubstr("layers.3.attention.prolog.absorb"),
                             testing::HasSubstr("layers.3.attention.values"),
                             testing::HasSubstr("layers.3.moe.logits"), testing::HasSubstr("logits")));
  EXPECT_FALSE(model->runner->programs().row_invariant()) << "a vendor's products promise nothing";
}

TEST(AscendModel, Bf16AndInt8PerplexityOfADocument) {
  engine::RunnerOptions cpu = ShippedOptions("bf16");
  cpu.backend = "cpu";
  const double want = ShortPerplexity(cpu), bf16 = ShortPerplexity(OnAscend("bf16", {{"weights", "bf16"}}));
  const double int8 = ShortPerplexity(OnAscend("bf16"));
  const double rows = ShortPerplexity(OnAscend("bf16", {{"nz", "false"}}));
  std::printf("cpu %.4f, ascend bf16 %.4f, int8 %.4f\n", want, bf16, int8);
  EXPECT_NEAR(bf16 / want, 1.0, 0.002);
  EXPECT_NEAR(int8 / want, 1.0, 0.01);
  EXPECT_NE(int8, bf16);
  EXPECT_EQ(rows, int8) << "the same numbers in another order";
}

// The tokens of three texts, each alone and all in one step after the other.
TEST(AscendModel, SequencesInOneBatchGiveTheTokensThatTheyGiveAlone) {
  engine::RunnerOptions options = OnAscend("f32");
  options.all_logits = false;
  options.page_tokens = 16;
  const absl::StatusOr<LoadedModel> model = LoadModel(kShipped, options);
  ASSERT_TRUE(model.ok()) << model.status();
  engine::Runner& runner = *model->runner;
  std::vector<std::vector<int32_t>> prompts;
  for (size_t n : {5, 23, 40}) {
    const std::vector<int32_t> ids = ShippedDocuments(*model->folder, 3)[prompts.size()];
    prompts.emplace_back(ids.begin(), ids.begin() + static_cast<int64_t>(n));
  }
  constexpr size_t kTokens = 12;
  std::vector<std::vector<int32_t>> alone(prompts.size()), together(prompts.size());
  for (size_t s = 0; s < prompts.size(); ++s) {
    engine::Sequence sequence = runner.NewSequence();
    ASSERT_TRUE(runner.Prefill(sequence, prompts[s]).ok());
    while (alone[s].size() < kTokens) {
      alone[s].push_back(runner.Argmax(0));
      const engine::Work work{&sequence, {&alone[s].back(), 1}, true};
      ASSERT_TRUE(runner.Step({&work, 1}).ok());
    }
  }
  std::vector<engine::Sequence> sequences;
  for (size_t s = 0; s < prompts.size(); ++s) {
    sequences.push_back(runner.NewSequence());
    ASSERT_TRUE(runner.Prefill(sequences[s], prompts[s]).ok());
    together[s].push_back(runner.Argmax(0));
  }
  for (size_t t = 1; t < kTokens; ++t) {
    std::vector<engine::Work> works;
    for (size_t s = 0; s < prompts.size(); ++s)
      works.push_back({&sequences[s], {&together[s].back(), 1}, true});
    ASSERT_TRUE(runner.Step(works).ok());
    for (size_t s = 0; s < prompts.size(); ++s) together[s].push_back(runner.Argmax(static_cast<int64_t>(s)));
  }
  EXPECT_EQ(together, alone);
}

// All documents: what the README says.
TEST(LongAscendModel, Perplexity) {
  for (const auto& [weights, most] : std::map<std::string, double>{{"bf16", 0.0005}, {"auto", 0.003}}) {
    absl::StatusOr<LoadedModel> model = LoadModel(kShipped, OnAscend("bf16", {{"weights", weights}}));
    ASSERT_TRUE(model.ok()) << model.status();
    const double perplexity = Perplexity(*model->runner, ShippedDocuments(*model->folder));
    std::printf("weights=%s: perplexity %.4f, %+.3f %%\n", weights.c_str(), perplexity,
                100 * (perplexity / kShippedPerplexity - 1));
    EXPECT_NEAR(perplexity / kShippedPerplexity, 1.0, most);
  }
}

}  // namespace
}  // namespace qiao
