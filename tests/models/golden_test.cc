// The proof of every number: logits, expert choices and greedy tokens equal those of the reference
// implementation (transformers in f32), on each backend, in one prefill, token by token, and with any page
// size.
#include "tests/models/golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/backends/ascend/environment.h"

namespace qiao {
namespace {

struct Where {
  std::string backend;
  bool fallback;
};
void PrintTo(const Where& where, std::ostream* os) {
  *os << where.backend << (where.fallback ? " with fallback" : "");
}

class GoldenTest : public testing::TestWithParam<std::tuple<std::string, Where>> {
 protected:
  engine::RunnerOptions Options() const {
    const Where& where = std::get<1>(GetParam());
    engine::RunnerOptions options;
    options.backend = where.backend;
    options.allow_fallback = where.fallback;
    options.numerics = *engine::ParseNumerics("f32");
    options.all_logits = true;
    options.context = 256;
    return options;
  }
};

// max|difference| <= 1e-4 max|logit|: the acceptance bound. An independent f32 implementation reaches 3e-6;
// twenty times that is asserted, so that a small systematic error is seen.
constexpr double kRelativeBound = 6e-5;

double MaxAbs(const std::vector<float>& v) {
  double m = 0;
  for (float x : v) m = std::max(m, std::fabs(static_cast<double>(x)));
  return m;
}

TEST_P(GoldenTest, LogitsExpertsAndGreedyTokens) {
  const std::string& name = std::get<0>(GetParam());
  absl::StatusOr<Golden> golden = Golden::Open(name);
  ASSERT_TRUE(golden.ok()) << golden.status();
  absl::StatusOr<LoadedModel> model = LoadModel(GoldenFolder(name), Options());
  ASSERT_TRUE(model.ok()) << model.status();
  engine::Runner& runner = *model->runner;
  const int64_t vocab = runner.model().info().vocab;

  double worst = 0;
  for (int i = 0; i < golden->prompts(); ++i) {
    const std::string p = absl::StrFormat("p%d.", i);
    const std::vector<int32_t> ids = golden->Ints(p + "input_ids");
    const std::vector<int32_t> positions = golden->Ints(p + "pos");
    const std::vector<float> want = golden->Floats(p + "logits");
    ASSERT_EQ(want.size(), positions.size() * static_cast<size_t>(vocab));
    Tap tap({".moe.ids", ".moe.w"});
    engine::Sequence sequence = runner.NewSequence();
    ASSERT_TRUE(runner.Prefill(sequence, ids, nullptr, &tap).ok());
    const double scale = MaxAbs(want);
    for (size_t n = 0; n < positions.size(); ++n) {
      const absl::Span<const float> got = runner.Logits(positions[n]);
      for (int64_t v = 0; v < vocab; ++v) {
        const double difference = std::fabs(static_cast<double>(got[static_cast<size_t>(v)]) -
                                            want[n * static_cast<size_t>(vocab) + static_cast<size_t>(v)]);
        worst = std::max(worst, difference / scale);
      }
    }

    int moe_layers = 0;
    for (int64_t l = 0; l < runner.model().info().layers; ++l) {
      const std::string expected = absl::StrFormat("%smoe.%d.ids", p, l);
      if (!golden->Has(expected)) continue;
      ++moe_layers;
      const std::vector<int32_t> want_ids = golden->Ints(expected);
      const std::vector<float> want_w = golden->Floats(absl::StrFormat("%smoe.%d.weights", p, l));
      const auto got_ids = tap.Get<int32_t>(absl::StrFormat("layers.%d.moe.ids", l));
      const auto got_w = tap.Get<float>(absl::StrFormat("layers.%d.moe.w", l));
      const auto k = static_cast<size_t>(golden->ShapeOf(expected)[1]);
      ASSERT_EQ(got_ids.size(), ids.size() * k);
      for (size_t n = 0; n < positions.size(); ++n) {
        // The goldens list a row's experts by id, the gate by score.
        std::vector<size_t> order(k);
        std::iota(order.begin(), order.end(), size_t{0});
        const size_t row = static_cast<size_t>(positions[n]) * k;
        std::sort(order.begin(), order.end(),
                  [&](size_t a, size_t b) { return got_ids[row + a] < got_ids[row + b]; });
        for (size_t j = 0; j < k; ++j) {
          EXPECT_EQ(got_ids[row + order[j]], want_ids[n * k + j]) << "layer " << l << " row " << n;
          EXPECT_NEAR(got_w[row + order[j]], want_w[n * k + j], 1e-4 * (1 + std::fabs(want_w[n * k + j])));
        }
      }
    }
    EXPECT_GT(moe_layers, 0) << "the golden has no expert choices to compare";

    const std::vector<int32_t> want_tokens = golden->Ints(p + "gen.ids");
    const std::vector<float> want_gen = golden->Floats(p + "gen.logits");
    ASSERT_EQ(want_tokens.size(), 32u);
    int32_t next = runner.Argmax(static_cast<int64_t>(ids.size()) - 1);
    for (size_t g = 0; g < want_tokens.size(); ++g) {
      ASSERT_EQ(next, want_tokens[g]) << "token " << g << " of prompt " << i;
      const engine::Work work{&sequence, {&next, 1}, true};
      ASSERT_TRUE(runner.Step({&work, 1}).ok());
      next = runner.Argmax(0);
      if (g + 1 == want_tokens.size()) break;
      const absl::Span<const float> got = runner.Logits(0);
      for (int64_t v = 0; v < vocab; ++v) {
        const double difference =
            std::fabs(static_cast<double>(got[static_cast<size_t>(v)]) -
                      want_gen[(g + 1) * static_cast<size_t>(vocab) + static_cast<size_t>(v)]);
        worst = std::max(worst, difference / scale);
      }
    }
  }
  RecordProperty("max_relative_difference", absl::StrFormat("%.3g", worst));
  std::printf("max|difference| / max|logit| = %.3g\n", worst);
  EXPECT_LE(worst, kRelativeBound);
}

TEST_P(GoldenTest, ChunksPagesAndSingleTokensGiveTheSameTokens) {
  const std::string& name = std::get<0>(GetParam());
  absl::StatusOr<Golden> golden = Golden::Open(name);
  ASSERT_TRUE(golden.ok()) << golden.status();
  const std::vector<int32_t> ids = golden->Ints("p0.input_ids");
  const std::vector<int32_t> want = golden->Ints("p0.gen.ids");
  struct Cut {
    int32_t chunk;
    int64_t page;
  };
  for (const Cut cut : {Cut{512, 128}, Cut{5, 16}, Cut{1, 64}}) {
    engine::RunnerOptions options = Options();
    options.all_logits = false;
    options.chunk = cut.chunk;
    options.page_tokens = cut.page;
    absl::StatusOr<LoadedModel> model = LoadModel(GoldenFolder(name), options);
    ASSERT_TRUE(model.ok()) << model.status();
    engine::Sequence sequence = model->runner->NewSequence();
    ASSERT_TRUE(model->runner->Prefill(sequence, ids).ok());
    std::vector<int32_t> got;
    for (size_t g = 0; g < 8; ++g) {
      got.push_back(model->runner->Argmax(0));
      const engine::Work work{&sequence, {&got.back(), 1}, true};
      ASSERT_TRUE(model->runner->Step({&work, 1}).ok());
    }
    EXPECT_EQ(got, std::vector<int32_t>(want.begin(), want.begin() + 8))
        << "chunk " << cut.chunk << ", page " << cut.page;
  }
}

INSTANTIATE_TEST_SUITE_P(Deepseek, GoldenTest,
                         testing::Combine(testing::Values("deepseek_v2", "deepseek_v2_lite", "deepseek_v3",
                                                          "deepseek_v3_fp8_mtp", "kimi_k2"),
                                          testing::Values(Where{"reference", false}, Where{"cpu", false},
                                                          Where{"null", true}, Where{"ascend", false})),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" + std::get<1>(info.param).backend;
                         });

}  // namespace
}  // namespace qiao
