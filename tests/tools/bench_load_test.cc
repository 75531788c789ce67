// infer bench --requests, as a user would run it, on the shipped model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "runtime/base/json.h"
#include "tests/tools/infer_process.h"
#include "tests/tools/xml.h"

namespace qiao::tools {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> Load(const std::vector<std::string>& options) {
  std::vector<std::string> args = {"bench", DemoModel(), "--requests", "20", "--load", "map"};
  args.insert(args.end(), options.begin(), options.end());
  return args;
}

Json LoadJson(std::vector<std::string> options) {
  options.push_back("--json");
  const Finished finished = Infer(Load(options));
  EXPECT_EQ(finished.exit, 0) << finished.err;
  return Json::parse(finished.out, nullptr, false);
}

TEST(BenchLoad, ReportsEveryRequestAsJson) {
  const Json json = LoadJson({"--rate", "400", "--prompt-tokens", "uniform:4:20", "--output-tokens", "12",
                              "--sequences", "3", "--slo-ttft", "100000", "--slo-tpot", "100000"});
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["finished"], 20);
  EXPECT_EQ(json["failed"], 0);
  EXPECT_EQ(json["interrupted"], false);
  EXPECT_EQ(json["output_tokens"], 20 * 12);
  EXPECT_EQ(json["serving"]["sequences"], 3);
  EXPECT_EQ(json["workload"]["rate_per_s"], 400);
  EXPECT_EQ(json["slo"]["met"], 20);
  EXPECT_TRUE(json["errors"].empty());
  EXPECT_LE(json["running_max"], 3);
  const double seconds = json["seconds"];
  EXPECT_NEAR(json["requests_per_s"].get<double>() * seconds, 20, 1e-6);
  EXPECT_NEAR(json["output_tokens_per_s"].get<double>() * seconds, 240, 1e-6);
  EXPECT_NEAR(json["slo"]["goodput_requests_per_s"].get<double>() * seconds, 20, 1e-6);
  for (const char* times : {"queue_ms", "ttft_ms", "tpot_ms", "gap_ms", "end_to_end_ms"}) {
    EXPECT_GT(json[times]["count"], 0) << times;
    EXPECT_LE(json[times]["p50"], json[times]["p90"]) << times;
    EXPECT_LE(json[times]["p90"], json[times]["p99"]) << times;
    EXPECT_LE(json[times]["p99"], json[times]["max"]) << times;
  }
  EXPECT_EQ(json["gap_ms"]["count"], 20 * 11);

  ASSERT_EQ(json["requests"].size(), 20u);
  int64_t prompts = 0;
  double due = 0;
  for (const Json& request : json["requests"]) {
    prompts += request["prompt_tokens"].get<int64_t>();
    EXPECT_GE(request["prompt_tokens"], 4);
    EXPECT_LE(request["prompt_tokens"], 20);
    EXPECT_EQ(request["output_tokens"], 12);
    EXPECT_GE(request["due_seconds"], due);
    due = request["due_seconds"];
    EXPECT_GE(request["ttft_ms"], request["queue_ms"]);
    EXPECT_GE(request["end_to_end_ms"], request["ttft_ms"]);
  }
  EXPECT_EQ(json["prompt_tokens"], prompts);
  const Json& samples = json["samples"];
  EXPECT_GE(samples["seconds"].size(), 2u);
  EXPECT_EQ(samples["running"].size(), samples["seconds"].size());
  EXPECT_EQ(samples["output_tokens"].back(), 20 * 12) << "the warming up is not counted";
}

TEST(BenchLoad, TwoRunsAskForTheSame) {
  const std::vector<std::string> options = {
      "--prompt-tokens", "lognormal:10:0.7:30", "--output-tokens", "uniform:1:4", "--rate", "2000"};
  std::vector<std::string> other = options;
  other.insert(other.end(), {"--seed", "2"});
  const auto asked = [](const Json& json) {
    std::vector<std::pair<int64_t, int64_t>> all;
    for (const Json& r : json["requests"]) all.emplace_back(r["prompt_tokens"], r["output_tokens"]);
    return all;
  };
  const auto first = asked(LoadJson(options));
  EXPECT_EQ(first, asked(LoadJson(options)));
  EXPECT_NE(first, asked(LoadJson(other)));
}

TEST(BenchLoad, ASharedPrefixIsReadOnceAndKept) {
  const std::vector<std::string> options = {"--prompt-tokens", "3",   "--output-tokens", "2",
                                            "--shared-prefix", "128", "--sequences",     "1"};
  const int64_t cached = LoadJson(options)["cached_tokens"];
  EXPECT_GE(cached, 19 * 64);
  EXPECT_LE(cached, 19 * 128);
  std::vector<std::string> without = options;
  without.push_back("--no-prefix-cache");
  EXPECT_EQ(LoadJson(without)["cached_tokens"], 0);
}

