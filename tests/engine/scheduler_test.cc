// The scheduler step by step, without its thread: who goes first, and what a step costs.
#include "runtime/engine/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/loaded_model.h"

namespace qiao::engine {
namespace {

using testing::ElementsAre;

class SchedulerTest : public testing::Test {
 protected:
  void Load(RunnerOptions options, SchedulerOptions scheduling) {
    absl::StatusOr<LoadedModel> model = LoadModel(QIAO_MODELS "/demo", std::move(options));
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = *std::move(model);
    scheduler_ = std::make_unique<Scheduler>(*model_.runner, &*model_.folder->tokenizer, scheduling);
  }
  static RunnerOptions Small() {
    RunnerOptions options;
    options.numerics = *ParseNumerics("bf16");
    options.context = 1024;
    options.page_tokens = 16;
    options.sequences = 4;
    options.chunk = 32;
    options.cache_tokens = 4096;
    return options;
  }

  // Its number goes to `ended_` when it ends, to `began_` with its first token.
  void Add(int number, int64_t prompt, int64_t tokens, int32_t priority = 0) {
    auto request = std::make_unique<Request>();
    for (int64_t i = 0; i < prompt; ++i)
      request->spec.ids.push_back(static_cast<int32_t>(3 + (i * 37 + number * 101) % 4000));
    request->spec.max_tokens = tokens;
    request->spec.priority = priority;
    request->dropped = std::make_shared<std::atomic<bool>>(false);
    request->on_token = [this, number](const Token&) {
      if (std::find(began_.begin(), began_.end(), number) == began_.end()) began_.push_back(number);
      ++tokens_;
      return true;
    };
    request->on_done = [this, number](const absl::StatusOr<GenerateResult>& result) {
      EXPECT_TRUE(result.ok()) << result.status();
      ended_.push_back(number);
    };
    scheduler_->Add(std::move(request));
  }

  std::vector<int> began_, ended_;
  int64_t tokens_ = 0;
  LoadedModel model_;
  std::unique_ptr<Scheduler> scheduler_;  // the first to go: it ends its requests
};

TEST_F(SchedulerTest, AShortRequestPassesALongPromptWhichStillAdvances) {
  Load(Small(), {.sequences = 4, .mixed_chunk = 32});
  Add(0, 1000, 2);
  ASSERT_TRUE(scheduler_->Step());
  Add(1, 30, 2);
  int steps = 0;
  while (began_.empty()) {
    ASSERT_TRUE(scheduler_->Step());
    ASSERT_LT(++steps, 4) << "two halves of a step are enough";
  }
  EXPECT_THAT(began_, ElementsAre(1));
  while (scheduler_->Step()) ++steps;
  EXPECT_THAT(ended_, ElementsAre(1, 0));
  EXPECT_LT(steps, 40) << "1000 tokens, 32 a step, less what the other took";
}

TEST_F(SchedulerTest, APromptAddsToAStepNoMoreThanItsBudget) {
  Load(Small(), {.sequences = 4, .mixed_chunk = 7});
  Add(0, 3, 200);
  Add(1, 3, 200);
  while (began_.size() < 2) ASSERT_TRUE(scheduler_->Step());
  Add(2, 300, 2);
  const int64_t steps = scheduler_->stats().steps, rows = scheduler_->stats().rows, before = tokens_;
  while (began_.size() < 3) ASSERT_TRUE(scheduler_->Step());
  const int64_t taken = scheduler_->stats().steps - steps;
  EXPECT_EQ(taken, 43) << "300 in sevens";
  EXPECT_EQ(scheduler_->stats().rows - rows, 300 + 2 * taken);
  EXPECT_EQ(tokens_ - before, 2 * taken + 1) << "everybody else had a token in every step";
}

TEST_F(SchedulerTest, HigherPrioritiesGoFirstAndKeepTheirPages) {
  RunnerOptions options = Small();
  options.cache_tokens = 16 * 12;
  Load(options, {.sequences = 2, .mixed_chunk = 32});
  Add(0, 20, 60);
  Add(1, 20, 60);
  ASSERT_TRUE(scheduler_->Step());
  Add(2, 20, 10);
  Add(3, 20, 120, /*priority=*/1);
  while (scheduler_->Step()) {
  }
  EXPECT_THAT(began_, ElementsAre(0, 1, 3, 2)) << "2 waits for 3, although it came first";
}

TEST_F(SchedulerTest, SomeMayPassWhoWaitsForPagesButNotForEver) {
  RunnerOptions options = Small();
  options.cache_tokens = 16 * 20;
  options.sequences = 2;
  Load(options, {.sequences = 2, .mixed_chunk = 32, .prefix_cache = false});
  Add(0, 16 * 9, 100);
  ASSERT_TRUE(scheduler_->Step());
  Add(1, 16 * 15, 2);  // waits for pages
  for (int i = 2; i < 60; ++i) Add(i, 16, 1);
  while (scheduler_->Step()) {
  }
  const auto at = std::find(ended_.begin(), ended_.end(), 1) - ended_.begin();
  EXPECT_GT(at, 5) << "small ones used what it could not";
  EXPECT_LT(at, 55) << "no more than 32 of them before it began, and some beside it";
}

TEST_F(SchedulerTest, APromptThatSeveralHaveIsReadOnce) {
  Load(Small(), {.sequences = 4, .mixed_chunk = 32});
  for (int i = 0; i < 4; ++i) Add(0, 300, 5);
  while (scheduler_->Step()) {
  }
  EXPECT_EQ(ended_.size(), 4u);
  EXPECT_EQ(scheduler_->stats().prompt_tokens, 300 + 3 * (300 % 16)) << "but for the page that is not full";
}

}  // namespace
}  // namespace qiao::engine
