// Many requests at once through the public API: what each gets must be what it gets alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <qiao/engine.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "tests/engine/demo.h"

namespace qiao {
namespace {

using testing::HasSubstr;

// Submits all, waits for all.
std::vector<Result<GenerateResult>> All(Engine& engine, const std::vector<GenerateRequest>& requests) {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::optional<Result<GenerateResult>>> results(requests.size());
  size_t left = requests.size();
  for (size_t i = 0; i < requests.size(); ++i) {
    const Status taken = engine.Submit(requests[i], nullptr, [&, i](Result<GenerateResult> result) {
      const std::lock_guard<std::mutex> lock(mutex);
      results[i] = std::move(result);
      if (--left == 0) changed.notify_one();
    });
    EXPECT_TRUE(taken.ok()) << taken.message();
    if (!taken.ok()) {
      const std::lock_guard<std::mutex> lock(mutex);
      results[i] = taken;
      --left;
    }
  }
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [&] { return left == 0; });
  std::vector<Result<GenerateResult>> out;
  for (auto& result : results) out.push_back(*std::move(result));
  return out;
}

// Prompts of many lengths, some of which begin alike; greedy and sampled.
std::vector<GenerateRequest> Mixed(size_t count) {
  std::mt19937 random(11);
  std::vector<int32_t> shared(150);
  for (int32_t& id : shared) id = 3 + static_cast<int32_t>(random() % 4000);
  std::vector<GenerateRequest> requests(count);
  for (size_t i = 0; i < count; ++i) {
    GenerateRequest& r = requests[i];
    if (i % 3 == 0) r.ids.assign(shared.begin(), shared.begin() + 60 + static_cast<ptrdiff_t>(random() % 90));
    for (size_t n = 1 + random() % (i % 5 == 0 ? 120 : 20); n > 0; --n)
      r.ids.push_back(3 + static_cast<int32_t>(random() % 4000));
    r.max_tokens = 4 + static_cast<int64_t>(random() % 40);
    r.ignore_end = true;
    r.logprobs = 0;
    if (i % 2 == 1) {
      r.sampling.temperature = 0.8;
      r.sampling.top_p = 0.95;
      r.sampling.seed = i;
    }
  }
  return requests;
}

void ExpectSame(const std::vector<Result<GenerateResult>>& got,
                const std::vector<Result<GenerateResult>>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(got[i].ok()) << i << ": " << got[i].status().message();
    EXPECT_EQ(got[i]->ids, wanted[i]->ids) << i;
    EXPECT_EQ(got[i]->text, wanted[i]->text) << i;
    EXPECT_EQ(got[i]->logprobs, wanted[i]->logprobs) << i;
    EXPECT_EQ(got[i]->finish, wanted[i]->finish) << i;
  }
}

class Serving : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    EngineOptions options = Demo();
    options.sequences = 1;
    options.prefix_cache = false;
    auto engine = Loaded(options);
    alone_ = new std::vector<Result<GenerateResult>>();
    for (const GenerateRequest& request : Mixed(24)) alone_->push_back(engine->Generate(request, nullptr));
  }
  static void TearDownTestSuite() { delete std::exchange(alone_, nullptr); }
  static std::vector<Result<GenerateResult>>* alone_;
};
std::vector<Result<GenerateResult>>* Serving::alone_ = nullptr;

TEST_F(Serving, InCompanyEveryoneGetsWhatHeGetsAlone) {
  EngineOptions options = Demo();
  options.sequences = 24;
  auto engine = Loaded(options);
  ExpectSame(All(*engine, Mixed(24)), *alone_);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.finished, 24);
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.pages_free + stats.pages_cached, stats.pages);
}

TEST_F(Serving, WithOtherChunksThreadsAndPagesToo) {
  for (int threads : {1, 2, 8}) {
    EngineOptions options = Demo();
    options.sequences = 7;
    options.threads = threads;
    options.chunk = threads == 1 ? 19 : 200;
    options.mixed_chunk = threads == 1 ? 5 : 33;
    options.page_tokens = threads == 1 ? 16 : 64;
    options.prefix_cache = threads == 1;
    auto engine = Loaded(options);
    ExpectSame(All(*engine, Mixed(24)), *alone_);
    ExpectSame(All(*engine, Mixed(24)), *alone_);
    EXPECT_EQ(engine->stats().cached_tokens > 24 * 20, options.prefix_cache);
  }
}

