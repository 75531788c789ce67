// How weights get to the device: mapped or copied, and what memory that takes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <qiao/engine.h>

#include <cstring>
#include <fstream>

#include "runtime/engine/model_folder.h"
#include "runtime/engine/runner.h"

namespace qiao::engine {
namespace {

using testing::HasSubstr;

constexpr char kDemo[] = QIAO_MODELS "/demo";

// Bytes of the demo model's file that are resident in this process.
int64_t ResidentOfTheFile() {
  std::ifstream maps("/proc/self/smaps");
  int64_t kib = 0;
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.find('-') != std::string::npos && line.find(" r--s ") != std::string::npos) {
      inside = line.ends_with("demo/model.safetensors");
    } else if (inside && line.starts_with("Rss:")) {
      kib += std::stoll(line.substr(4));
      inside = false;
    }
  }
  return kib * 1024;
}

class LoadTest : public testing::Test {
 protected:
  void SetUp() override {
    auto folder = OpenModelFolder(kDemo);
    ASSERT_TRUE(folder.ok()) << folder.status();
    folder_ = *std::move(folder);
    source_ = std::make_unique<program::CheckpointSource>(*folder_->checkpoint);
  }

  RunnerOptions Options(LoadMode load, std::string backend = "cpu") {
    RunnerOptions options;
    options.backend = std::move(backend);
    options.numerics = *ParseNumerics("bf16");
    options.context = 64;
    options.chunk = 16;
    options.load = load;
    return options;
  }
  absl::StatusOr<std::unique_ptr<Runner>> Plan(RunnerOptions options) {
    return Runner::Plan(*folder_->model, *source_, std::move(options));
  }
  static std::vector<float> Logits(Runner& runner) {
    const std::vector<int32_t> prompt = {0,   17, 4, 250, 33, 101,  77,   8,  9,
                                         300, 12, 5, 7,   7,  1000, 4000, 31, 6};
    Sequence sequence = runner.NewSequence();
    EXPECT_TRUE(runner.Prefill(sequence, prompt).ok());
    std::vector<float> all;
    for (int i = 0; i < 6; ++i) {
      const auto logits = runner.Logits(0);
      all.insert(all.end(), logits.begin(), logits.end());
      const int32_t next = runner.Argmax(0);
      const Work work{&sequence, {&next, 1}, true};
      EXPECT_TRUE(runner.Step({&work, 1}).ok());
    }
    return all;
  }

  std::unique_ptr<ModelFolder> folder_;
  std::unique_ptr<program::CheckpointSource> source_;
};

TEST_F(LoadTest, CopiedAndMappedWeightsGiveTheSameBits) {
  for (const char* backend : {"cpu", "reference"}) {
    SCOPED_TRACE(backend);
    auto mapped = Plan(Options(LoadMode::kMap, backend)), copied = Plan(Options(LoadMode::kCopy, backend));
    ASSERT_TRUE(mapped.ok() && copied.ok()) << mapped.status() << copied.status();
    ASSERT_TRUE((*mapped)->Load().ok());
    ASSERT_TRUE((*copied)->Load().ok());
    const std::vector<float> a = Logits(**mapped), b = Logits(**copied);
    ASSERT_EQ(a.size(), b.size());
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
  }
}

TEST_F(LoadTest, WhatIsCopiedIsNoLongerCountedAsMapped) {
  auto mapped = Plan(Options(LoadMode::kMap)), copied = Plan(Options(LoadMode::kCopy));
  ASSERT_TRUE(mapped.ok() && copied.ok());
  const program::MemoryNeeds a = (*mapped)->programs().memory(), b = (*copied)->programs().memory();
  const uint64_t table = 4096u * 256 * 2;  // the embedding stays mapped
  EXPECT_EQ(a.stored_weights, 0u);
  EXPECT_EQ(b.mapped_weights, table);
  // The files' bytes, and what rounding to cache lines and alignment of a backend's own form add.
  EXPECT_GE(b.stored_weights + table, a.mapped_weights * 99 / 100);
  EXPECT_LE(b.stored_weights + table, a.mapped_weights * 108 / 100);
  EXPECT_EQ(b.total() - b.stored_weights, a.total() - a.mapped_weights + table);
}

