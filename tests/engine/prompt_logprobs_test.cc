// The log-probabilities of a prompt's own tokens: what they are, and that nothing else in the engine changes them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <qiao/engine.h>

#include <atomic>
#include <numeric>
#include <random>
#include <thread>

#include "runtime/engine/perplexity.h"
#include "runtime/engine/sampler.h"
#include "runtime/engine/scheduler.h"
#include "tests/engine/demo.h"
#include "tests/models/loaded_model.h"

namespace qiao {
namespace {

using testing::HasSubstr;

std::vector<int32_t> RandomIds(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids(count);
  for (int32_t& id : ids) id = 3 + static_cast<int32_t>(random() % 4000);
  return ids;
}

GenerateRequest Score(std::vector<int32_t> ids, int32_t top = 0, int64_t tokens = 0) {
  GenerateRequest request;
  request.ids = std::move(ids);
  request.prompt_logprobs = top;
  request.max_tokens = tokens;
  request.ignore_end = true;
  return request;
}

bool Same(const TokenLogprob& a, const TokenLogprob& b) { return a.id == b.id && a.logprob == b.logprob; }

void ExpectSame(const GenerateResult& a, const GenerateResult& b) {
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_EQ(a.logprobs, b.logprobs);
  EXPECT_EQ(a.finish, b.finish);
  EXPECT_EQ(a.prompt_ids, b.prompt_ids);
  EXPECT_EQ(a.prompt_logprobs, b.prompt_logprobs) << "bit for bit";
  ASSERT_EQ(a.prompt_top_logprobs.size(), b.prompt_top_logprobs.size());
  for (size_t i = 0; i < a.prompt_top_logprobs.size(); ++i) {
    EXPECT_TRUE(std::equal(a.prompt_top_logprobs[i].begin(), a.prompt_top_logprobs[i].end(),
                           b.prompt_top_logprobs[i].begin(), b.prompt_top_logprobs[i].end(), Same))
        << i;
  }
}

// Against the logits of all rows at once.
TEST(PromptLogprobs, AreThoseOfTheModelsLogits) {
  engine::RunnerOptions options;
  options.context = 512;
  options.all_logits = true;
  auto model = LoadModel(QIAO_MODELS "/demo", options);
  ASSERT_TRUE(model.ok()) << model.status();
  engine::Runner& runner = *model->runner;
  auto engine = Loaded(Demo());
  const std::vector<int32_t> ids = *engine->Tokenize(
      "SQLite is a library in the C language. In the beginning was the word, and the function returns it.",
      true);
  const auto scored = engine->Generate(Score(ids, 3), nullptr);
  ASSERT_TRUE(scored.ok()) << scored.status().message();
  EXPECT_EQ(scored->prompt_ids, ids);
  ASSERT_EQ(scored->prompt_logprobs.size(), ids.size());
  ASSERT_EQ(scored->prompt_top_logprobs.size(), ids.size());
  EXPECT_EQ(scored->prompt_logprobs[0], 0) << "the first has none";
  EXPECT_TRUE(scored->prompt_top_logprobs[0].empty());

  engine::Sequence sequence = runner.NewSequence();
  ASSERT_TRUE(runner.Prefill(sequence, ids).ok());
  ASSERT_EQ(runner.logit_rows(), static_cast<int64_t>(ids.size()));
  engine::SamplerScratch scratch;
  for (size_t i = 1; i < ids.size(); ++i) {
    const auto row = runner.Logits(static_cast<int64_t>(i) - 1);
    const auto wanted = engine::Sampler::Score(row, ids[i], 3, scratch);
    EXPECT_EQ(scored->prompt_logprobs[i], wanted->logprob) << i;
    EXPECT_NEAR(scored->prompt_logprobs[i], -engine::NegativeLogLikelihood(row, ids[i]), 1e-5) << i;
    ASSERT_EQ(scored->prompt_top_logprobs[i].size(), 3u);
    EXPECT_EQ(scored->prompt_top_logprobs[i][0].id, runner.Argmax(static_cast<int64_t>(i) - 1));
    for (size_t k = 0; k < 3; ++k)
      EXPECT_TRUE(Same(scored->prompt_top_logprobs[i][k], wanted->top()[k])) << i << " " << k;
  }
  const auto loss = engine::ScoreText(runner, ids, 512);
  ASSERT_TRUE(loss.ok()) << loss.status();
  const double sum = std::accumulate(scored->prompt_logprobs.begin(), scored->prompt_logprobs.end(), 0.0);
  EXPECT_NEAR(-sum, loss->negative_log_likelihood, 1e-5 * loss->negative_log_likelihood);
}

TEST(PromptLogprobs, OfAnAnswerAreThoseWithWhichItWasMade) {
  auto engine = Loaded(Demo());
  GenerateRequest request = Score(RandomIds(40, 1), 0, 30);
  request.logprobs = 2;
  const auto made = engine->Generate(request, nullptr);
  ASSERT_TRUE(made.ok()) << made.status().message();
  ASSERT_EQ(made->ids.size(), 30u);
  std::vector<int32_t> whole = request.ids;
  whole.insert(whole.end(), made->ids.begin(), made->ids.end());
  const auto read = engine->Generate(Score(whole, 2), nullptr);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->cached_tokens, 0) << "what is cached has no logits";
  for (size_t i = 0; i < 40; ++i) EXPECT_EQ(read->prompt_logprobs[i], made->prompt_logprobs[i]) << i;
  for (size_t i = 0; i < 30; ++i) {
    EXPECT_EQ(read->prompt_logprobs[40 + i], made->logprobs[i]) << i;
    for (size_t k = 0; k < 2; ++k)
      EXPECT_TRUE(Same(read->prompt_top_logprobs[40 + i][k], made->top_logprobs[i][k])) << i << " " << k;
  }
}

// Scored prompts with and without an answer, between ordinary requests that share beginnings with them.
std::vector<GenerateRequest> Mixed() {
  const std::vector<int32_t> shared = RandomIds(160, 2);
  std::vector<GenerateRequest> requests;
  for (uint32_t i = 0; i < 14; ++i) {
    std::vector<int32_t> ids(shared.begin(), shared.begin() + (i % 2 == 0 ? 20 + i * 8 : 0));
    const std::vector<int32_t> own = RandomIds(1 + i * 11 % 60, 3 + i);
    ids.insert(ids.end(), own.begin(), own.end());
    requests.push_back(
        Score(std::move(ids), i % 3 == 2 ? -1 : static_cast<int32_t>(i % 4), i % 3 == 0 ? 0 : 24 + i));
    requests.back().logprobs = 0;
  }
  return requests;
}

std::vector<GenerateResult> All(Engine& engine, const std::vector<GenerateRequest>& requests) {
  std::vector<GenerateResult> results(requests.size());
  std::atomic<size_t> left = requests.size();
  for (size_t i = 0; i < requests.size(); ++i) {
    const Status taken = engine.Submit(requests[i], nullptr, [&, i](Result<GenerateResult> result) {
      EXPECT_TRUE(result.ok()) << i << ": " << result.status().message();
      if (result.ok()) results[i] = *std::move(result);
      --left;
    });
    EXPECT_TRUE(taken.ok()) << taken.message();
    if (!taken.ok()) --left;
  }
  while (left > 0) std::this_thread::yield();
  return results;
}

struct Way {
  const char* name;
  int32_t sequences, chunk, mixed_chunk, score_rows;
  int64_t page_tokens = 16, cache_tokens = 0;
  const char* draft = "off";
};

TEST(PromptLogprobs, AreTheSameAloneAndInCompany) {
  const std::vector<GenerateRequest> requests = Mixed();
  EngineOptions options = Demo();
  options.sequences = 1;
  options.threads = 1;
  options.prefix_cache = false;
  std::vector<GenerateResult> alone;
  {
    auto engine = Loaded(options);
    for (const GenerateRequest& request : requests) alone.push_back(*engine->Generate(request, nullptr));
  }
  for (const Way& way : {Way{"whole", 14, 512, 64, 64}, Way{"small chunks", 7, 19, 5, 5, 16, 0, "lookup"},
                         Way{"more rows than a step", 4, 48, 48, 500, 16, 0, "mtp"},
                         Way{"few pages", 14, 64, 16, 16, 8, 328}}) {
    SCOPED_TRACE(way.name);
    options = Demo();
    options.sequences = way.sequences;
    options.threads = 1;
    options.chunk = way.chunk;
    options.mixed_chunk = way.mixed_chunk;
    options.score_rows = way.score_rows;
    options.page_tokens = way.page_tokens;
    options.cache_tokens = way.cache_tokens;
    options.draft = way.draft;
    auto engine = Loaded(options);
    // How often pages run out depends on who is admitted when.
    for (int round = 0; round < (way.cache_tokens > 0 ? 10 : 1); ++round) {
      const std::vector<GenerateResult> got = All(*engine, requests);
      for (size_t i = 0; i < got.size(); ++i) {
        SCOPED_TRACE(i);
        ExpectSame(got[i], alone[i]);
      }
      if (way.cache_tokens > 0 && engine->stats().preemptions > 0) break;
    }
    const EngineStats stats = engine->stats();
    EXPECT_EQ(stats.failed, 0);
    EXPECT_EQ(stats.pages_free + stats.pages_cached, stats.pages);
    EXPECT_EQ(stats.preemptions > 0, way.cache_tokens > 0);
  }
}

std::unique_ptr<engine::Request> ToInternal(const GenerateRequest& spec, GenerateResult& out) {
  auto request = std::make_unique<engine::Request>();
  request->spec = spec;
  request->dropped = std::make_shared<std::atomic<bool>>(false);
  request->on_done = [&out](absl::StatusOr<GenerateResult> result) {
    EXPECT_TRUE(result.ok()) << result.status();
    if (result.ok()) out = *std::move(result);
  };
  return request;
}

// One whose pages are taken away goes on from what is left of them in the tree, and looks at no row twice.
TEST(PromptLogprobs, SurvivePreemptionInTheMiddleOfThePrompt) {
  const GenerateRequest scored = Score(RandomIds(200, 40), 1);
  auto roomy = Loaded(Demo());
  const auto alone = roomy->Generate(scored, nullptr);
  engine::RunnerOptions options;
  options.context = 512;
  options.sequences = 2;
  options.page_tokens = 8;
  options.cache_tokens = 264;
  options.score_rows = 2;
  auto model = LoadModel(QIAO_MODELS "/demo", options);
  ASSERT_TRUE(model.ok()) << model.status();
  engine::Scheduler scheduler(*model->runner, nullptr, {.sequences = 2});
  GenerateResult first, got;
  scheduler.Add(ToInternal(Score(RandomIds(10, 41), -1, 120), first));
  scheduler.Add(ToInternal(scored, got));
  while (scheduler.Step()) continue;
  EXPECT_EQ(got.preemptions, 1);
  EXPECT_EQ(first.preemptions, 0);
  const int64_t read_again = scheduler.stats().prompt_tokens - 10 - 200;
  EXPECT_GT(read_again, 0);
  EXPECT_LT(read_again, 100);
  ExpectSame(got, *alone);
}

TEST(PromptLogprobs, WithoutAnAnswerThePromptMayFillTheContext) {
  EngineOptions options = Demo();
  options.context = 64;
  options.sequences = 4;
  options.page_tokens = 16;
  options.cache_tokens = 64;
  auto engine = Loaded(options);
  const auto whole = engine->Generate(Score(RandomIds(64, 50)), nullptr);
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  EXPECT_EQ(whole->finish, Finish::kLength);
  EXPECT_TRUE(whole->ids.empty());
  EXPECT_EQ(whole->text, "");
  EXPECT_EQ(whole->prompt_tokens, 64);
  EXPECT_EQ(whole->prompt_logprobs.size(), 64u);
  EXPECT_EQ(engine->stats().generated_tokens, 0);
  const Status longer = engine->Generate(Score(RandomIds(65, 50)), nullptr).status();
  EXPECT_EQ(longer.code(), Code::kInvalidArgument);
  EXPECT_THAT(longer.message(), testing::AllOf(HasSubstr("65 tokens"), HasSubstr("context of 64")));
  EXPECT_FALSE(engine->Generate(Score(RandomIds(64, 50), 0, 1), nullptr).ok()) << "an answer has no room";

  const auto one = engine->Generate(Score({17}, 5), nullptr);
  ASSERT_TRUE(one.ok()) << one.status().message();
  EXPECT_THAT(one->prompt_logprobs, testing::ElementsAre(0));

  GenerateRequest several = Score(RandomIds(30, 51));
  several.n = 3;
  const auto result = engine->Generate(several, nullptr);
  ASSERT_TRUE(result.ok()) << result.status().message();
  ASSERT_EQ(result->more.size(), 2u);
  for (const Choice& choice : result->more) EXPECT_EQ(choice.finish, Finish::kLength);
  several.prompt_logprobs = -1;
  const auto nothing = engine->Generate(several, nullptr);
  ASSERT_TRUE(nothing.ok());
  for (const Choice& choice : nothing->more) EXPECT_EQ(choice.finish, Finish::kLength);
  EXPECT_TRUE(nothing->prompt_ids.empty());
}

TEST(PromptLogprobs, AScoredPromptIsRememberedForOthers) {
  auto engine = Loaded(Demo());
  const std::vector<int32_t> ids = RandomIds(100, 60);
  ASSERT_TRUE(engine->Generate(Score(ids), nullptr).ok());
  EXPECT_EQ(engine->Generate(Score(ids, -1, 2), nullptr)->cached_tokens, 99);
  EXPECT_EQ(engine->Generate(Score(ids), nullptr)->cached_tokens, 0);
}

TEST(PromptLogprobs, CancellingInTheMiddleGivesWhatThereIs) {
  EngineOptions options = Demo();
  options.score_rows = 2;
  auto engine = Loaded(options);
  GenerateRequest request = Score(RandomIds(400, 70));
  request.prefill_progress = [&](int64_t, int64_t) { request.cancel.Cancel(); };
  const auto result = engine->Generate(request, nullptr);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->finish, Finish::kCancelled);
  EXPECT_LT(result->prompt_logprobs.size(), 400u);
  EXPECT_EQ(result->prompt_logprobs.size(), result->prompt_top_logprobs.size());
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.pages_free + stats.pages_cached, stats.pages);
}

TEST(PromptLogprobs, AreLimited) {
  auto engine = Loaded(Demo());
  for (const int32_t top : {-2, 21}) {
    const Status status = engine->Generate(Score({5, 6}, top), nullptr).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("prompt_logprobs"));
  }
  EngineOptions options = Demo();
  options.score_rows = 0;
  EXPECT_THAT(Engine::Load(options).status().message(), HasSubstr("score_rows"));
}

}  // namespace
}  // namespace qiao
