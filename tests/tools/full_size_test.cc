// DeepSeek-V3 at its full size, as a checkpoint of holes: what needs no weights must work on any machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "runtime/engine/model_folder.h"
#include "runtime/engine/runner.h"
#include "runtime/formats/safetensors.h"
#include "tests/tools/infer_process.h"

namespace qiao::tools {
namespace {

using testing::HasSubstr;

uint64_t DiskBytes(const std::string& folder) {
  uint64_t blocks = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    struct stat st;
    if (::stat(entry.path().c_str(), &st) == 0) blocks += static_cast<uint64_t>(st.st_blocks);
  }
  return blocks * 512;
}

TEST(FullSize, DeepseekV3IsInspectedPlannedAndRefusedWithoutReadingAWeight) {
  const std::string model = Scratch() + "/v3";
  const Finished made =
      Infer({"synth", "--like", "deepseek-v3", "--dtype", "fp8", "--seed", "1", "--sparse", "--out", model});
  ASSERT_EQ(made.exit, 0) << made.err;
  EXPECT_LT(DiskBytes(model), uint64_t{64} << 20);

  const Finished inspected = Infer({"inspect", model});
  EXPECT_EQ(inspected.exit, 0) << inspected.err;
  EXPECT_THAT(inspected.out, testing::AllOf(HasSubstr("684,489,845,504"), HasSubstr("71.1 times")));

  // The programs of all buckets and the memory plan, on a meta device.
  auto folder = engine::OpenModelFolder(model);
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ((*folder)->checkpoint->data_bytes() >> 30, 641u) << "about 690 GB";
  const program::CheckpointSource source(*(*folder)->checkpoint);
  engine::RunnerOptions options;
  options.meta = true;
  options.context = 4096;
  auto planned = engine::Runner::Plan(*(*folder)->model, source, options);
  ASSERT_TRUE(planned.ok()) << planned.status();
  const program::MemoryNeeds& needs = (*planned)->programs().memory();
  EXPECT_EQ(needs.cache, 4096u * 61 * 576 * 2);
  EXPECT_GT(needs.mapped_weights, 650'000'000'000u);
  EXPECT_GE((*planned)->programs().buckets().size(), 3u);
  // 512 bytes of latent, four scales and 64 numbers of a rope key.
  options.numerics.cache = DType::kF8E4M3;
  auto fp8 = engine::Runner::Plan(*(*folder)->model, source, options);
  ASSERT_TRUE(fp8.ok()) << fp8.status();
  EXPECT_EQ((*fp8)->cache_bytes_per_token(), 61u * 656);
  EXPECT_EQ((*fp8)->programs().memory().cache, 4096u * 61 * 656);

  // No machine that runs these tests holds it.
  const Finished refused =
      Infer({"logits", "--model", model, "--ids", "1,2,3", "--out", Scratch() + "/none.safetensors"});
  EXPECT_EQ(refused.exit, 4) << refused.err;
  EXPECT_THAT(refused.err, testing::AllOf(HasSubstr("GiB"), HasSubstr("cache"), HasSubstr("free")));
  std::filesystem::remove_all(model);
}

// Two layers of that shape, one dense and one of 256 experts, run: holes read as zeros, and so all logits are
// zero.
TEST(FullSize, TwoLayersExecute) {
  const std::string model = Scratch() + "/two";
  const Finished made = Infer({"synth", "--like", "deepseek-v3", "--layers", "2", "--vocab", "1024",
                               "--dtype", "fp8", "--seed", "1", "--sparse", "--out", model});
  ASSERT_EQ(made.exit, 0) << made.err;
  const std::string out = Scratch() + "/logits.safetensors";
  const Finished run = Infer({"logits", "--model", model, "--ids", "1,2,3", "--generate", "1", "--out", out});
  EXPECT_EQ(run.exit, 0) << run.err;
  auto file = formats::SafetensorsFile::Open(out);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_NE(file->Find("logits"), nullptr);
  EXPECT_EQ(file->Find("logits")->shape, (Shape{4, 1024}));
  std::filesystem::remove_all(model);
}

}  // namespace
}  // namespace qiao::tools