TEST_F(LoadTest, TheFilesPagesAreLetGoWhileCopying) {
  auto mapped = Plan(Options(LoadMode::kMap));
  ASSERT_TRUE(mapped.ok()) << mapped.status();
  ASSERT_TRUE((*mapped)->Load().ok());
  (void)Logits(**mapped);
  const int64_t used = ResidentOfTheFile();
  EXPECT_GT(used, 5'000'000) << "with mapped weights the file is what is resident";

  mapped->reset();
  auto copied = Plan(Options(LoadMode::kCopy));
  ASSERT_TRUE(copied.ok()) << copied.status();
  ASSERT_TRUE((*copied)->Load().ok());
  const int64_t loaded = ResidentOfTheFile();
  EXPECT_LT(loaded, used / 4);
  (void)Logits(**copied);
  EXPECT_LT(ResidentOfTheFile(), used / 3)
      << "rows of the embedding, in whole pages, and what lies around them";
}

TEST_F(LoadTest, AutoCopiesWhatFitsAndSaysWhy) {
  std::vector<std::string> logged;
  RunnerOptions options = Options(LoadMode::kAuto);
  options.device.hooks.log = [&](int, std::string_view message) { logged.emplace_back(message); };
  auto runner = Plan(options);
  ASSERT_TRUE(runner.ok()) << runner.status();
  EXPECT_EQ((*runner)->load(), "copy");
  EXPECT_THAT((*runner)->load_reason(), HasSubstr("7.7 MiB are less than 60 %"));
  ASSERT_TRUE((*runner)->Load().ok());
  EXPECT_THAT(logged, testing::Contains(HasSubstr("load copy: the weights' 7.7 MiB")));

  // A budget that holds everything but the weights.
  const program::MemoryNeeds needs = (*runner)->programs().memory();
  options.memory_budget = needs.allocated() - needs.stored_weights / 2;
  runner = Plan(options);
  ASSERT_TRUE(runner.ok()) << runner.status();
  EXPECT_EQ((*runner)->load(), "map");
  EXPECT_THAT((*runner)->load_reason(), HasSubstr("does not fit the memory budget"));
  EXPECT_EQ((*runner)->programs().memory().stored_weights, 0u);
  EXPECT_TRUE((*runner)->Load().ok());

  runner = Plan(Options(LoadMode::kAuto, "reference"));
  ASSERT_TRUE(runner.ok());
  EXPECT_EQ((*runner)->load(), "map") << "it does not say how much memory is free";
}

TEST_F(LoadTest, ACopyThatDoesNotFitTheBudgetIsRefusedWithNumbers) {
  RunnerOptions options = Options(LoadMode::kCopy);
  options.memory_budget = 5 << 20;
  const auto runner = Plan(options);
  EXPECT_EQ(runner.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(runner.status().message()),
              testing::AllOf(HasSubstr("more than the memory budget, 5.0 MiB"), HasSubstr("--load map")));
}

TEST_F(LoadTest, CopyingReportsItsProgressAndCanBeCancelled) {
  auto runner = Plan(Options(LoadMode::kCopy));
  ASSERT_TRUE(runner.ok());
  const absl::Status cancelled = (*runner)->Load([](std::string_view, uint64_t, uint64_t) { return false; });
  EXPECT_TRUE(absl::IsCancelled(cancelled)) << cancelled;

  runner = Plan(Options(LoadMode::kCopy));
  uint64_t last = 0, all = 0;
  ASSERT_TRUE((*runner)
                  ->Load([&](std::string_view, uint64_t done, uint64_t total) {
                    EXPECT_GE(done, last);
                    last = done;
                    all = total;
                    return true;
                  })
                  .ok());
  EXPECT_EQ(all, (*runner)->programs().memory().stored_weights);
  EXPECT_GE(last, all * 99 / 100);
}

TEST(LoadOption, IsCheckedAndReported) {
  EngineOptions options;
  options.model = kDemo;
  options.load = "sometimes";
  EXPECT_THAT(Engine::Load(options).status().message(), HasSubstr("auto, map and copy"));
  options.load = "map";
  auto engine = Engine::Load(options);
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  EXPECT_EQ((*engine)->memory().load, "map");
  EXPECT_EQ((*engine)->memory().load_reason, "as asked for");
  EXPECT_EQ((*engine)->memory().stored_weights, 0u);
}

}  // namespace
}  // namespace qiao::engine
