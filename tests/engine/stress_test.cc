// Sixty-four requests of all kinds at once, over too few pages, with guesses, cancels and priorities: whatever is
// answered in full is what a request alone gets, and nothing stays behind.
#include <gtest/gtest.h>
#include <qiao/engine.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <random>

#include "tests/engine/demo.h"

namespace qiao {
namespace {

using Clock = std::chrono::steady_clock;

// The kinds, some of which begin alike.
std::vector<GenerateRequest> Kinds(size_t count) {
  std::mt19937 random(23);
  const auto token = [&] { return 3 + static_cast<int32_t>(random() % 4000); };
  std::vector<int32_t> shared(200);
  for (int32_t& id : shared) id = token();
  std::vector<GenerateRequest> kinds(count);
  for (size_t i = 0; i < count; ++i) {
    GenerateRequest& r = kinds[i];
    if (i % 2 == 0)
      r.ids.assign(shared.begin(), shared.begin() + static_cast<ptrdiff_t>(20 + random() % 180));
    for (size_t n = 1 + random() % (i % 7 == 0 ? 200 : 25); n > 0; --n) r.ids.push_back(token());
    r.max_tokens = 1 + static_cast<int64_t>(random() % 50);
    r.ignore_end = i % 4 != 0;
    r.priority = static_cast<int32_t>(i % 3);
    if (i % 3 == 1) {
      r.sampling.temperature = 0.7 + 0.1 * static_cast<double>(i % 5);
      r.sampling.top_p = 0.9;
      r.sampling.seed = i;
      if (i % 2 == 0) r.sampling.frequency_penalty = 0.5;
    }
    if (i % 5 == 2) r.logprobs = 1;
    if (i % 10 == 3) r.prompt_logprobs = static_cast<int32_t>(i % 4);
    if (i % 20 == 13) r.max_tokens = 0;
    r.special_text = i % 4 == 2;
    if (i % 6 == 5) r.stop = {"the ", "\n"};
    if (i % 8 == 7) r.n = 3;
    if (i % 9 == 4) {
      r.max_tokens += 40;
      r.constraint.kind = i % 2 == 0 ? Constraint::Kind::kRegex : Constraint::Kind::kJsonSchema;
      r.constraint.text =
          i % 2 == 0 ? "([a-z]+ ){2,6}end" : R"({"type": "object", "properties": {"a": {"type": "integer"},
          "b": {"type": "array", "items": {"type": "string", "maxLength": 9}}}, "required": ["a", "b"]})";
    }
  }
  return kinds;
}

bool Same(const Choice& a, const Choice& b) {
  return a.ids == b.ids && a.text == b.text && a.logprobs == b.logprobs && a.finish == b.finish &&
         a.stop == b.stop && a.stop_token == b.stop_token;
}

int64_t ResidentBytes() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

class Storm {
 public:
  Storm(Engine& engine, const std::vector<GenerateRequest>& kinds, const std::vector<GenerateResult>& alone)
      : engine_(engine), kinds_(kinds), alone_(alone) {}

  // Keeps 64 in flight until the time is over, then waits for them.
  void Blow(Clock::duration length, uint32_t seed) {
    std::mt19937 random(seed);
    const Clock::time_point end = Clock::now() + length;
    while (Clock::now() < end) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return flying_ < 64; });
        ++flying_;
      }
      const size_t kind = random() % kinds_.size();
      GenerateRequest request = kinds_[kind];
      request.cancel = CancelToken();
      auto left = std::make_shared<int>(random() % 4 == 0 ? static_cast<int>(random() % 20) : 1 << 20);
      const bool by_token = random() % 2 == 0;
      const CancelToken cancel = request.cancel;
      const Status taken = engine_.Submit(
          request,
          [left, by_token, cancel](const Token&) {
            if (--*left > 0) return true;
            if (by_token) cancel.Cancel();
            return by_token;
          },
          [this, kind](const Result<GenerateResult>& result) { Check(kind, result); });
      EXPECT_TRUE(taken.ok()) << taken.message();
      if (random() % 16 == 0) cancel.Cancel();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return flying_ == 0; });
  }

  int64_t right = 0, cancelled = 0, wrong = 0;

 private:
  void Check(size_t kind, const Result<GenerateResult>& result) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const GenerateResult& wanted = alone_[kind];
    if (!result.ok()) {
      ADD_FAILURE() << result.status().message();
    } else if (result->finish == Finish::kCancelled) {
      ++cancelled;
    } else {
      bool same = Same(*result, wanted) && result->prompt_logprobs == wanted.prompt_logprobs;
      for (size_t i = 0; i < wanted.more.size(); ++i) {
        same =
            same && (result->more[i].finish == Finish::kCancelled || Same(result->more[i], wanted.more[i]));
      }
      ++(same ? right : wrong);
    }
    --flying_;
    changed_.notify_one();
  }

  Engine& engine_;
  const std::vector<GenerateRequest>& kinds_;
  const std::vector<GenerateResult>& alone_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int flying_ = 0;
};

void Weather(Clock::duration length) {
  const std::vector<GenerateRequest> kinds = Kinds(40);
  std::vector<GenerateResult> alone;
  {
    EngineOptions options = Demo();
    options.page_tokens = 16;
    options.sequences = 3;
    options.prefix_cache = false;
    auto engine = Loaded(options);
    ASSERT_NE(engine, nullptr);
    for (const GenerateRequest& kind : kinds) {
      auto result = engine->Generate(kind, nullptr);
      ASSERT_TRUE(result.ok()) << result.status().message();
      alone.push_back(*std::move(result));
    }
  }
  EngineOptions options = Demo();
  options.page_tokens = 16;
  options.sequences = 20;
  options.cache_tokens = 800;
  options.mixed_chunk = 24;
  options.draft = "mtp";
  auto engine = Loaded(options);
  ASSERT_NE(engine, nullptr);
  Storm storm(*engine, kinds, alone);
  storm.Blow(length / 4, 1);
  [[maybe_unused]] const int64_t before = ResidentBytes();
  storm.Blow(length * 3 / 4, 2);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which keep what was freed
  EXPECT_LT(ResidentBytes() - before, 16 << 20) << "memory is flat";
#endif
  EXPECT_EQ(storm.wrong, 0);
  EXPECT_GT(storm.right, 20);
  EXPECT_GT(storm.cancelled, 5);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.running + stats.waiting, 0);
  EXPECT_EQ(stats.failed, 0);
  EXPECT_EQ(stats.pages_free + stats.pages_cached, stats.pages);
  EXPECT_GT(stats.preemptions, 0);
  EXPECT_GT(stats.cached_tokens, 0);
  EXPECT_GT(stats.accepted, 0);
  std::printf("%ld right, %ld cancelled, %ld preemptions, %ld of %ld drafts right\n", storm.right,
              storm.cancelled, static_cast<long>(stats.preemptions), static_cast<long>(stats.accepted),
              static_cast<long>(stats.drafted));
}

TEST(Stress, SixtyFourAtOnceForAFewSeconds) { Weather(std::chrono::seconds(4)); }
TEST(LongStress, SixtyFourAtOnceForTwoMinutes) { Weather(std::chrono::minutes(2)); }

}  // namespace
}  // namespace qiao
