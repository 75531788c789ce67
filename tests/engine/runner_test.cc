#include "runtime/engine/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "runtime/base/checked.h"
#include "runtime/engine/model_folder.h"

namespace qiao::engine {
namespace {

using testing::HasSubstr;

class RunnerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto folder = OpenModelFolder(QIAO_TEST_DATA "/golden/deepseek_v3");
    ASSERT_TRUE(folder.ok()) << folder.status();
    folder_ = *std::move(folder);
    source_ = std::make_unique<program::CheckpointSource>(*folder_->checkpoint);
  }

  absl::StatusOr<std::unique_ptr<Runner>> Plan(RunnerOptions options) {
    return Runner::Plan(*folder_->model, *source_, std::move(options));
  }
  std::unique_ptr<Runner> Loaded(RunnerOptions options) {
    auto runner = Plan(std::move(options));
    EXPECT_TRUE(runner.ok()) << runner.status();
    EXPECT_TRUE((*runner)->Load().ok());
    return *std::move(runner);
  }

  static RunnerOptions Small(std::string_view kv_dtype = "auto") {
    RunnerOptions options;
    options.numerics = *WithKvDtype(*ParseNumerics("f32"), kv_dtype);
    options.context = 40;
    options.page_tokens = 8;
    options.sequences = 3;
    options.chunk = 16;
    return options;
  }

  std::unique_ptr<ModelFolder> folder_;
  std::unique_ptr<program::CheckpointSource> source_;
};

std::vector<int32_t> Greedy(Runner& runner, Sequence& sequence, int n) {
  std::vector<int32_t> out;
  for (int i = 0; i < n; ++i) {
    out.push_back(runner.Argmax(0));
    const Work work{&sequence, {&out.back(), 1}, true};
    EXPECT_TRUE(runner.Step({&work, 1}).ok());
  }
  return out;
}

const std::vector<int32_t> kPrompt = {17, 4, 250, 33, 101, 77, 8, 9, 300, 12, 5};

TEST_F(RunnerTest, AForkSharesPagesUntilItWrites) {
  auto runner = Loaded(Small());
  Sequence a = runner->NewSequence();
  ASSERT_TRUE(runner->Prefill(a, kPrompt).ok());
  const int32_t first = runner->Argmax(0);
  auto b = runner->Fork(a);
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(std::vector<int32_t>(a.pages().begin(), a.pages().end()),
            std::vector<int32_t>(b->pages().begin(), b->pages().end()));
  // Each goes its own way; neither disturbs the other.
  const int32_t other = 42;
  const Work fork{&*b, {&other, 1}, true};
  ASSERT_TRUE(runner->Step({&fork, 1}).ok());
  EXPECT_EQ(a.pages()[0], b->pages()[0]);
  EXPECT_NE(a.pages()[1], b->pages()[1]) << "the page that both would write is copied";
  const Work original{&a, {&first, 1}, true};
  ASSERT_TRUE(runner->Step({&original, 1}).ok());
  const std::vector<int32_t> got = Greedy(*runner, a, 6);

  Sequence fresh = runner->NewSequence();
  ASSERT_TRUE(runner->Prefill(fresh, kPrompt).ok());
  const Work again{&fresh, {&first, 1}, true};
  ASSERT_TRUE(runner->Step({&again, 1}).ok());
  EXPECT_EQ(Greedy(*runner, fresh, 6), got);
}

