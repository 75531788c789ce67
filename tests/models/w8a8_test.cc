// W8A8 end to end. FP8: against the golden of deepseek_v3_fp8_mtp, whose W8A8 run quantises what meets the
// FP8 weights as DeepSeek's inference code does. INT8: the shipped model with its weights made INT8. Both:
// the shipped model's perplexity.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/ops/gate_margin.h"
#include "tests/models/golden.h"
#include "tests/models/int8_source.h"
#include "tests/models/shipped.h"

namespace qiao {
namespace {

constexpr char kName[] = "deepseek_v3_fp8_mtp";

struct Distance {
  double largest = 0, mean = 0;
};
Distance Between(absl::Span<const float> a, absl::Span<const float> b) {
  Distance d;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    d.largest = std::max(d.largest, difference);
    d.mean += difference / static_cast<double>(a.size());
  }
  return d;
}

class W8A8Golden : public testing::TestWithParam<std::string> {};

// Rounding to three bits of mantissa amplifies: where f32 noise moves one number over a midpoint, an
// activation changes by a sixteenth and the row's logits (rms 3) by tenths, and the rows that attend to it
// follow. In f32, rows without such a flip differ by 7e-6 (measured: all 19 with AVX2, 18 with AVX-512, 12
// with the scalar kernels). 3e-5, a hundred-thousandth of the rms, is asserted of five rows at least, since a
// flip in the first row of one prompt leaves the other prompt's, and of all that they stay within what W8A8
// does to a row, 1.3 at most. bf16 activations differ by 2e-3, so that every row has flips, and is as far
// from the golden as two independent quantisations are from each other: W8A8 moves a row by 0.2 in the mean,
// the difference of two such moves is 1.4 times as large, and twice is allowed. Where another expert was
// chosen the logits are others altogether; those rows are not compared, and may only be ones with a doubtful
// gate.
TEST_P(W8A8Golden, LogitsAndExperts) {
  absl::StatusOr<Golden> golden = Golden::Open(kName);
  ASSERT_TRUE(golden.ok()) << golden.status();
  qiao_moe_gate_params gate{};
  gate.score = QIAO_SCORE_SIGMOID;
  gate.k = 2;
  gate.groups = 3;
  gate.topk_group = 2;
  gate.group_score = QIAO_GROUP_SCORE_TOP2_SUM;
  gate.mask_value = -INFINITY;
  for (const bool f32 : {true, false}) {
    engine::RunnerOptions options;
    options.backend = GetParam();
    options.allow_fallback = GetParam() == "null";
    options.numerics = *engine::ParseNumerics(f32 ? "w8a8-f32" : "w8a8");
    options.all_logits = true;
    options.context = 256;
    absl::StatusOr<LoadedModel> model = LoadModel(GoldenFolder(kName), options);
    ASSERT_TRUE(model.ok()) << model.status();
    engine::Runner& runner = *model->runner;
    const auto vocab = static_cast<size_t>(runner.model().info().vocab);
    absl::StatusOr<std::optional<program::HostTensor>> bias =
        model->source->Find("model.layers.1.mlp.gate.e_score_correction_bias");
    ASSERT_TRUE(bias.ok() && bias->has_value());
    std::vector<float> biases(6);
    ASSERT_EQ((*bias)->dtype, DType::kF32);
    std::memcpy(biases.data(), (*bias)->data, sizeof(float) * biases.size());
    int clear = 0, exact = 0;
    for (int i = 0; i < golden->prompts(); ++i) {
      SCOPED_TRACE(absl::StrFormat("%s, prompt %d", f32 ? "f32" : "bf16", i));
      const std::string p = absl::StrFormat("p%d.", i);
      const std::vector<int32_t> ids = golden->Ints(p + "input_ids");
      Tap tap({".moe.ids", ".moe.logits"});
      engine::Sequence sequence = runner.NewSequence();
      ASSERT_TRUE(runner.Prefill(sequence, ids, nullptr, &tap).ok());
      std::vector<float> got;
      for (size_t t = 0; t < ids.size(); ++t) {
        const absl::Span<const float> row = runner.Logits(static_cast<int64_t>(t));
        got.insert(got.end(), row.begin(), row.end());
      }
      const std::vector<float> want = golden->Floats(p + "w8a8.logits"), plain = golden->Floats(p + "logits");
      const std::vector<int32_t> want_ids = golden->Ints(p + "w8a8.moe.1.ids");
      const auto got_ids = tap.Get<int32_t>("layers.1.moe.ids");
      const auto gate_logits = tap.Get<float>("layers.1.moe.logits");
      ASSERT_EQ(got.size(), ids.size() * vocab);
      ASSERT_EQ(want.size(), got.size());
      ASSERT_EQ(got_ids.size(), want_ids.size());
      ASSERT_EQ(gate_logits.size(), ids.size() * biases.size());
      for (size_t t = 0; t < ids.size(); ++t) {
        const auto row = [&](const std::vector<float>& v) {
          return absl::MakeConstSpan(v).subspan(t * vocab, vocab);
        };
        const Distance d = Between(row(got), row(want)), of_w8a8 = Between(row(plain), row(want));
        std::vector<int32_t> chosen(got_ids.begin() + static_cast<ptrdiff_t>(2 * t),
                                    got_ids.begin() + static_cast<ptrdiff_t>(2 * t + 2));
        std::sort(chosen.begin(), chosen.end());
        const bool same = chosen[0] == want_ids[2 * t] && chosen[1] == want_ids[2 * t + 1];
        const std::vector<double> scores(
            gate_logits.begin() + static_cast<ptrdiff_t>(t * biases.size()),
            gate_logits.begin() + static_cast<ptrdiff_t>((t + 1) * biases.size()));
        const double margin = ops::GateMargin(gate, scores, biases);
        // Scores lie between 0 and 1 and move by thousandths with a flip in f32, by hundredths in bf16.
        EXPECT_TRUE(same || margin < (f32 ? 0.005 : 0.03)) << "row " << t << ", margin " << margin;
        clear += margin >= (f32 ? 0.005 : 0.03);
        if (f32) {
          exact += d.largest <= 3e-5;
          EXPECT_LE(d.largest, 1.3) << "row " << t;
        }
        if (!f32 && same) {
          EXPECT_LE(d.mean, 2 * of_w8a8.mean) << "row " << t;
        }
      }
    }
    if (f32) {
      EXPECT_GE(exact, 5) << "rows that no rounding moved";
    }
    EXPECT_GE(clear, f32 ? 15 : 8) << "choices of experts that leave no doubt";
  }
}

INSTANTIATE_TEST_SUITE_P(Deepseek, W8A8Golden, testing::Values("reference", "cpu", "null"),
                         [](const auto& info) { return info.param; });

TEST(W8A8, WithoutEightBitWeightsItIsAnError) {
  engine::RunnerOptions options;
  options.numerics = *engine::ParseNumerics("w8a8");
  const absl::Status status = LoadModel(GoldenFolder("deepseek_v3"), options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("w8a8"));
}

// Rows are quantised once for all products that they meet; what is not FP8 meets them as they are.
TEST(W8A8, QuantisesWhatMeetsTheQuantisedWeights) {
  engine::RunnerOptions options;
  options.numerics = *engine::ParseNumerics("w8a8");
  options.context = 64;
  absl::StatusOr<LoadedModel> model = LoadModel(kShipped, options);
  ASSERT_TRUE(model.ok()) << model.status();
  std::vector<std::string> quantised;
  for (const program::PlacementRow& row : model->runner->programs().placement()) {
    if (row.op == "quantise" && row.name.find("layers.1.") != std::string::npos)
      quantised.push_back(row.name);
    const bool exempt = row.name.ends_with(".logits") || row.name == "logits" ||
                        row.name.ends_with(".absorb") || row.name.ends_with(".values");
    if (row.op == "linear" || row.op == "grouped_linear") {
      EXPECT_EQ(row.shapes.find("(f8_e4m3") == std::string::npos, exempt) << row.name << " " << row.shapes;
    }
    EXPECT_NE(row.op, "mlp");
    EXPECT_NE(row.op, "moe_mlp");
    EXPECT_NE(row.op, "mla_prolog");
  }
  EXPECT_THAT(quantised,
              testing::UnorderedElementsAre("layers.1.input.y.e4m3", "layers.1.attention.prolog.q_norm.e4m3",
                                            "layers.1.attention.heads.e4m3", "layers.1.middle.y.e4m3",
                                            "layers.1.moe.permute.xp.e4m3", "layers.1.moe.swiglu.e4m3",
                                            "layers.1.moe.shared.swiglu.e4m3"));
}

TEST(W8A8, Fp8PerplexityStaysWithinOnePercent) {
  absl::StatusOr<LoadedModel> model = LoadModel(kShipped, ShippedOptions("w8a8"));
  ASSERT_TRUE(model.ok()) << model.status();
  const double perplexity = Perplexity(*model->runner, ShippedDocuments(*model->folder));
  std::printf("perplexity FP8 W8A8 %.4f, %+.3f %%\n", perplexity,
              100 * (perplexity / kShippedPerplexity - 1));
  EXPECT_NEAR(perplexity / kShippedPerplexity, 1.0, 0.01);
  EXPECT_NE(perplexity, kShippedPerplexity);
}

struct Int8Shipped {
  std::unique_ptr<engine::ModelFolder> folder;
  std::unique_ptr<models::Model> model;
  std::unique_ptr<Int8Source> source;

