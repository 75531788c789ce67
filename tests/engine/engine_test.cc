// The public API, as an embedder sees it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <qiao/engine.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>

#include "tests/engine/demo.h"

namespace qiao {
namespace {

using testing::HasSubstr;

GenerateRequest Ask(const std::string& prompt, int64_t tokens) {
  GenerateRequest request;
  request.prompt = prompt;
  request.max_tokens = tokens;
  return request;
}

TEST(Engine, GeneratesAndStreamsTheSameText) {
  auto engine = Loaded(Demo());
  std::string streamed;
  std::vector<int32_t> ids;
  GenerateRequest request = Ask("SQLite is a", 24);
  request.logprobs = 2;
  auto result = engine->Generate(request, [&](const Token& token) {
    streamed += token.text;
    if (token.id >= 0) {
      ids.push_back(token.id);
      EXPECT_LT(token.logprob, 0);
      EXPECT_EQ(token.top.size(), 2u);
      EXPECT_EQ(token.top[0].id, token.id) << "greedy";
      EXPECT_EQ(token.top[0].logprob, token.logprob);
      EXPECT_GE(token.top[0].logprob, token.top[1].logprob);
    }
    return true;
  });
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(streamed, result->text);
  EXPECT_EQ(ids, result->ids);
  EXPECT_EQ(result->finish, Finish::kLength);
  EXPECT_EQ(result->ids.size(), 24u);
  EXPECT_EQ(result->logprobs.size(), 24u);
  EXPECT_EQ(result->top_logprobs.size(), 24u);
  EXPECT_GT(result->prompt_tokens, 1);
  auto again = engine->Generate(Ask("SQLite is a", 24), nullptr);
  EXPECT_EQ(again->text, result->text) << "greedy is deterministic";
  EXPECT_EQ(engine->Detokenize(result->ids).ok(), true);
}

TEST(Engine, ReportsEveryOperation) {
  auto engine = Loaded(Demo());
  const auto plain = engine->Generate(Ask("SQLite is a", 4), nullptr);
  GenerateRequest request = Ask("SQLite is a", 4);
  std::map<std::pair<bool, std::string>, int> calls;
  request.on_operation = [&](const OperationReport& o) {
    ++calls[{o.prefill, std::string(o.operation)}];
    EXPECT_GE(o.seconds, 0);
    EXPECT_GT(o.bytes, 0) << o.node;
    EXPECT_FALSE(o.kernel.empty()) << o.node;
    EXPECT_TRUE(o.arithmetic == "f32" || o.arithmetic == "bf16") << o.arithmetic;
    if (o.node == "logits") {
      EXPECT_EQ(o.flops, 2.0 * 256 * 4096) << "one row of the prompt, one a token";
    }
  };
  const auto result = engine->Generate(request, nullptr);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->ids, plain->ids) << "looking changes nothing";
  EXPECT_EQ((calls[{true, "embedding"}]), 1);
  EXPECT_EQ((calls[{false, "embedding"}]), 3) << "the first token comes with the prompt";
  EXPECT_EQ((calls[{false, "latent_attention"}]), 3 * 4) << "four layers";
}

TEST(Engine, TwoEnginesInOneProcessDoNotDisturbEachOther) {
  EngineOptions f32 = Demo();
  f32.numerics = "f32";
  f32.backend = "reference";
  auto a = Loaded(Demo()), b = Loaded(f32);
  const std::string alone_a = a->Generate(Ask("The function returns", 12), nullptr)->text;
  const std::string alone_b = b->Generate(Ask("In the beginning", 12), nullptr)->text;
  std::string together_a, together_b;
  std::thread ta([&] { together_a = a->Generate(Ask("The function returns", 12), nullptr)->text; });
  std::thread tb([&] { together_b = b->Generate(Ask("In the beginning", 12), nullptr)->text; });
  ta.join();
  tb.join();
  EXPECT_EQ(together_a, alone_a);
  EXPECT_EQ(together_b, alone_b);
}

TEST(Engine, StopsAtStopStringsAndShowsNothingOfThem) {
  auto engine = Loaded(Demo());
  const std::string all = engine->Generate(Ask("SQLite is a", 24), nullptr)->text;
  ASSERT_GT(all.size(), 20u);
  GenerateRequest request = Ask("SQLite is a", 24);
  request.stop = {all.substr(10, 6)};
  std::string streamed;
  auto result = engine->Generate(request, [&](const Token& token) {
    streamed += token.text;
    return true;
  });
  EXPECT_EQ(result->finish, Finish::kStop);
  EXPECT_EQ(result->text, all.substr(0, all.find(request.stop[0])));
  EXPECT_EQ(streamed, result->text);
}

TEST(Engine, TheCallbackAndTheTokenCancel) {
  auto engine = Loaded(Demo());
  int seen = 0;
  auto result = engine->Generate(Ask("In the beginning", 100), [&](const Token&) { return ++seen < 5; });
  EXPECT_EQ(result->finish, Finish::kCancelled);
  EXPECT_EQ(result->ids.size(), 5u);

  GenerateRequest request = Ask("In the beginning", 400);
  request.ignore_end = true;
  std::atomic<bool> started = false;
  std::thread other([&] {
    while (!started) std::this_thread::yield();
    request.cancel.Cancel();
  });
  result = engine->Generate(request, [&](const Token&) {
    started = true;
    return true;
  });
  other.join();
  EXPECT_EQ(result->finish, Finish::kCancelled);
  EXPECT_LT(result->ids.size(), 400u);
  EXPECT_TRUE(engine->Generate(Ask("Again", 4), nullptr).ok()) << "the engine goes on";
}

TEST(Engine, APromptThatDoesNotFitIsAnErrorWithNumbers) {
  EngineOptions options = Demo();
  options.context = 16;
  auto engine = Loaded(options);
  GenerateRequest request;
  request.ids.assign(16, 5);
  auto result = engine->Generate(request, nullptr);
  EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(result.status().message(), testing::AllOf(HasSubstr("16 tokens"), HasSubstr("context of 16")));
  // Megabytes are not even cut into tokens, a text of the longest tokens is.
  request.ids.clear();
  request.prompt.assign(10'000'000, 'a');
  result = engine->Generate(request, nullptr);
  EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(result.status().message(), testing::AllOf(HasSubstr("10000000 bytes"), HasSubstr("16 tokens")));
  request.prompt.clear();
  for (int i = 0; i < 14; ++i) request.prompt += "<｜begin▁of▁sentence｜>";
  request.rendered = true;
  request.max_tokens = 1;
  EXPECT_TRUE(engine->Generate(request, nullptr).ok());
  request.ids.assign(15, 5);
  request.ignore_end = true;
  request.max_tokens = 50;
  result = engine->Generate(request, nullptr);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->finish, Finish::kContext) << "it says that the context ended, and does not cut";
  EXPECT_EQ(result->ids.size(), 2u);
}