TEST_F(Serving, WhenPagesRunOutTheLastBeginsAgainAndNobodyNotices) {
  EngineOptions options = Demo();
  options.sequences = 24;
  options.page_tokens = 8;
  options.cache_tokens = 328;
  auto engine = Loaded(options);
  // How it comes depends on who is admitted when.
  for (int round = 0; round < 10 && engine->stats().preemptions == 0; ++round)
    ExpectSame(All(*engine, Mixed(24)), *alone_);
  const EngineStats stats = engine->stats();
  EXPECT_GT(stats.preemptions, 0);
  EXPECT_EQ(stats.pages_free + stats.pages_cached, stats.pages);
}

// Texts that repeat themselves, so that there is something to look up.
TEST_F(Serving, GuessesChangeTheSpeedAndNothingElse) {
  for (const char* draft : {"mtp", "lookup"}) {
    for (int32_t sequences : {1, 7}) {
      EngineOptions options = Demo();
      options.sequences = sequences;
      options.draft = draft;
      options.draft_tokens = 3;
      options.page_tokens = 16;
      options.cache_tokens = sequences == 1 ? 0 : 700;
      auto engine = Loaded(options);
      ExpectSame(All(*engine, Mixed(24)), *alone_);
      const EngineStats stats = engine->stats();
      EXPECT_GT(stats.drafted, 0) << draft;
      EXPECT_LE(stats.accepted, stats.drafted);
      EXPECT_GT(stats.accepted, 0) << draft;
      EXPECT_EQ(stats.pages_free + stats.pages_cached, stats.pages);
    }
  }
}

TEST_F(Serving, WhatWasComputedOnceIsNotComputedAgain) {
  EngineOptions options = Demo();
  auto engine = Loaded(options);
  GenerateRequest request = Mixed(1)[0];
  const auto first = engine->Generate(request, nullptr);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->cached_tokens, 0);
  const auto again = engine->Generate(request, nullptr);
  EXPECT_EQ(again->cached_tokens, again->prompt_tokens - 1) << "the last token's logits are wanted";
  EXPECT_EQ(again->ids, first->ids);
  EXPECT_EQ(again->logprobs, first->logprobs);
  // A conversation goes on: the answer is in the cache too, but for its last token.
  GenerateRequest next = request;
  next.ids.insert(next.ids.end(), first->ids.begin(), first->ids.end());
  next.ids.push_back(77);
  const auto turn = engine->Generate(next, nullptr);
  EXPECT_EQ(turn->cached_tokens, turn->prompt_tokens - 2);
}

// The page that is known in part would have to be copied, and there is none left for that.
TEST_F(Serving, APromptThatFillsTheCacheMayComeTwice) {
  EngineOptions options = Demo();
  options.page_tokens = 16;
  options.cache_tokens = 160;
  auto engine = Loaded(options);
  GenerateRequest request;
  for (int32_t i = 0; i < 150; ++i) request.ids.push_back(10 + i);
  request.max_tokens = 8;
  request.ignore_end = true;
  const auto first = engine->Generate(request, nullptr);
  ASSERT_TRUE(first.ok()) << first.status().message();
  request.ids.back() = 7;
  for (int i = 0; i < 3; ++i) {
    const auto next = engine->Generate(request, nullptr);
    ASSERT_TRUE(next.ok()) << next.status().message();
    EXPECT_EQ(next->ids.size(), 8u);
  }
  EXPECT_EQ(engine->stats().failed, 0);
}

TEST_F(Serving, SeveralAnswersShareThePrompt) {
  EngineOptions options = Demo();
  options.page_tokens = 16;
  auto engine = Loaded(options);
  GenerateRequest request = Mixed(6)[5];
  request.sampling.temperature = 1.5;
  request.n = 4;
  std::vector<std::string> streamed(4);
  const auto result = engine->Generate(request, [&](const Token& token) {
    streamed[static_cast<size_t>(token.choice)] += token.text;
    return true;
  });
  ASSERT_TRUE(result.ok()) << result.status().message();
  ASSERT_EQ(result->more.size(), 3u);
  EXPECT_EQ(engine->stats().prompt_tokens, result->prompt_tokens) << "read once";
  EXPECT_EQ(streamed[0], result->text);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(streamed[i + 1], result->more[i].text);
    EXPECT_NE(result->more[i].ids, result->ids);
    EXPECT_EQ(result->more[i].ids.size(), result->ids.size());
  }
  request.n = 1;
  const auto alone = engine->Generate(request, nullptr);
  EXPECT_EQ(alone->ids, result->ids) << "the first answer is the one that n = 1 gets";
  request.n = 9;
  EXPECT_THAT(engine->Generate(request, nullptr).status().message(), HasSubstr("n is 9, must be 1..8"));
}