  absl::StatusOr<std::unique_ptr<engine::Runner>> Load(engine::RunnerOptions options) {
    if (folder == nullptr) {
      QIAO_ASSIGN_OR_RETURN(folder, engine::OpenModelFolder(kShipped));
      QIAO_ASSIGN_OR_RETURN(model, MakeInt8Model(std::string(kShipped) + "/config.json"));
      source = std::make_unique<Int8Source>(*folder->checkpoint);
    }
    QIAO_ASSIGN_OR_RETURN(auto runner, engine::Runner::Plan(*model, *source, std::move(options)));
    QIAO_RETURN_IF_ERROR(runner->Load());
    return runner;
  }
};

TEST(W8A8, Int8PerplexityStaysWithinOnePercent) {
  Int8Shipped shipped;
  auto runner = shipped.Load(ShippedOptions("bf16"));
  ASSERT_TRUE(runner.ok()) << runner.status();
  int integers = 0;
  for (const program::PlacementRow& row : (*runner)->programs().placement()) {
    integers += row.shapes.find("linear(i8/channel") != std::string::npos;
  }
  EXPECT_GT(integers, 20) << "products of integers";
  const double perplexity = Perplexity(**runner, ShippedDocuments(*shipped.folder));
  std::printf("perplexity INT8 W8A8 %.4f, %+.3f %%\n", perplexity,
              100 * (perplexity / kShippedPerplexity - 1));
  EXPECT_NEAR(perplexity / kShippedPerplexity, 1.0, 0.01);
}

std::vector<float> PromptLogits(engine::Runner& runner, absl::Span<const int32_t> ids) {
  std::vector<float> all;
  engine::Sequence sequence = runner.NewSequence();
  const absl::Status status = runner.Prefill(sequence, ids, [&](int64_t) {
    for (int64_t i = 0; i < runner.logit_rows(); ++i)
      all.insert(all.end(), runner.Logits(i).begin(), runner.Logits(i).end());
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return all;
}

// The same bits in one go, in chunks and token by token.
TEST(W8A8, ARowsBitsDoNotDependOnTheOthers) {
  Int8Shipped shipped;
  ASSERT_TRUE(shipped.Load(ShippedOptions("bf16")).ok());
  const std::vector<std::vector<int32_t>> documents = ShippedDocuments(*shipped.folder);
  const auto ids = absl::MakeConstSpan(documents[0]).subspan(0, 70);
  for (const bool int8 : {false, true}) {
    std::vector<float> whole;
    for (const int32_t chunk : {512, 13, 1}) {
      SCOPED_TRACE(absl::StrFormat("%s, chunks of %d", int8 ? "INT8" : "FP8", chunk));
      engine::RunnerOptions options = ShippedOptions(int8 ? "bf16" : "w8a8");
      options.chunk = chunk;
      options.context = 128;
      std::vector<float> logits;
      if (int8) {
        auto runner = shipped.Load(options);
        ASSERT_TRUE(runner.ok()) << runner.status();
        EXPECT_TRUE((*runner)->programs().row_invariant());
        logits = PromptLogits(**runner, ids);
      } else {
        auto model = LoadModel(kShipped, options);
        ASSERT_TRUE(model.ok()) << model.status();
        logits = PromptLogits(*model->runner, ids);
      }
      ASSERT_EQ(logits.size(), ids.size() * 4096);
      if (whole.empty()) whole = logits;
      EXPECT_EQ(std::memcmp(logits.data(), whole.data(), whole.size() * sizeof(float)), 0);
    }
  }
}

// All backends compute INT8 products to the same bits; the rest of the model differs by f32 noise, which the
// quantisation of rows amplifies.
TEST(W8A8, Int8AgreesBetweenReferenceAndCpu) {
  Int8Shipped shipped;
  std::vector<std::vector<float>> logits;
  for (const char* backend : {"reference", "cpu"}) {
    engine::RunnerOptions options = ShippedOptions("f32");
    options.backend = backend;
    options.context = 128;
    auto runner = shipped.Load(options);
    ASSERT_TRUE(runner.ok()) << runner.status();
    const std::vector<int32_t> ids = {0, 17, 300, 42, 1000, 7, 7, 99};
    logits.push_back(PromptLogits(**runner, ids));
  }
  ASSERT_EQ(logits[0].size(), logits[1].size());
  const Distance d = Between(logits[0], logits[1]),
                 size = Between(logits[0], std::vector<float>(logits[0].size()));
  std::printf("INT8 in f32, reference and cpu: logits differ by %.2g at most, %.2g in the mean, of %.2g\n",
              d.largest, d.mean, size.largest);
  EXPECT_LE(d.largest, 0.02 * size.largest);
  EXPECT_LE(d.mean, 1e-3 * size.mean);
}

}  // namespace
}  // namespace qiao