TEST(Engine, ABadRequestFailsOnlyItself) {
  auto engine = Loaded(Demo());
  GenerateRequest request;
  request.ids = {1, 99999};
  EXPECT_EQ(engine->Generate(request, nullptr).status().code(), Code::kInvalidArgument);
  request = Ask("x", 4);
  request.sampling.top_p = 7;
  EXPECT_THAT(engine->Generate(request, nullptr).status().message(), HasSubstr("top_p"));
  request = Ask("x", -1);
  EXPECT_EQ(engine->Generate(request, nullptr).status().code(), Code::kInvalidArgument);
  request = Ask(std::string("\xff\xfe bad \xc3", 8), 4);
  EXPECT_TRUE(engine->Generate(request, nullptr).ok()) << "bytes that are no UTF-8 are read as U+FFFD";
  EXPECT_TRUE(engine->Generate(Ask("", 4), nullptr).ok()) << "an empty prompt begins a text";
  EXPECT_THAT(engine->RenderChat("{\"role\":", true).status().message(), HasSubstr("messages"));
  EXPECT_EQ(*engine->RenderChat(R"([{"role":"user","content":"a"}])", false), "<｜begin▁of▁sentence｜>a");
}

TEST(Engine, AnExceptionOfTheCallerDoesNotCrossTheBoundaryAsOne) {
  auto engine = Loaded(Demo());
  auto result =
      engine->Generate(Ask("x", 8), [](const Token&) -> bool { throw std::runtime_error("caller's"); });
  EXPECT_EQ(result.status().code(), Code::kInternal);
  EXPECT_THAT(result.status().message(), HasSubstr("caller's"));
  EXPECT_TRUE(engine->Generate(Ask("x", 4), nullptr).ok());
}

TEST(Engine, LoadingFailsCleanlyOutsideItsBudgetAndWhenCancelled) {
  EngineOptions options = Demo();
  options.memory_budget = 200'000;
  auto engine = Engine::Load(options);
  EXPECT_EQ(engine.status().code(), Code::kResourceExhausted);
  EXPECT_THAT(engine.status().message(), HasSubstr("MiB"));
  options = Demo();
  options.model = "/nonexistent";
  EXPECT_EQ(Engine::Load(options).status().code(), Code::kNotFound);
  options = Demo();
  options.numerics = "f12";
  EXPECT_EQ(Engine::Load(options).status().code(), Code::kInvalidArgument);
}

// Not after the model's checksums have been compared.
TEST(Engine, UnknownOptionsAreRefusedBeforeTheModelIsOpened) {
  for (std::string EngineOptions::*option :
       {&EngineOptions::numerics, &EngineOptions::load, &EngineOptions::verify}) {
    EngineOptions options = Demo();
    options.model = "/nonexistent";
    options.*option = "f12";
    EXPECT_EQ(Engine::Load(options).status().code(), Code::kInvalidArgument);
  }
}

