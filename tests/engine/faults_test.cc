// Devices and allocators that fail, at every call that loading a model and making eight tokens takes: an
// error and no more. After a fault that happens once the engine gives the tokens of a healthy one; after a
// lost device every request says so. Everything that was allocated is given back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <qiao/engine.h>

#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace qiao {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

// A small checkpoint without a tokenizer: prompts are ids. Two buckets, and a prompt of two steps.
constexpr char kModel[] = QIAO_TEST_DATA "/golden/deepseek_v3";

// The default run takes every 17th or 37th call, from the first on; LongFaults takes all.

// An allocator that counts what is held and may refuse its n-th call; outlives the engine.
class Memory {
 public:
  int64_t refuse_at = 0;

  void GiveTo(EngineOptions& options) {
    options.allocate = [this](uint64_t bytes, uint64_t alignment) -> void* {
      std::lock_guard lock(mutex_);
      if (++calls_ == refuse_at) return nullptr;
      void* p = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
      held_.emplace(p, bytes);
      return p;
    };
    options.deallocate = [this](void* p, uint64_t bytes) {
      std::lock_guard lock(mutex_);
      const auto it = held_.find(p);
      ASSERT_NE(it, held_.end()) << "what was never allocated";
      EXPECT_EQ(it->second, bytes);
      held_.erase(it);
      std::free(p);
    };
  }
  int64_t calls() const { return calls_; }
  size_t held() const { return held_.size(); }

 private:
  std::mutex mutex_;
  int64_t calls_ = 0;
  std::map<void*, uint64_t> held_;
};

GenerateRequest EightTokens() {
  GenerateRequest request;
  for (int32_t i = 0; i < 20; ++i) request.ids.push_back((i * 37 + 5) % 512);
  request.max_tokens = 8;
  request.ignore_end = true;
  return request;
}

// How an engine is put on the faulty device.
struct Rig {
  std::string inner = "cpu", load = "copy";
  bool fallback = false;
  std::map<std::string, std::string> device = {};  // options of the inner device
};

class Faulty {
 public:
  explicit Faulty(const Rig& rig) {
    options.model = kModel;
    options.context = 64;
    options.chunk = 16;
    options.threads = 1;
    options.numerics = "f32";
    options.load = rig.load;
    options.backend = "faulty";
    options.backend_options = rig.device;
    options.backend_options["inner"] = rig.inner;
    options.allow_fallback = rig.fallback;
    options.log = [this](LogLevel, std::string_view line) {
      std::lock_guard lock(mutex_);
      if (line.starts_with("faulty: ")) lines.emplace_back(line);
    };
    memory.GiveTo(options);
  }
  Faulty(const Faulty&) = delete;

  EngineOptions options;
  Memory memory;
  std::vector<std::string> lines;  // that the device logged: its faults

 private:
  std::mutex mutex_;
};

// What a healthy engine does: its tokens, and how many calls of all kinds it makes.
struct Healthy {
  std::vector<int32_t> ids;
  int64_t loading = 0, all = 0;
};

int64_t AnyOfCounts(const std::vector<std::string>& lines) {
  if (lines.size() != 1) return -1;
  const size_t at = lines[0].find(" any=");
  return at == std::string::npos ? -1 : std::atoll(lines[0].c_str() + at + 5);
}

Healthy RunHealthy(const Rig& rig) {
  Healthy healthy;
  for (const bool generate : {false, true}) {
    Faulty f(rig);
    f.options.backend_options["count"] = "1";
    {
      auto engine = Engine::Load(f.options);
      EXPECT_TRUE(engine.ok()) << engine.status().message();
      if (!engine.ok()) return healthy;
      if (generate) {
        auto result = (*engine)->Generate(EightTokens(), nullptr);
        EXPECT_TRUE(result.ok()) << result.status().message();
        if (result.ok()) healthy.ids = result->ids;
      }
    }
    (generate ? healthy.all : healthy.loading) = AnyOfCounts(f.lines);
    EXPECT_EQ(f.memory.held(), 0u);
  }
  EXPECT_EQ(healthy.ids.size(), 8u);
  EXPECT_GT(healthy.loading, 50);
  EXPECT_GT(healthy.all, healthy.loading + 100);
  return healthy;
}

