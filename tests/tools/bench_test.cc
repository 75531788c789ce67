// infer bench and the profiles, on the shipped model; what they are made of, by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "runtime/base/json.h"
#include "tests/tools/infer_process.h"
#include "tools/infer/bench_cases.h"
#include "tools/infer/limits.h"
#include "tools/infer/memory_use.h"
#include "tools/infer/profile.h"

namespace qiao::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Json BenchJson(std::vector<std::string> options) {
  std::vector<std::string> args = {"bench", DemoModel(), "--json", "--stream", "64MB", "--repeat", "2"};
  args.insert(args.end(), options.begin(), options.end());
  const Finished finished = Infer(args);
  EXPECT_EQ(finished.exit, 0) << finished.err;
  return Json::parse(finished.out, nullptr, false);
}

TEST(Bench, MeasuresEveryCaseBesideItsLimit) {
  const Json json = BenchJson({"--prefill", "32,64", "--depth", "0,192", "--batch", "1,3", "--steps", "4"});
  ASSERT_TRUE(json.is_object());
  for (const char* key : {"read_gb_per_s", "bf16_tflop_per_s", "int8_top_per_s", "f32_tflop_per_s"}) {
    EXPECT_GT(json["limits"][key], 0) << key;
  }
  for (const char* key : {"load_seconds", "time_to_first_token_seconds", "peak_memory_bytes",
                          "anonymous_memory_bytes", "file_memory_bytes", "threads"}) {
    EXPECT_GT(json[key], 0) << key;
  }
  for (const char* key : {"model", "machine", "date", "device", "numerics"}) EXPECT_NE(json[key], "") << key;
  EXPECT_EQ(json["first_prompt_tokens"], 128);
  EXPECT_EQ(json["kv_bytes_per_token"], 768);
  EXPECT_TRUE(json["skipped"].empty());

  std::vector<std::string> cases;
  for (const Json& result : json["results"]) {
    const bool prefill = result["kind"] == "prefill";
    cases.push_back(prefill ? absl::StrCat("p", result["tokens"].dump())
                            : absl::StrCat("d", result["depth"].dump(), "x", result["batch"].dump()));
    EXPECT_GT(result["tokens_per_s"], 0);
    EXPECT_LE(result["tokens_per_s_min"], result["tokens_per_s"]);
    EXPECT_GE(result["tokens_per_s_max"], result["tokens_per_s"]);
    EXPECT_GT(result["roofline_share"], 0);
    EXPECT_LE(result["roofline_share"], 1.5) << result.dump();
    EXPECT_EQ(result["seconds"].size(), 2u);
    EXPECT_FALSE(result.contains("profile"));
    // 16 experts a layer, 4 of them for a token.
    EXPECT_GE(result["experts_touched"], 4);
    EXPECT_LE(result["experts_touched"], 16);
  }
  EXPECT_THAT(cases, ElementsAre("p32", "p64", "d0x1", "d0x3", "d192x1", "d192x3"));
}

// A run works on branches of the filled caches: more pages are in use than all contexts have.
TEST(Bench, DeepCachesLeaveRoomForTheRuns) {
  const Json json = BenchJson({"--prefill", "none", "--depth", "0,1024", "--batch", "1,8", "--steps", "1"});
  EXPECT_EQ(json["results"].size(), 4u);
}

// Against a count by hand, from the config. Each cached token costs its 768 bytes once.
TEST(Bench, CountsTheBytesThatADecodeStepNeeds) {
  const Json json = BenchJson({"--prefill", "none", "--depth", "0,256", "--batch", "1", "--steps", "1"});
  const Json &empty = json["results"][0], &deep = json["results"][1];
  EXPECT_EQ(empty["experts_touched"], 4);
  const double more = deep["bytes_per_token"].get<double>() - empty["bytes_per_token"].get<double>();
  EXPECT_DOUBLE_EQ(more, 256 * 768);
  const std::string folder = DemoModel();
  const Finished inspect = Infer({"inspect", folder, "--json"});
  const double active = Json::parse(inspect.out)["active_bytes"].get<double>();
  // `inspect` counts tensors by their roles; norms and biases, a hundredth, are counted there only.
  EXPECT_NEAR(empty["bytes_per_token"].get<double>(), active, 0.02 * active);
}

TEST(Bench, ProfilesEachCase) {
  const Json json =
      BenchJson({"--prefill", "16", "--depth", "0", "--batch", "2", "--steps", "2", "--profile"});
  for (const Json& result : json["results"]) {
    double share = 0, last = 1e9;
    bool logits = false;
    for (const Json& row : result["profile"]) {
      share += row["share"].get<double>();
      EXPECT_LE(row["seconds"], last) << "slowest first";
      last = row["seconds"];
      EXPECT_THAT(row["kernel"].get<std::string>(), HasSubstr("cpu_"));
      EXPECT_GT(row["roofline_share"], 0) << row.dump();
      int64_t calls = 0;
      for (const Json& node : row["nodes"]) {
        calls += node["calls"].get<int64_t>();
        logits = logits || node["node"] == "logits";
      }
      EXPECT_EQ(row["calls"], calls);
    }
    EXPECT_NEAR(share, 1, 1e-6);
    EXPECT_TRUE(logits);
  }
}