// Every allocation of host memory by the devices goes through the hooks and is given back; refusing any of
// them is an error and no more.
TEST(Engine, AllocatorHooksSeeEverythingAndMayRefuse) {
  std::mutex mutex;
  std::map<void*, uint64_t> live;
  int calls = 0, refuse_at = -1;
  EngineOptions options = Demo();
  options.allocate = [&](uint64_t bytes, uint64_t alignment) -> void* {
    std::lock_guard<std::mutex> lock(mutex);
    if (++calls == refuse_at) return nullptr;
    void* p = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    live[p] = bytes;
    return p;
  };
  options.deallocate = [&](void* p, uint64_t bytes) {
    std::lock_guard<std::mutex> lock(mutex);
    EXPECT_EQ(live[p], bytes);
    live.erase(p);
    std::free(p);
  };
  {
    auto engine = Loaded(options);
    uint64_t held = 0;
    for (const auto& [p, bytes] : live) held += bytes;
    EXPECT_GE(held, engine->memory().cache);
    EXPECT_TRUE(engine->Generate(Ask("x", 4), nullptr).ok());
  }
  EXPECT_TRUE(live.empty());
  const int all = calls;
  for (int n = 1; n <= all; ++n) {
    calls = 0;
    refuse_at = n;
    auto engine = Engine::Load(options);
    if (!engine.ok()) {
      EXPECT_EQ(engine.status().code(), Code::kResourceExhausted) << engine.status().message();
    }
  }
  EXPECT_TRUE(live.empty());
}

TEST(Engine, ABackendWithOneOrderOfSumsRefusesAnother) {
  EngineOptions options = Demo();
  options.fast_math_order = true;
  EXPECT_TRUE(Engine::Load(options).ok());
  options.backend = "reference";
  EXPECT_THAT(Engine::Load(options).status().message(), HasSubstr("order"));
}

TEST(Engine, SaysWhatItIs) {
  EngineOptions options = Demo();
  std::vector<std::string> logged;
  std::mutex mutex;
  options.log = [&](LogLevel, std::string_view message) {
    std::lock_guard<std::mutex> lock(mutex);
    logged.emplace_back(message);
  };
  auto engine = Loaded(options);
  EXPECT_EQ(engine->model().family, "deepseek_v3");
  const ModelDescription model = engine->model();
  EXPECT_EQ(model.parameters, 9'179'648u);
  EXPECT_EQ(model.experts, 16);
  EXPECT_EQ(model.experts_per_token, 4);
  EXPECT_EQ(model.shared_experts, 1);
  EXPECT_TRUE(model.mtp);
  EXPECT_EQ(model.cache_bytes_per_token, 96u * 4 * 2);
  // Keys of 32 + 32 and values of 64 for each of four heads, four layers, bf16.
  EXPECT_EQ(model.cache_bytes_per_token_expanded, (64u + 64) * 4 * 4 * 2);
  // The files hold nothing else; FP8 with its scales is a little more than half of bf16.
  EXPECT_EQ(model.weight_bytes_bf16, 2 * model.parameters);
  EXPECT_GT(model.weight_bytes, model.parameters);
  EXPECT_LT(model.weight_bytes, model.weight_bytes_bf16);
  // A token reads one row of the embedding, and is multiplied by what it reads but that and the norms.
  const uint64_t embedding = 4096 * 256;
  EXPECT_EQ(model.active_weight_bytes_bf16, 2 * (model.active_parameters - embedding + 256));
  EXPECT_LT(model.active_weight_bytes, model.active_weight_bytes_bf16);
  EXPECT_LT(model.flops_per_token, 2 * (model.active_parameters - embedding));
  EXPECT_GT(model.flops_per_token, 2 * (model.active_parameters - embedding) * 99 / 100);
  // In each of three layers, 12 of 16 experts do not run: three matrices of 64 by 256.
  EXPECT_EQ(model.flops_per_token_dense - model.flops_per_token, 2u * 3 * 12 * 3 * 64 * 256);
  EXPECT_EQ(engine->memory().cache_bytes_per_token, 96u * 4 * 2)
      << "latent 64 and rope 32, four layers, bf16";
  EXPECT_TRUE(engine->device().row_invariant);
  EXPECT_EQ(engine->device().fallback_launches, 0u);
  EXPECT_EQ(engine->context(), 512);
  EXPECT_GT(engine->RecommendedSampling().temperature, 0);
  EXPECT_FALSE(Version().empty());

  options.backend = "null";
  EXPECT_EQ(Engine::Load(options).status().code(), Code::kUnimplemented);
  options.allow_fallback = true;
  auto fallback = Loaded(options);
  EXPECT_EQ(fallback->Generate(Ask("SQLite is a", 8), nullptr)->text,
            engine->Generate(Ask("SQLite is a", 8), nullptr)->text);
  EXPECT_GT(fallback->device().fallback_launches, 0u);
}

}  // namespace
}  // namespace qiao