TEST_F(Serving, SeveralAnswersSurvivePreemption) {
  GenerateRequest request = Mixed(6)[5];
  request.sampling.temperature = 1.5;
  request.n = 4;
  request.max_tokens = 60;
  auto roomy = Loaded(Demo());
  const auto wanted = roomy->Generate(request, nullptr);
  EngineOptions options = Demo();
  options.page_tokens = 8;
  options.cache_tokens = 160;
  auto tight = Loaded(options);
  const auto got = tight->Generate(request, nullptr);
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_GT(got->preemptions, 0);
  EXPECT_EQ(got->ids, wanted->ids);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(got->more[i].ids, wanted->more[i].ids) << i;
}

TEST_F(Serving, AnAnswerHasTheFormThatWasAskedFor) {
  EngineOptions options = Demo();
  options.draft = "lookup";
  auto engine = Loaded(options);
  GenerateRequest request;
  request.prompt = "SQLite is a";
  request.sampling.temperature = 1;
  request.max_tokens = 300;
  const auto ask = [&](Constraint::Kind kind, const std::string& text,
                       std::vector<std::string> choices = {}) {
    request.constraint = {kind, text, std::move(choices)};
    ++request.sampling.seed;
    auto result = engine->Generate(request, nullptr);
    EXPECT_TRUE(result.ok()) << result.status().message();
    return result.ok() ? *std::move(result) : GenerateResult();
  };
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(ask(Constraint::Kind::kChoice, "", {"yes", "no", "perhaps"}).text,
                testing::AnyOf("yes", "no", "perhaps"));
    EXPECT_THAT(ask(Constraint::Kind::kRegex, "[a-z]{3,8}-[0-9]{2}").text,
                testing::MatchesRegex("[a-z]+-[0-9][0-9]"));
    const GenerateResult json = ask(Constraint::Kind::kJsonSchema, R"({"type": "object", "properties": {
        "name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3}},
        "required": ["name", "age", "tags"]})");
    EXPECT_EQ(json.finish, Finish::kEndOfText) << json.text;
    const auto parsed = nlohmann::json::parse(json.text, nullptr, /*allow_exceptions=*/false);
    ASSERT_TRUE(parsed.is_object()) << json.text;
    EXPECT_LE(parsed["name"].get<std::string>().size(), 12u * 4);
    EXPECT_LE(parsed["age"].get<int>(), 150);
    EXPECT_LE(parsed["tags"].size(), 3u);
  }
  request.constraint = {Constraint::Kind::kRegex, "(a{1000}){1000}", {}};
  EXPECT_FALSE(engine->Generate(request, nullptr).ok());
  request.constraint = {Constraint::Kind::kJsonSchema, "{\"type\": \"strin\"}", {}};
  EXPECT_EQ(engine->Generate(request, nullptr).status().code(), Code::kInvalidArgument);
}

TEST_F(Serving, CancellingAtAnyMomentFreesPagesAndDisturbsNobody) {
  EngineOptions options = Demo();
  options.sequences = 6;
  options.page_tokens = 16;
  auto engine = Loaded(options);
  std::vector<GenerateRequest> requests = Mixed(24);
  std::mt19937 random(5);
  std::atomic<int> done = 0;
  std::vector<Finish> finish(requests.size());
  std::vector<std::vector<int32_t>> ids(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    auto seen = std::make_shared<int>(0);
    const int stop_at = i % 2 == 0 ? static_cast<int>(random() % 4) : 1000;
    ASSERT_TRUE(engine
                    ->Submit(
                        requests[i], [seen, stop_at](const Token&) { return ++*seen < stop_at; },
                        [&, i](Result<GenerateResult> result) {
                          if (result.ok()) {
                            finish[i] = result->finish;
                            ids[i] = result->ids;
                          }
                          ++done;
                        })
                    .ok());
    if (i % 6 == 0) requests[i].cancel.Cancel();
  }
  while (done < 24) std::this_thread::yield();
  for (size_t i = 0; i < requests.size(); ++i) {
    if (i % 2 == 0) {
      EXPECT_EQ(finish[i], Finish::kCancelled) << i;
    } else {
      EXPECT_EQ(ids[i], (*alone_)[i]->ids) << i;
    }
  }
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.running + stats.waiting, 0);
  EXPECT_EQ(stats.pages_free + stats.pages_cached, stats.pages);
}

