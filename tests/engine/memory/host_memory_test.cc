// The host has no memory left: each allocation of loading a model and of making eight tokens fails once, as
// std::bad_alloc. That is RESOURCE_EXHAUSTED and no more, and the engine goes on. A program of its own: it replaces
// operator new.
#include <gtest/gtest.h>
#include <qiao/engine.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "runtime/engine/scheduler.h"
#include "tests/models/loaded_model.h"

namespace {

// Allocations, of the caller's thread and the engine's, and which of them throws; 0: none.
std::atomic<bool> armed = false;
std::atomic<int64_t> calls = 0, fail_at = 0;

void* Allocate(size_t bytes, size_t alignment) {
  if (armed && ++calls == fail_at) throw std::bad_alloc();
  void* p = alignment <= alignof(std::max_align_t)
                ? std::malloc(bytes > 0 ? bytes : 1)
                : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace

void* operator new(size_t bytes) { return Allocate(bytes, 1); }
void* operator new[](size_t bytes) { return Allocate(bytes, 1); }
void* operator new(size_t bytes, std::align_val_t a) { return Allocate(bytes, static_cast<size_t>(a)); }
void* operator new[](size_t bytes, std::align_val_t a) { return Allocate(bytes, static_cast<size_t>(a)); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { std::free(p); }

namespace qiao {
namespace {

// Counts, and fails the n-th, for the length of a scope.
class FailAt {
 public:
  explicit FailAt(int64_t n) {
    calls = 0;
    fail_at = n;
    armed = true;
  }
  ~FailAt() { armed = false; }
  int64_t count() const { return calls; }
};

// Two chunks of a prompt, and a cache of several pages that a leak would use up.
EngineOptions Options() {
  EngineOptions options;
  options.model = QIAO_MODELS "/demo";
  options.context = 32;
  options.page_tokens = 8;
  options.chunk = 8;
  options.threads = 1;
  options.load = "map";
  return options;
}

GenerateRequest EightTokens() {
  GenerateRequest request;
  request.prompt = "SQLite is a library in the C language";
  request.max_tokens = 8;
  request.ignore_end = true;
  request.stop = {"never said"};
  return request;
}

TEST(HostMemory, EachAllocationOfARequestMayFail) {
  auto engine = Engine::Load(Options());
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  const GenerateRequest request = EightTokens();
  const auto healthy = (*engine)->Generate(request, nullptr);
  ASSERT_TRUE(healthy.ok()) << healthy.status().message();
  for (int64_t n = 1;; ++n) {
    SCOPED_TRACE("allocation " + std::to_string(n));
    Result<GenerateResult> result = Status();
    bool failed = false;
    {
      const FailAt fault(n);
      result = (*engine)->Generate(request, nullptr);
      failed = fault.count() >= n;
    }
    if (!failed) {
      ASSERT_TRUE(result.ok()) << result.status().message();
      EXPECT_EQ(result->ids, healthy->ids);
      EXPECT_GT(n, 20);
      break;
    }
    // What fails inside the C++ library may have been caught there.
    if (!result.ok()) {
      EXPECT_EQ(result.status().code(), Code::kResourceExhausted) << result.status().message();
    }
    const auto again = (*engine)->Generate(request, nullptr);
    ASSERT_TRUE(again.ok()) << again.status().message();
    ASSERT_EQ(again->ids, healthy->ids);
    ASSERT_EQ(again->text, healthy->text);
  }
}

// Strings and results of those who are served grow, and the index of a text that is looked up; the rest of a step does
// not allocate, and the device never does.
void ExpectSteadyDecodingAllocatesNothing(engine::Drafter drafter) {
  std::atomic<int64_t> device_calls = 0;
  engine::RunnerOptions options;
  options.sequences = 4;
  options.context = 1024;
  options.page_tokens = 16;
  options.chunk = 32;
  options.device.options["threads"] = "1";
  options.device.hooks.allocate = [&](uint64_t bytes, uint64_t alignment) {
    ++device_calls;
    return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  };
  options.device.hooks.deallocate = [&](void* memory, uint64_t) {
    ++device_calls;
    std::free(memory);
  };
  const int32_t drafts = drafter == engine::Drafter::kNone ? 0 : 2;
  options.logits_each = 1 + drafts;
  if (drafter == engine::Drafter::kMtp) options.draft_tokens = drafts;
  auto model = LoadModel(QIAO_MODELS "/demo", options);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_GT(device_calls, 0) << "they are seen";
  engine::Scheduler scheduler(*model->runner, &*model->folder->tokenizer,
                              {.sequences = 4, .drafter = drafter, .draft_tokens = drafts});
  for (int32_t i = 0; i < 4; ++i) {
    auto request = std::make_unique<engine::Request>();
    for (int32_t t = 0; t < 20; ++t) request->spec.ids.push_back(3 + (t * 37 + i * 101) % 4000);
    request->spec.max_tokens = 1000;
    request->dropped = std::make_shared<std::atomic<bool>>(false);
    request->on_done = [](const absl::StatusOr<GenerateResult>&) {};
    scheduler.Add(std::move(request));
  }
  while (scheduler.stats().generated_tokens < 400) ASSERT_TRUE(scheduler.Step());
  const EngineStats before = scheduler.stats();
  const int64_t device_before = device_calls;
  int64_t counted = 0;
  {
    const FailAt count(0);
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(scheduler.Step());
    counted = count.count();
  }
  EXPECT_EQ(device_calls, device_before) << "the device allocates or frees";
  const EngineStats& after = scheduler.stats();
  EXPECT_EQ(after.running, 4) << "nobody came or went";
  EXPECT_GE(after.generated_tokens - before.generated_tokens, 800);
  EXPECT_EQ(after.drafted > before.drafted, drafter != engine::Drafter::kNone);
  EXPECT_LT(counted, 80) << "what grows doubles now and then";
  std::printf("%d allocations of the host in 200 steps\n", static_cast<int>(counted));
}

TEST(HostMemory, SteadyDecodingAllocatesNothing) {
  ExpectSteadyDecodingAllocatesNothing(engine::Drafter::kNone);
}

TEST(HostMemory, SteadyDecodingWithTheModelsOwnDraftsAllocatesNothing) {
  ExpectSteadyDecodingAllocatesNothing(engine::Drafter::kMtp);
}

TEST(HostMemory, SteadyDecodingWithLookedUpDraftsAllocatesNothing) {
  ExpectSteadyDecodingAllocatesNothing(engine::Drafter::kLookup);
}

}  // namespace
}  // namespace qiao
