// The reference checkpoints in tests/golden and the demo model open as a model loader opens them.
#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/formats/checkpoint.h"
#include "runtime/formats/generation_config.h"
#include "runtime/formats/model_config.h"

namespace qiao::formats {
namespace {

void ExpectOpens(const std::string& folder) {
  SCOPED_TRACE(folder);
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(folder);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_GT(checkpoint->tensors().size(), 10u);
  EXPECT_EQ(checkpoint->unindexed().size(), 0u);
  for (const Checkpoint::Entry& entry : checkpoint->tensors()) EXPECT_TRUE(entry.tensor->CheckUsable().ok());

  const absl::StatusOr<ConfigReader> config = ConfigReader::Open(folder + "/config.json");
  ASSERT_TRUE(config.ok()) << config.status();
  const int64_t vocabulary = *config->GetInt("vocab_size", 1, 1 << 20);
  const int64_t hidden = *config->GetInt("hidden_size", 1, 1 << 20);
  const TensorView* embedding = checkpoint->Find("model.embed_tokens.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->shape, Shape({vocabulary, hidden}));
  EXPECT_TRUE(ReadRope(*config).ok());
  EXPECT_TRUE(ReadQuantization(*config).ok());
  EXPECT_NE(*ReadTorchDType(*config), "");
  const absl::StatusOr<GenerationConfig> generation = OpenGenerationConfig(FolderFiles(folder));
  ASSERT_TRUE(generation.ok()) << generation.status();
  EXPECT_EQ(generation->eos_token_ids.size(), 1u);
}

TEST(GoldenFiles, AllOpen) {
  int cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(QIAO_TEST_DATA "/golden")) {
    if (!std::filesystem::exists(entry.path() / "config.json")) continue;
    ExpectOpens(entry.path().string());
    const absl::StatusOr<SafetensorsFile> expected =
        SafetensorsFile::Open((entry.path() / "expected.safetensors").string());
    ASSERT_TRUE(expected.ok()) << expected.status();
    EXPECT_NE(expected->Find("p0.logits"), nullptr);
    ++cases;
  }
  EXPECT_GE(cases, 5);
}

TEST(GoldenFiles, TheDemoModelOpens) { ExpectOpens(QIAO_MODELS "/demo"); }

}  // namespace
}  // namespace qiao::formats