TEST_F(Serving, ADestroyedEngineEndsItsRequests) {
  auto engine = Loaded(Demo());
  std::atomic<int> cancelled = 0;
  GenerateRequest request = Mixed(1)[0];
  request.max_tokens = 10000;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(engine
                    ->Submit(request, nullptr,
                             [&](Result<GenerateResult> result) {
                               cancelled += result.ok() && result->finish == Finish::kCancelled;
                             })
                    .ok());
  }
  engine.reset();
  EXPECT_EQ(cancelled, 20);
}

// ThreadSanitizer tells.
TEST_F(Serving, WhoeverLooksMeanwhileDisturbsNobody) {
  EngineOptions options = Demo();
  options.sequences = 7;
  options.draft = "auto";
  auto engine = Loaded(options);
  std::atomic<bool> over = false;
  std::vector<std::thread> watchers;
  for (int i = 0; i < 2; ++i) {
    watchers.emplace_back([&] {
      EngineStats last;
      while (!over) {
        const EngineStats stats = engine->stats();
        EXPECT_GE(stats.generated_tokens, last.generated_tokens);
        EXPECT_GE(stats.steps, last.steps);
        EXPECT_GE(stats.step_sequences, last.step_sequences);
        EXPECT_GE(stats.rows, stats.step_sequences);
        EXPECT_GE(stats.step_sequences, stats.steps);
        EXPECT_LE(stats.running, 7);
        EXPECT_LE(stats.pages_free + stats.pages_cached, 2 * stats.pages);
        EXPECT_EQ(engine->device().fallback_launches, 0u);
        EXPECT_GT(engine->memory().cache, 0u);
        EXPECT_EQ(engine->model().experts, 16);
        EXPECT_FALSE(engine->ChatTemplateSource(true).empty());
        EXPECT_EQ(engine->context(), 512);
        last = stats;
        std::this_thread::yield();
      }
    });
  }
  ExpectSame(All(*engine, Mixed(24)), *alone_);
  over = true;
  for (std::thread& watcher : watchers) watcher.join();
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.finished, 24);
  EXPECT_GT(stats.step_sequences, stats.steps) << "some had company";
}

TEST_F(Serving, MoreThanMayWaitIsRefused) {
  EngineOptions options = Demo();
  options.sequences = 1;
  options.waiting = 3;
  auto engine = Loaded(options);
  GenerateRequest request = Mixed(1)[0];
  request.max_tokens = 300;
  std::atomic<int> done = 0;
  Status last;
  int taken = 0;
  for (int i = 0; i < 10; ++i) {
    last = engine->Submit(request, nullptr, [&](const Result<GenerateResult>&) { ++done; });
    taken += last.ok();
  }
  EXPECT_LE(taken, 4);
  EXPECT_EQ(last.code(), Code::kResourceExhausted);
  EXPECT_THAT(last.message(), HasSubstr("try again later"));
  request.cancel.Cancel();
  while (done < taken) std::this_thread::yield();
}

TEST_F(Serving, ACallbackThatThrowsEndsItsRequestOnly) {
  auto engine = Loaded(Demo());
  std::atomic<int> done = 0;
  Status status;
  ASSERT_TRUE(engine
                  ->Submit(
                      Mixed(1)[0], [](const Token&) -> bool { throw std::runtime_error("caller's"); },
                      [&](Result<GenerateResult> result) {
                        status = result.status();
                        ++done;
                      })
                  .ok());
  while (done < 1) std::this_thread::yield();
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_THAT(status.message(), HasSubstr("caller's"));
  EXPECT_EQ(engine->Generate(Mixed(2)[1], nullptr)->ids, (*alone_)[1]->ids);
}

TEST_F(Serving, OptionsThatDoNotFitAreRefused) {
  EngineOptions options = Demo();
  options.sequences = 600;
  EXPECT_THAT(Engine::Load(options).status().message(), HasSubstr("chunk is 512"));
  options = Demo();
  options.draft = "magic";
  EXPECT_THAT(Engine::Load(options).status().message(), HasSubstr("off, mtp, lookup and auto"));
  options = Demo();
  options.mixed_chunk = 0;
  EXPECT_THAT(Engine::Load(options).status().message(), HasSubstr("mixed_chunk"));
}

}  // namespace
}  // namespace qiao
