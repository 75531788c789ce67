// The generator of synthetic checkpoints, called directly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "runtime/formats/checkpoint.h"
#include "tests/tools/infer_process.h"
#include "tools/infer/synth_fill.h"
#include "tools/infer/synth_write.h"

namespace qiao::tools {
namespace {

SynthPlan Plan(std::string_view like, SynthDType dtype, uint64_t file_bytes = kSynthFileBytes) {
  auto config = ParseOrderedJson(models::PresetConfig(like).value(), "preset");
  auto plan = PlanSynth(*std::move(config), dtype, file_bytes);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *std::move(plan);
}

std::vector<float> Floats(const SynthTensor& tensor, uint64_t seed) {
  std::vector<float> values(tensor.bytes / sizeof(float));
  SynthFiller(seed, 2).Fill(tensor, 0, {reinterpret_cast<std::byte*>(values.data()), tensor.bytes});
  return values;
}

SynthTensor Matrix(std::string name, int64_t rows, int64_t cols) {
  SynthTensor tensor;
  tensor.name = std::move(name);
  tensor.dtype = DType::kF32;
  tensor.dims = {rows, cols};
  tensor.fan_in = cols;
  tensor.bytes = static_cast<uint64_t>(rows * cols) * sizeof(float);
  return tensor;
}

TEST(SynthFill, IsTheSameHoweverItIsCut) {
  const SynthTensor tensor = Matrix("a", 100, 333);
  const std::vector<float> whole = Floats(tensor, 1);
  std::vector<float> pieces(whole.size());
  SynthFiller filler(1, 1);
  const uint64_t cuts[] = {0, 4, 1020, 1028, 40000, tensor.bytes};
  for (size_t i = 0; i + 1 < std::size(cuts); ++i) {
    filler.Fill(tensor, cuts[i],
                {reinterpret_cast<std::byte*>(pieces.data()) + cuts[i], cuts[i + 1] - cuts[i]});
  }
  EXPECT_EQ(pieces, whole);
  EXPECT_NE(Floats(tensor, 2), whole);
  EXPECT_NE(Floats(Matrix("b", 100, 333), 1), whole);
}

TEST(SynthFill, IsNormalWithUnitGain) {
  const std::vector<float> values = Floats(Matrix("a", 512, 256), 3);
  double mean = 0, squares = 0, fourth = 0;
  for (const float x : values) {
    mean += x;
    squares += static_cast<double>(x) * x;
    fourth += std::pow(x, 4);
  }
  const auto n = static_cast<double>(values.size());
  EXPECT_NEAR(mean / n, 0, 0.002);
  EXPECT_NEAR(squares / n * 256, 1, 0.02);
  EXPECT_NEAR(fourth / n / std::pow(squares / n, 2), 2.9, 0.1);  // twelve uniform variables: 3 - 1.2/12
}

TEST(SynthLayout, FilesHoldTensorsWithTheirScales) {
  const SynthPlan plan = Plan("tiny-v3", SynthDType::kFp8, 500'000);
  EXPECT_GT(plan.files.size(), 3u);
  uint64_t bytes = 0;
  for (const SynthFile& file : plan.files) {
    bytes += file.bytes;
    EXPECT_TRUE(file.bytes <= 500'000 || file.tensors.size() <= 2) << file.name;
    for (size_t i = 0; i < file.tensors.size(); ++i) {
      if (!file.tensors[i].quantised) continue;
      ASSERT_LT(i + 1, file.tensors.size());
      EXPECT_EQ(file.tensors[i + 1].name, file.tensors[i].name + "_scale_inv");
    }
  }
  EXPECT_EQ(bytes, plan.bytes);
  EXPECT_EQ(plan.files[0].name, "model-00001-of-0000" + std::to_string(plan.files.size()) + ".safetensors");
  EXPECT_EQ(Plan("tiny-v3", SynthDType::kBf16).files[0].name, "model.safetensors");
}

TEST(SynthLayout, Int8TensorsHaveAScaleForEachRow) {
  const SynthPlan plan = Plan("tiny-v3", SynthDType::kInt8);
  int quantised = 0;
  for (size_t i = 0; i < plan.files[0].tensors.size(); ++i) {
    const SynthTensor& tensor = plan.files[0].tensors[i];
    if (!tensor.quantised) continue;
    ++quantised;
    EXPECT_EQ(tensor.dtype, DType::kI8) << tensor.name;
    const SynthTensor& scale = plan.files[0].tensors[i + 1];
    EXPECT_EQ(scale.name, tensor.name + "_scale");
    EXPECT_EQ(scale.dims, (std::vector<int64_t>{tensor.dims[0], 1}));
  }
  EXPECT_GT(quantised, 20);
  // Values times scales have the variance that a matrix should.
  SynthTensor tensor = Matrix("a", 64, 256);
  tensor.dtype = DType::kI8;
  tensor.quantised = true;
  tensor.bytes /= sizeof(float);
  std::vector<int8_t> values(tensor.bytes);
  SynthFiller(1, 1).Fill(tensor, 0, {reinterpret_cast<std::byte*>(values.data()), values.size()});
  SynthTensor scale = Matrix("a_scale", 64, 1);
  scale.kind = SynthTensor::kChannelScale;
  scale.fan_in = 256;
  const std::vector<float> scales = Floats(scale, 1);
  double squares = 0;
  for (size_t i = 0; i < values.size(); ++i) squares += std::pow(values[i] * scales[i / 256], 2);
  EXPECT_NEAR(squares / static_cast<double>(values.size()) * 256, 1, 0.05);
}

// An INT8 checkpoint runs, and its rows are quantised.
TEST(SynthWrite, AnInt8CheckpointRuns) {
  const std::string folder = Scratch() + "/int8";
  ASSERT_TRUE(WriteSynth(Plan("tiny-v3", SynthDType::kInt8), folder, {}).ok());
  const auto placed = Infer({"inspect", folder, "--program"});
  EXPECT_EQ(placed.exit, 0) << placed.err;
  EXPECT_NE(placed.out.find("i8/channel"), std::string::npos) << placed.out;
  const auto logits =
      Infer({"logits", "--model", folder, "--ids", "3,17,5", "--out", folder + "/logits.safetensors"});
  EXPECT_EQ(logits.exit, 0) << logits.err;
}

// What lies in a tensor depends on the seed and its name, not on the file it came to lie in.
TEST(SynthWrite, ShardsHoldTheSameWeights) {
  const std::string folder = Scratch();
  ASSERT_TRUE(WriteSynth(Plan("tiny-v3", SynthDType::kFp8), folder + "/one", {}).ok());
  ASSERT_TRUE(WriteSynth(Plan("tiny-v3", SynthDType::kFp8, 700'000), folder + "/many", {}).ok());
  auto one = formats::Checkpoint::Open(folder + "/one"), many = formats::Checkpoint::Open(folder + "/many");
  ASSERT_TRUE(one.ok() && many.ok()) << one.status() << many.status();
  EXPECT_GT(many->files().size(), 1u);
  ASSERT_EQ(one->tensors().size(), many->tensors().size());
  for (const formats::Checkpoint::Entry& entry : one->tensors()) {
    const formats::TensorView* other = many->Find(entry.tensor->name);
    ASSERT_NE(other, nullptr) << entry.tensor->name;
    EXPECT_TRUE(std::equal(entry.tensor->data.begin(), entry.tensor->data.end(), other->data.begin(),
                           other->data.end()))
        << entry.tensor->name;
  }
}

TEST(SynthWrite, ACancelledOneLeavesNothing) {
  const std::string folder = Scratch() + "/m";
  SynthWriteOptions options;
  options.progress = [](std::string_view, uint64_t done, uint64_t total) { return done < total / 2; };
  const absl::Status status = WriteSynth(Plan("tiny-v3", SynthDType::kBf16, 500'000), folder, options);
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_FALSE(std::filesystem::exists(folder));
}

}  // namespace
}  // namespace qiao::tools