// Every stride-th call fails in a run of its own, once: a step is repeated, and nobody notices.
void FailAtEach(const Rig& rig, int stride) {
  const Healthy healthy = RunHealthy(rig);
  for (int64_t n = 1; n <= healthy.all && !testing::Test::HasFailure(); n += stride) {
    SCOPED_TRACE("fail=any:" + std::to_string(n));
    const std::string text = "faulty: call " + std::to_string(n) + " (any, here ";
    Faulty f(rig);
    f.options.backend_options["fail"] = "any:" + std::to_string(n);
    {
      auto engine = Engine::Load(f.options);
      EXPECT_EQ(engine.ok(), n > healthy.loading) << engine.status().message();
      if (engine.ok()) {
        auto result = (*engine)->Generate(EightTokens(), nullptr);
        ASSERT_TRUE(result.ok()) << result.status().message();
        EXPECT_EQ(result->ids, healthy.ids);
      } else {
        EXPECT_THAT(engine.status().code(), AnyOf(Code::kInternal, Code::kResourceExhausted));
        EXPECT_THAT(engine.status().message(), HasSubstr(text));
      }
      EXPECT_THAT(f.lines, testing::ElementsAre(HasSubstr(text)));
    }
    EXPECT_EQ(f.memory.held(), 0u);
  }
}

// From every stride-th call after loading on, many fail: the request does, and the next one after them does not.
void FailForAWhileAtEach(const Rig& rig, int stride) {
  const Healthy healthy = RunHealthy(rig);
  for (int64_t n = healthy.loading + 1; n <= healthy.all && !testing::Test::HasFailure(); n += stride) {
    const std::string range = std::to_string(n) + ".." + std::to_string(n + 20);
    SCOPED_TRACE("fail=any:" + range);
    Faulty f(rig);
    f.options.backend_options["fail"] = "any:" + range;
    {
      auto engine = Engine::Load(f.options);
      ASSERT_TRUE(engine.ok()) << engine.status().message();
      int failed = 0;
      for (; failed < 30; ++failed) {
        auto result = (*engine)->Generate(EightTokens(), nullptr);
        if (result.ok()) {
          EXPECT_EQ(result->ids, healthy.ids);
          break;
        }
        EXPECT_THAT(result.status().code(), AnyOf(Code::kInternal, Code::kResourceExhausted));
        EXPECT_THAT(result.status().message(), HasSubstr("faulty: call "));
      }
      EXPECT_GT(failed, 0);
      EXPECT_LT(failed, 30);
      const EngineStats stats = (*engine)->stats();
      EXPECT_EQ(stats.failed, failed);
      EXPECT_EQ(stats.pages_free + stats.pages_cached, stats.pages);
    }
    EXPECT_EQ(f.memory.held(), 0u);
  }
}

void LoseAtEach(const Rig& rig, int stride) {
  const Healthy healthy = RunHealthy(rig);
  for (int64_t n = 1; n <= healthy.all && !testing::Test::HasFailure(); n += stride) {
    SCOPED_TRACE("lose=any:" + std::to_string(n));
    const auto lost = testing::AllOf(HasSubstr("faulty: call " + std::to_string(n) + " (any, here "),
                                     HasSubstr("loses the device"));
    Faulty f(rig);
    f.options.backend_options["lose"] = "any:" + std::to_string(n);
    {
      auto engine = Engine::Load(f.options);
      EXPECT_EQ(engine.ok(), n > healthy.loading) << engine.status().message();
      if (!engine.ok()) {
        EXPECT_EQ(engine.status().code(), Code::kUnavailable);
        EXPECT_THAT(engine.status().message(), lost);
      }
      for (int i = 0; engine.ok() && i < 2; ++i) {
        auto result = (*engine)->Generate(EightTokens(), nullptr);
        EXPECT_EQ(result.status().code(), Code::kUnavailable);
        EXPECT_THAT(result.status().message(), lost);
      }
    }
    EXPECT_EQ(f.memory.held(), 0u);
  }
}

// The embedder's allocator refuses one allocation.
void RefuseAtEach(const Rig& rig) {
  int64_t all = 0;
  std::vector<int32_t> ids;
  {
    Faulty f(rig);
    {
      auto engine = Engine::Load(f.options);
      ASSERT_TRUE(engine.ok()) << engine.status().message();
      auto result = (*engine)->Generate(EightTokens(), nullptr);
      ASSERT_TRUE(result.ok()) << result.status().message();
      ids = result->ids;
    }
    all = f.memory.calls();
  }
  EXPECT_GT(all, 5);
  for (int64_t n = 1; n <= all && !testing::Test::HasFailure(); ++n) {
    SCOPED_TRACE("allocation " + std::to_string(n));
    Faulty f(rig);
    f.memory.refuse_at = n;
    {
      auto engine = Engine::Load(f.options);
      if (engine.ok()) {  // an allocation of a step, which is repeated
        auto result = (*engine)->Generate(EightTokens(), nullptr);
        ASSERT_TRUE(result.ok()) << result.status().message();
        EXPECT_EQ(result->ids, ids);
      } else {
        EXPECT_EQ(engine.status().code(), Code::kResourceExhausted) << engine.status().message();
        EXPECT_THAT(engine.status().message(), HasSubstr("bytes"));
      }
    }
    EXPECT_EQ(f.memory.held(), 0u);
  }
}