TEST(BenchLoad, ReadsOffWhatAFullBatchDecodes) {
  const Json json = LoadJson({"--sequences", "20", "--prompt-tokens", "8", "--output-tokens", "24"});
  const Json& steady = json["steady_decode"];
  ASSERT_TRUE(steady.is_object()) << json.dump();
  EXPECT_EQ(steady["sequences"], 20);
  EXPECT_GT(steady["tokens_per_s"], 0);
  EXPECT_LE(steady["tokens"], 20 * 23);
  EXPECT_GE(steady["tokens"], 20 * 10);
  EXPECT_GE(steady["depth_mean"], 8);
  EXPECT_LE(steady["depth_mean"], 32);
}

TEST(BenchLoad, PrintsTablesAndDrawsThem) {
  const std::string folder = Scratch(), plot = folder + "/load.svg";
  WriteText(plot, "what was there before");
  const Finished finished =
      Infer(Load({"--rate", "500", "--output-tokens", "4", "--slo-ttft", "0.0001", "--plot", plot}));
  ASSERT_EQ(finished.exit, 0) << finished.err;
  for (const char* says :
       {"20 of 20 requests finished", "500 a second", "requests/s", "first token (TTFT)", "(TPOT)", "p99",
        "end to end", "goodput", "0.00 requests/s: 0 of 20", "decoding", "running on average", "prefixes"}) {
    EXPECT_THAT(finished.out, HasSubstr(says));
  }
  const std::string svg = ReadText(plot);
  EXPECT_EQ(XmlError(svg), "");
  for (const char* says : {"running", "waiting", "Tokens a second", "milliseconds", "seconds from the start",
                           "first token at most", "<circle", "prefers-color-scheme: dark"}) {
    EXPECT_THAT(svg, HasSubstr(says));
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    EXPECT_EQ(entry.path().filename(), "load.svg") << "nothing else is left";

  const Finished nowhere = Infer(Load({"--output-tokens", "1", "--plot", folder + "/no/load.svg"}));
  EXPECT_EQ(nowhere.exit, 1);
  EXPECT_THAT(nowhere.err, HasSubstr("no/load.svg"));
  EXPECT_THAT(nowhere.out, HasSubstr("20 of 20")) << "the run is not lost";
}

TEST(BenchLoad, WhatDoesNotFitTheCacheIsPreempted) {
  const Json json = LoadJson({"--sequences", "8", "--prompt-tokens", "16", "--output-tokens", "40",
                              "--page-tokens", "16", "--cache-tokens", "192", "--no-prefix-cache"});
  EXPECT_EQ(json["finished"], 20);
  EXPECT_EQ(json["output_tokens"], 20 * 40);
  EXPECT_GT(json["preemptions"], 0);
}

TEST(BenchLoad, FailuresAreCountedByText) {
  const Finished finished = Infer(Load({"--prompt-tokens", "uniform:8:200", "--output-tokens", "2",
                                        "--page-tokens", "16", "--cache-tokens", "64", "--json"}));
  EXPECT_EQ(finished.exit, 1);
  EXPECT_THAT(finished.err, HasSubstr("requests failed"));
  const Json json = Json::parse(finished.out, nullptr, false);
  EXPECT_GT(json["failed"], 0);
  EXPECT_GT(json["finished"], 0);
  EXPECT_EQ(json["failed"].get<int>() + json["finished"].get<int>(), 20);
  int64_t errors = 0;
  for (const auto& [text, count] : json["errors"].items()) {
    EXPECT_THAT(text, HasSubstr("cache"));
    errors += count.get<int64_t>();
  }
  EXPECT_EQ(errors, json["failed"]);
}

TEST(BenchLoad, WrongOptionsAreUsageErrors) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"--rate", "fast"}, "--rate: \"fast\""},
      {{"--prompt-tokens", "uniform:9:3"}, "--prompt-tokens: \"uniform:9:3\""},
      {{"--output-tokens", "0"}, "--output-tokens: \"0\""},
      {{"--shared-prefix", "5:0"}, "--shared-prefix: \"5:0\""},
      {{"--prompt-tokens", "4000"}, "context is 2048"},
      {{"--sequences", "0"}, "--sequences"},
      {{"--ctx", "100000"}, "--ctx"},
      {{"--depth", "0"}, "--requests excludes --depth"}};
  for (const auto& [options, says] : wrong) {
    const Finished finished = Infer(Load(options));
    EXPECT_EQ(finished.exit, 2) << finished.err;
    EXPECT_THAT(finished.err, HasSubstr(says));
    EXPECT_THAT(finished.err, HasSubstr("hint:"));
    EXPECT_EQ(finished.out, "");
  }
  const Finished alone = Infer({"bench", DemoModel(), "--rate", "3"});
  EXPECT_EQ(alone.exit, 2);
  EXPECT_THAT(alone.err, HasSubstr("--rate requires --requests"));
  EXPECT_EQ(Infer({"bench", DemoModel() + "/nowhere", "--requests", "1"}).exit, 3);
}

}  // namespace
}  // namespace qiao::tools