// What is left in the pages of the pool from earlier must not show, so it is put there first.
TEST_F(RunnerTest, RepeatingCopiesThePagesOfASequence) {
  auto runner = Loaded(Small());
  const std::vector<int32_t> page(kPrompt.begin(), kPrompt.begin() + 8), other(32, 7);
  const auto logits_behind = [&](bool dirty) {
    if (dirty) {
      Sequence old = runner->NewSequence();
      EXPECT_TRUE(runner->Prefill(old, other).ok());
    }
    Sequence a = runner->NewSequence();
    EXPECT_TRUE(runner->Prefill(a, page).ok());
    EXPECT_TRUE(runner->Repeat(a, 27).ok());
    EXPECT_EQ(a.length(), 27);
    EXPECT_EQ(std::set<int32_t>(a.pages().begin(), a.pages().end()).size(), 4u) << "pages of its own";
    const Work next{&a, {&kPrompt[0], 1}, true};
    EXPECT_TRUE(runner->Step({&next, 1}).ok());
    return std::vector<float>(runner->Logits(0).begin(), runner->Logits(0).end());
  };
  const std::vector<float> clean = logits_behind(false);
  EXPECT_EQ(logits_behind(true), clean);

  Sequence a = runner->NewSequence();
  EXPECT_EQ(runner->Repeat(a, 16).code(), absl::StatusCode::kInvalidArgument) << "nothing to repeat";
  ASSERT_TRUE(runner->Prefill(a, page).ok());
  EXPECT_EQ(runner->Repeat(a, 7).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(runner->Repeat(a, 41).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(a.length(), 8);
  const Work one{&a, {&kPrompt[0], 1}, true};
  ASSERT_TRUE(runner->Step({&one, 1}).ok());
  EXPECT_EQ(runner->Repeat(a, 20).code(), absl::StatusCode::kInvalidArgument) << "a page in part";
}

// A page that is copied takes its scales along: what their rows held before must not show.
TEST_F(RunnerTest, CopiedPagesHaveTheirScales) {
  auto runner = Loaded(Small("fp8"));
  const std::vector<int32_t> loud(24, 300);
  const auto after_fork = [&](bool dirty) {
    if (dirty) {
      Sequence old = runner->NewSequence();
      EXPECT_TRUE(runner->Prefill(old, loud).ok());
    }
    Sequence a = runner->NewSequence();
    EXPECT_TRUE(runner->Prefill(a, kPrompt).ok());
    auto b = runner->Fork(a);
    EXPECT_TRUE(b.ok());
    const int32_t token = 42;
    const Work step{&*b, {&token, 1}, true};
    EXPECT_TRUE(runner->Step({&step, 1}).ok());
    EXPECT_NE(a.pages()[1], b->pages()[1]);
    return std::vector<float>(runner->Logits(0).begin(), runner->Logits(0).end());
  };
  std::vector<int32_t> whole = kPrompt;
  whole.push_back(42);
  Sequence alone = runner->NewSequence();
  ASSERT_TRUE(runner->Prefill(alone, whole).ok());
  const std::vector<float> want(runner->Logits(0).begin(), runner->Logits(0).end());
  alone = Sequence();
  EXPECT_EQ(after_fork(false), want);
  EXPECT_EQ(after_fork(true), want);

  const std::vector<int32_t> page(kPrompt.begin(), kPrompt.begin() + 8);
  const auto after_repeat = [&](bool dirty) {
    if (dirty) {
      Sequence old = runner->NewSequence();
      EXPECT_TRUE(runner->Prefill(old, loud).ok());
    }
    Sequence a = runner->NewSequence();
    EXPECT_TRUE(runner->Prefill(a, page).ok());
    EXPECT_TRUE(runner->Repeat(a, 24).ok());
    const int32_t token = 42;
    const Work step{&a, {&token, 1}, true};
    EXPECT_TRUE(runner->Step({&step, 1}).ok());
    return std::vector<float>(runner->Logits(0).begin(), runner->Logits(0).end());
  };
  const std::vector<float> clean = after_repeat(false);
  EXPECT_EQ(after_repeat(true), clean);
}

TEST_F(RunnerTest, AnFp8CacheTakesALatentItsScalesAndARopeKey) {
  // The golden model's layers keep a latent and a rope key; DeepSeek-V3's 512 and 64 make 656 bytes.
  const auto widths = folder_->model->Cache(DType::kF32, /*drafting=*/false);
  ASSERT_FALSE(widths.empty());
  const auto latent = static_cast<uint64_t>(widths[0].kinds[0].width),
             rope = static_cast<uint64_t>(widths[0].kinds[1].width);
  auto fp8 = Plan(Small("fp8")), f32 = Plan(Small());
  ASSERT_TRUE(fp8.ok()) << fp8.status();
  ASSERT_TRUE(f32.ok()) << f32.status();
  const uint64_t layers = widths.size();
  EXPECT_EQ((*fp8)->cache_bytes_per_token(),
            layers * (latent + 4 * CeilDiv<uint64_t>(latent, 128) + 2 * rope));
  EXPECT_EQ((*f32)->cache_bytes_per_token(), layers * 4 * (latent + rope));
  EXPECT_LT((*fp8)->programs().memory().cache, (*f32)->programs().memory().cache);
  EXPECT_THAT(std::string(WithKvDtype({}, "fp4").status().message()), HasSubstr("auto, bf16 and fp8"));
}

TEST_F(RunnerTest, TheCacheHoldsTheTokensThatItIsToldTo) {
  RunnerOptions options = Small();
  options.cache_tokens = 20;
  auto runner = Loaded(options);
  EXPECT_EQ(runner->programs().cache().pages, 3);
  Sequence a = runner->NewSequence(), b = runner->NewSequence();
  const std::vector<int32_t> ids(17, 5);
  ASSERT_TRUE(runner->Prefill(a, ids).ok());
  EXPECT_EQ(runner->Prefill(b, absl::MakeConstSpan(ids).first(1)).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(RunnerTest, TruncatingForgetsAndGivesPagesBack) {
  auto runner = Loaded(Small());
  Sequence a = runner->NewSequence();
  ASSERT_TRUE(runner->Prefill(a, kPrompt).ok());
  const std::vector<int32_t> want = Greedy(*runner, a, 8);
  a.Truncate(3);
  EXPECT_EQ(a.pages().size(), 1u);
  ASSERT_TRUE(runner->Prefill(a, absl::MakeConstSpan(kPrompt).subspan(3)).ok());
  EXPECT_EQ(Greedy(*runner, a, 8), want);
}

TEST_F(RunnerTest, ContextAndPagesEndInErrorsThatChangeNothing) {
  auto runner = Loaded(Small());
  Sequence a = runner->NewSequence();
  const std::vector<int32_t> long_prompt(41, 7);
  absl::Status status = runner->Prefill(a, long_prompt);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("41 tokens do not fit: the context is 40"));
  EXPECT_EQ(a.length(), 0);
  const std::vector<int32_t> full(40, 7);
  ASSERT_TRUE(runner->Prefill(a, full).ok());
  const int32_t one = 1;
  const Work work{&a, {&one, 1}, true};
  EXPECT_EQ(runner->Step({&work, 1}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(a.length(), 40);
  // 3 sequences of 5 pages each are all there are: forks that diverge may not find one.
  Sequence b = runner->NewSequence(), c = runner->NewSequence();
  ASSERT_TRUE(runner->Prefill(b, full).ok());
  ASSERT_TRUE(runner->Prefill(c, full).ok());
  Sequence d = runner->NewSequence();
  status = runner->Prefill(d, kPrompt);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(d.length(), 0);
  c = Sequence();
  EXPECT_TRUE(runner->Prefill(d, kPrompt).ok()) << "a dead sequence gives its pages back";
}

TEST_F(RunnerTest, RefusesTokensOutsideTheVocabularyAndStepsThatAreTooLarge) {
  auto runner = Loaded(Small());
  Sequence a = runner->NewSequence();
  for (int32_t id : {-1, 512, 1 << 30}) {
    EXPECT_EQ(runner->Prefill(a, {id}).code(), absl::StatusCode::kInvalidArgument);
  }
  const std::vector<int32_t> many(17, 1);
  const Work work{&a, many, true};
  EXPECT_EQ(runner->Step({&work, 1}).code(), absl::StatusCode::kInvalidArgument);
  const Work none{&a, {}, true};
  EXPECT_EQ(runner->Step({&none, 1}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(a.length(), 0);
}

TEST_F(RunnerTest, GivesTheLogitsOfSeveralLastTokens) {
  RunnerOptions options = Small();
  options.logits_each = 3;
  auto runner = Loaded(options);
  std::vector<std::vector<float>> wanted;
  for (size_t n = 3; n <= 5; ++n) {
    Sequence a = runner->NewSequence();
    ASSERT_TRUE(runner->Prefill(a, absl::MakeSpan(kPrompt).first(n)).ok());
    wanted.emplace_back(runner->Logits(0).begin(), runner->Logits(0).end());
  }
  Sequence a = runner->NewSequence(), b = runner->NewSequence();
  const std::vector<int32_t> other = {9, 8};
  const Work work[] = {{&b, other, 0}, {&a, absl::MakeSpan(kPrompt).first(5), 3}};
  ASSERT_TRUE(runner->Step(work).ok());
  ASSERT_EQ(runner->logit_rows(), 3);
  for (int64_t i = 0; i < 3; ++i)
    EXPECT_THAT(runner->Logits(i), testing::ElementsAreArray(wanted[static_cast<size_t>(i)]));
}

TEST_F(RunnerTest, AModelThatDoesNotFitSaysSoWithNumbersBeforeLoading) {
  RunnerOptions options = Small();
  options.memory_budget = 100'000;
  const absl::Status status = Plan(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(HasSubstr("MiB"), HasSubstr("cache"), HasSubstr("memory budget")));
}

TEST_F(RunnerTest, RefusesOptionsOutsideTheirRange) {
  auto change = [&](auto f) {
    RunnerOptions options = Small();
    f(options);
    return Plan(options).status();
  };
  EXPECT_THAT(std::string(change([](RunnerOptions& o) { o.context = 100'000; }).message()),
              HasSubstr("max_position_embeddings"));
  EXPECT_FALSE(change([](RunnerOptions& o) { o.context = -1; }).ok());
  EXPECT_FALSE(change([](RunnerOptions& o) { o.chunk = 0; }).ok());
  EXPECT_FALSE(change([](RunnerOptions& o) { o.page_tokens = -4; }).ok());
  EXPECT_FALSE(change([](RunnerOptions& o) { o.sequences = 0; }).ok());
  EXPECT_EQ(change([](RunnerOptions& o) { o.backend = "nonesuch"; }).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(change([](RunnerOptions& o) { o.backend = "null"; }).code(), absl::StatusCode::kUnimplemented);
}

TEST_F(RunnerTest, AMetaRunnerPlansAndRefusesToRun) {
  RunnerOptions options = Small();
  auto real = Plan(options);
  ASSERT_TRUE(real.ok()) << real.status();
  options.meta = true;
  auto meta = Plan(options);
  ASSERT_TRUE(meta.ok()) << meta.status();
  EXPECT_EQ((*meta)->programs().memory().cache, (*real)->programs().memory().cache);
  EXPECT_EQ((*meta)->Load().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace qiao::engine