TEST(Bench, TheFastOrderIsComparedWithThatOfRows) {
  const std::vector<std::string> cases = {"--prefill", "64", "--depth", "0", "--batch", "1", "--steps", "4"};
  EXPECT_FALSE(BenchJson(cases)["results"][0].contains("row_order_tokens_per_s"));
  std::vector<std::string> fast = cases;
  fast.push_back("--fast-math-order");
  const Json json = BenchJson(fast);
  ASSERT_EQ(json["results"].size(), 2u);
  for (const Json& result : json["results"]) {
    EXPECT_GT(result["row_order_tokens_per_s"], 0);
    const double times =
        result["tokens_per_s"].get<double>() / result["row_order_tokens_per_s"].get<double>();
    EXPECT_NEAR(result["times_row_order"].get<double>(), times, 1e-9 * times);
  }
  fast.insert(fast.begin(), {"bench", DemoModel(), "--stream", "64MB", "--repeat", "1"});
  const Finished finished = Infer(fast);
  EXPECT_EQ(finished.exit, 0) << finished.err;
  EXPECT_THAT(finished.out, HasSubstr("row-invariant  fast order  times"));
}

TEST(Bench, PrintsATableAndWhatItSkipped) {
  const Finished finished =
      Infer({"bench", DemoModel(), "--prefill", "16,4096", "--depth", "0,2048", "--batch", "1", "--steps",
             "2", "--repeat", "1", "--stream", "64MB", "--profile"});
  ASSERT_EQ(finished.exit, 0) << finished.err;
  for (const char* says :
       {"limits", "GB/s", "64 MiB", "first token", "VmHWM", "RssAnon", "tokens/s", "prefill 16",
        "decode depth 0 batch 1", "skipped prefill 4096", "skipped decode depth 2048 batch 1",
        "context of 2048", "cpu_linear", "of roofline", "layers.*."}) {
    EXPECT_THAT(finished.out, HasSubstr(says));
  }
}

TEST(Bench, ABackendWithoutLimitsHasNoShares) {
  const Json json = BenchJson({"--backend", "reference", "--prefill", "4", "--depth", "none"});
  EXPECT_EQ(json["limits"], Json::object());
  ASSERT_EQ(json["results"].size(), 1u);
  EXPECT_TRUE(json["results"][0]["roofline_share"].is_null());
  EXPECT_GT(json["results"][0]["tokens_per_s"], 0);
}

TEST(Bench, WrongOptionsAreUsageErrors) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"--prefill", "1,x"}, "--prefill: \"x\""},
      {{"--prefill", "0"}, "--prefill: \"0\""},
      {{"--prefill", "16,"}, "--prefill: \"\""},
      {{"--depth", "-1"}, "--depth"},
      {{"--batch", "1,99999"}, "--batch: \"99999\""},
      {{"--prefill", "none", "--depth", "none"}, "nothing to measure"},
      {{"--prefill", "100000", "--depth", "none"}, "nothing that was asked for fits"},
      {{"--repeat", "0"}, "--repeat"},
      {{"--ctx", "100000"}, "--ctx"}};
  for (const auto& [options, says] : wrong) {
    std::vector<std::string> args = {"bench", DemoModel(), "--stream", "2MB"};
    args.insert(args.end(), options.begin(), options.end());
    const Finished finished = Infer(args);
    EXPECT_EQ(finished.exit, 2) << finished.err;
    EXPECT_THAT(finished.err, HasSubstr(says));
    EXPECT_EQ(finished.out, "");
  }
  EXPECT_EQ(Infer({"bench", DemoModel() + "/nowhere"}).exit, 3);
}

TEST(Run, ProfilesPromptAndAnswerApart) {
  const Finished text =
      Infer({"run", DemoModel(), "--temp", "0", "--max-tokens", "3", "--profile", "SQLite is a"});
  ASSERT_EQ(text.exit, 0) << text.err;
  EXPECT_THAT(text.out, Not(HasSubstr("kernel")));
  for (const char* says : {"reading the prompt", "decoding", "cpu_linear", "limits: reads"}) {
    EXPECT_THAT(text.err, HasSubstr(says));
  }
  const Finished finished =
      Infer({"run", DemoModel(), "--temp", "0", "--max-tokens", "3", "--profile", "--json", "SQLite is a"});
  const Json json = Json::parse(finished.out, nullptr, false);
  const auto calls = [&](const char* phase) {
    for (const Json& row : json["profile"][phase]) {
      if (row["operation"] == "embedding") return row["calls"].get<int>();
    }
    return 0;
  };
  EXPECT_EQ(calls("prefill"), 1);
  EXPECT_EQ(calls("decode"), 2);
}