// Weights stored by the backend, or mapped. Operations that all run on the CPU, or some of them on a device with
// memory of its own, which works when it is waited for, and the others on the host: that copies much.
const Rig kCopied{.inner = "cpu", .load = "copy"};
const Rig kMapped{.inner = "cpu", .load = "map"};
const Rig kDiscrete{.inner = "partial",
                    .load = "map",
                    .fallback = true,
                    .device = {{"ops", "rmsnorm,swiglu"}, {"deferred", "1"}}};

TEST(Faults, OneCallFails) { FailAtEach(kCopied, 17); }
TEST(Faults, OneCallFailsOfADiscreteDevice) { FailAtEach(kDiscrete, 37); }
TEST(Faults, ManyCallsFail) {
  FailForAWhileAtEach(kCopied, 61);
  FailForAWhileAtEach(kDiscrete, 97);
}
TEST(Faults, TheDeviceIsLost) { LoseAtEach(kCopied, 37); }
TEST(Faults, ADiscreteDeviceIsLost) { LoseAtEach(kDiscrete, 37); }
TEST(Faults, TheAllocatorRefuses) {
  RefuseAtEach(kCopied);
  RefuseAtEach(kDiscrete);
}

// A launch of a step of four fails, and the next one, which is the first request's alone.
TEST(Faults, OnlyTheRequestThatFailsAloneEnds) {
  const Healthy healthy = RunHealthy(kCopied);
  for (int n : {5, 60, 130}) {
    SCOPED_TRACE(n);
    Faulty f(kCopied);
    f.options.backend_options["fail"] = "launch:" + std::to_string(n) + ".." + std::to_string(n + 1);
    auto engine = Engine::Load(f.options);
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    std::mutex mutex;
    std::condition_variable changed;
    int right = 0, failed = 0;
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE((*engine)
                      ->Submit(EightTokens(), nullptr,
                               [&](const Result<GenerateResult>& result) {
                                 const std::lock_guard lock(mutex);
                                 if (result.ok()) {
                                   right += result->ids == healthy.ids;
                                 } else {
                                   ++failed;
                                   EXPECT_THAT(result.status().message(), HasSubstr("fails as asked"));
                                 }
                                 changed.notify_one();
                               })
                      .ok());
    }
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return right + failed == 4; });
    EXPECT_EQ(failed, 1);
    EXPECT_EQ(right, 3);
  }
}

TEST(LongFaults, OneCallFails) { FailAtEach(kCopied, 1); }
TEST(LongFaults, OneCallFailsWithMappedWeights) { FailAtEach(kMapped, 1); }
TEST(LongFaults, OneCallFailsOfADiscreteDevice) { FailAtEach(kDiscrete, 1); }
TEST(LongFaults, TheDeviceIsLost) { LoseAtEach(kCopied, 1); }
TEST(LongFaults, TheDeviceIsLostWithMappedWeights) { LoseAtEach(kMapped, 1); }
TEST(LongFaults, ADiscreteDeviceIsLost) { LoseAtEach(kDiscrete, 1); }
TEST(LongFaults, ManyCallsFail) {
  for (const Rig& rig : {kCopied, kMapped, kDiscrete}) FailForAWhileAtEach(rig, 7);
}

// From the first launch on, whatever a device could be asked for but computing fails: nobody asks.
TEST(Faults, StepsAskTheDeviceForNothingButComputing) {
  for (const char* draft : {"off", "mtp", "lookup"}) {
    SCOPED_TRACE(draft);
    EngineOptions options;
    options.model = QIAO_MODELS "/demo";
    options.backend = "faulty";
    options.backend_options = {
        {"after", "launch:1"},
        {"fail", "alloc:1+,prepare:1+,store:1+,choose:1+,stream:1+,support:1+,capture:1+,query:1+"}};
    options.context = 256;
    options.page_tokens = 16;
    options.sequences = 3;
    options.draft = draft;
    auto engine = Engine::Load(options);
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    std::vector<GenerateResult> results;
    std::mutex mutex;
    std::condition_variable over;
    for (int32_t i = 0; i < 3; ++i) {
      GenerateRequest request = EightTokens();
      request.ids.push_back(i + 3);
      request.max_tokens = 150;
      const Status submitted =
          (*engine)->Submit(std::move(request), nullptr, [&](Result<GenerateResult> result) {
            std::lock_guard lock(mutex);
            EXPECT_TRUE(result.ok()) << result.status().message();
            results.push_back(result.ok() ? *std::move(result) : GenerateResult());
            over.notify_one();
          });
      ASSERT_TRUE(submitted.ok()) << submitted.message();
    }
    std::unique_lock lock(mutex);
    over.wait(lock, [&] { return results.size() == 3; });
    for (const GenerateResult& result : results) EXPECT_EQ(result.ids.size(), 150u);
    EXPECT_EQ((*engine)->stats().drafted > 0, std::string(draft) != "off");
  }
}

}  // namespace
}  // namespace qiao