// ---- the parts ----

TEST(BenchCases, ListsKeepTheirOrderAndHoldNothingTwice) {
  const auto list = ParseList("--depth", "8, 0,8,3", 0, 10);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(*list, ElementsAre(8, 0, 3));
  EXPECT_TRUE(ParseList("--depth", "none", 0, 10)->empty());
  for (const char* bad : {"", "1;2", "11", "-1", "1e3", "9999999999999999999"}) {
    EXPECT_FALSE(ParseList("--depth", bad, 0, 10).ok()) << bad;
  }
}

TEST(BenchCases, WhatDoesNotFitTheMemoryIsSkipped) {
  BenchLists lists{.prefill = {512}, .depth = {0, 4096}, .batch = {1, 8, 32}, .steps = 16};
  const BenchRoom room{.context = 8192, .cache_bytes_per_token = 1000, .cache_bytes = 60'000'000};
  const BenchPlan plan = PlanBench(lists, room);
  ASSERT_EQ(plan.cases.size(), 6u);  // all but 32 sequences of 4096
  ASSERT_EQ(plan.skipped.size(), 1u);
  EXPECT_EQ(NameOf(plan.skipped[0].what), "decode depth 4096 batch 32");
  EXPECT_THAT(plan.skipped[0].why, HasSubstr("60.0 MB"));
  EXPECT_EQ(plan.sequences, 32);
  EXPECT_EQ(plan.context, 4096 + 16);
  EXPECT_EQ(plan.depth.size(), 32u);
  EXPECT_EQ(plan.depth[7], 4096);
  EXPECT_EQ(plan.depth[8], 0);
  EXPECT_LE(plan.cache_tokens, 60'000);
  EXPECT_GE(plan.cache_tokens, 8 * 4096 + 32 * 16);
}

TEST(Limits, ARooflineIsTheSlowerOfBytesAndArithmetic) {
  Limits limits;
  limits.read = 10;
  limits.peak = {100, 200, 400};
  EXPECT_DOUBLE_EQ(RooflineSeconds(limits, {.flops = {0, 400, 0}, .bytes = 5}), 2);
  EXPECT_DOUBLE_EQ(RooflineSeconds(limits, {.flops = {0, 400, 0}, .bytes = 50}), 5);
  EXPECT_DOUBLE_EQ(RooflineSeconds(limits, {.flops = {100, 200, 400}, .bytes = 0}), 3)
      << "one after the other";
  EXPECT_TRUE(BoundByReads(limits, {.flops = {0, 400, 0}, .bytes = 50}));
  EXPECT_FALSE(BoundByReads(limits, {.flops = {0, 400, 0}, .bytes = 5}));
  Limits better = limits;
  better.read = 12;
  better.peak = {90, 210, 400};
  TakeBetter(limits, better);
  EXPECT_EQ(limits.read, 12);
  EXPECT_THAT(limits.peak, ElementsAre(100, 210, 400));
}

TEST(Profile, SumsByKernelAndPlace) {
  Limits limits;
  limits.read = 100;
  limits.peak = {1000, 2000, 4000};
  Profile profile;
  EXPECT_TRUE(profile.empty());
  const auto add = [&](const char* node, const char* kernel, double seconds) {
    profile.Add({.operation = "linear",
                 .node = node,
                 .kernel = kernel,
                 .seconds = seconds,
                 .flops = 2000,
                 .bytes = 10,
                 .arithmetic = "bf16"},
                limits);
  };
  add("layers.0.o", "fast", 2);
  add("layers.17.o", "fast", 2);
  add("logits", "slow", 6);
  EXPECT_DOUBLE_EQ(profile.seconds(), 10);
  const OrderedJson json = profile.ToJson();
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[0]["kernel"], "slow");
  EXPECT_DOUBLE_EQ(json[0]["share"], 0.6);
  EXPECT_EQ(json[1]["calls"], 2);
  EXPECT_DOUBLE_EQ(json[1]["gflop_per_s"], 1e-6);
  EXPECT_DOUBLE_EQ(json[1]["roofline_share"], 0.5) << "two seconds at the bf16 peak, of four";
  ASSERT_EQ(json[1]["nodes"].size(), 1u);
  EXPECT_EQ(json[1]["nodes"][0]["node"], "layers.*.o");
}

TEST(MemoryUse, ThePeakCanStartAgain) {
  {
    std::vector<char> large(256 << 20, 1);
    EXPECT_GT(ReadMemoryUse().peak, 256 << 20);
    EXPECT_GT(ReadMemoryUse().anonymous, 256 << 20);
    EXPECT_NE(large[12345], 0);
  }
  if (ResetPeakMemory()) {
    EXPECT_LT(ReadMemoryUse().peak, 200 << 20);
  }
}

}  // namespace
}  // namespace qiao::tools
