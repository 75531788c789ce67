// The parts of a load: what is drawn, when it comes, what is measured, and the drawing of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "tests/tools/xml.h"
#include "tools/infer/exit.h"
#include "tools/infer/load/driver.h"
#include "tools/infer/load/measures.h"
#include "tools/infer/load/plot.h"
#include "tools/infer/load/svg.h"
#include "tools/infer/load/workload.h"

namespace qiao::tools {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pointwise;

constexpr uint64_t kSeed = 20261127;

double MeanOf(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::vector<double> Draws(const std::string& text, int count) {
  const auto lengths = Lengths::Parse("--prompt-tokens", text);
  EXPECT_TRUE(lengths.ok()) << lengths.status();
  Random random(kSeed, 0);
  std::vector<double> draws;
  for (int i = 0; i < count; ++i) draws.push_back(static_cast<double>(lengths->Draw(random)));
  std::sort(draws.begin(), draws.end());
  return draws;
}

WorkloadPlan PlanOf(int64_t requests, const std::string& prompt, const std::string& output) {
  WorkloadPlan plan;
  plan.requests = requests;
  plan.prompt = *Lengths::Parse("", prompt);
  plan.output = *Lengths::Parse("", output);
  plan.seed = kSeed;
  return plan;
}

TEST(Lengths, AreDistributedAsAsked) {
  const std::vector<double> fixed = Draws("128", 10);
  EXPECT_EQ(fixed.front(), 128);
  EXPECT_EQ(fixed.back(), 128);

  const std::vector<double> uniform = Draws("uniform:16:19", 40'000);
  EXPECT_EQ(uniform.front(), 16);
  EXPECT_EQ(uniform.back(), 19);
  for (const double value : {16, 17, 18, 19}) {
    // A deviation of a count of 10,000 is 87.
    EXPECT_NEAR(static_cast<double>(std::count(uniform.begin(), uniform.end(), value)), 10'000, 400) << value;
  }

  // Of a log-normal the logarithm is normal: its mean is the median's logarithm, its deviation sigma, and
  // 15.87 % lie below one deviation.
  const std::vector<double> wide = Draws("lognormal:1000:0.5", 40'000);
  std::vector<double> logs;
  for (const double value : wide) logs.push_back(std::log(value / 1000));
  std::vector<double> squares;
  for (const double value : logs) squares.push_back(value * value);
  EXPECT_NEAR(MeanOf(logs), 0, 0.015);
  EXPECT_NEAR(std::sqrt(MeanOf(squares)), 0.5, 0.01);
  EXPECT_NEAR(Percentile(logs, 15.87), -0.5, 0.02);
  EXPECT_NEAR(Percentile(logs, 97.72), 1, 0.05);

  const std::vector<double> limited = Draws("lognormal:2:3:50", 1'000);
  EXPECT_EQ(limited.front(), 1);
  EXPECT_EQ(limited.back(), 50);
}

TEST(Lengths, ErrorsNameTheOptionAndSayWhatIsAccepted) {
  for (const char* bad : {"",
                          "0",
                          "-3",
                          "1.5",
                          "many",
                          "99999999999",
                          "uniform",
                          "uniform:4",
                          "uniform:9:3",
                          "uniform:0:3",
                          "uniform:1:2:3",
                          "lognormal:100",
                          "lognormal:0:1",
                          "lognormal:100:-1",
                          "lognormal:100:nan",
                          "lognormal:inf:1",
                          "lognormal:100:1:0",
                          "lognormal:100:1:2:3",
                          "normal:3:1",
                          "128:5"}) {
    const auto lengths = Lengths::Parse("--output-tokens", bad);
    ASSERT_FALSE(lengths.ok()) << bad;
    EXPECT_EQ(ExitOf(lengths.status()), kExitUsage) << bad;
    EXPECT_THAT(std::string(Message(lengths.status())), HasSubstr("--output-tokens")) << bad;
    EXPECT_THAT(HintOf(lengths.status()), HasSubstr("uniform:16:512")) << bad;
  }
  for (const char* bad : {"", "-1", "fast", "nan", "1/s"}) {
    const auto rate = ParseRate("--rate", bad);
    ASSERT_FALSE(rate.ok()) << bad;
    EXPECT_THAT(HintOf(rate.status()), HasSubstr("inf")) << bad;
  }
  for (const char* bad : {"x", "-1", "5:0", "5:", "1:2:3"}) {
    const auto prefix = ParseSharedPrefix("--shared-prefix", bad);
    ASSERT_FALSE(prefix.ok()) << bad;
    EXPECT_THAT(HintOf(prefix.status()), HasSubstr("512:4")) << bad;
  }
  EXPECT_EQ(*ParseRate("--rate", "inf"), kAllAtOnce);
  EXPECT_EQ(*ParseRate("--rate", "0"), kAllAtOnce);
  EXPECT_EQ(*ParseRate("--rate", "2.5"), 2.5);
}

// In a Poisson process the gaps are exponential (their deviation is their mean, 1 - 1/e of them are below it),
// and so are as many requests as seconds allow, with the variance of a count its mean.
TEST(ArrivalTimes, AreAPoissonProcess) {
  constexpr double kRate = 5;
  const std::vector<double> times = ArrivalTimes(kRate, 50'000, kSeed);
  ASSERT_TRUE(std::is_sorted(times.begin(), times.end()));
  std::vector<double> gaps = {times[0]};
  for (size_t i = 1; i < times.size(); ++i) gaps.push_back(times[i] - times[i - 1]);
  const double mean = MeanOf(gaps);
  EXPECT_NEAR(mean, 1 / kRate, 0.004);
  std::vector<double> squares;
  for (const double gap : gaps) squares.push_back((gap - mean) * (gap - mean));
  EXPECT_NEAR(std::sqrt(MeanOf(squares)), 1 / kRate, 0.006);
  const auto below = std::count_if(gaps.begin(), gaps.end(), [&](double gap) { return gap < 1 / kRate; });
  EXPECT_NEAR(static_cast<double>(below) / 50'000, 1 - std::exp(-1), 0.01);

  std::vector<double> counts(static_cast<size_t>(times.back()));
  for (const double time : times) {
    if (time < static_cast<double>(counts.size())) ++counts[static_cast<size_t>(time)];
  }
  const double count = MeanOf(counts);
  std::vector<double> spread;
  for (const double c : counts) spread.push_back((c - count) * (c - count));
  EXPECT_NEAR(MeanOf(spread) / count, 1, 0.05);

  EXPECT_EQ(ArrivalTimes(kAllAtOnce, 3, kSeed), std::vector<double>(3, 0.0));
}

TEST(Workload, IsTheSameForASeedAndLengthsDoNotDependOnTheRate) {
  WorkloadPlan plan = PlanOf(50, "uniform:3:40", "lognormal:20:1");
  const Workload a = *DrawWorkload(plan, 1000, 4096), b = *DrawWorkload(plan, 1000, 4096);
  plan.rate = 3;
  const Workload timed = *DrawWorkload(plan, 1000, 4096);
  plan.seed = kSeed + 1;
  const Workload other = *DrawWorkload(plan, 1000, 4096);
  for (size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(a.requests[i].ids, b.requests[i].ids);
    EXPECT_EQ(a.requests[i].ids, timed.requests[i].ids);
    EXPECT_EQ(a.requests[i].max_tokens, timed.requests[i].max_tokens);
    EXPECT_GT(timed.requests[i].at, a.requests[i].at);
    for (const PlannedRequest& request : other.requests) EXPECT_NE(a.requests[i].ids, request.ids);
    for (const int32_t id : a.requests[i].ids) EXPECT_TRUE(id >= 0 && id < 1000) << id;
  }
}

TEST(Workload, GroupsShareTheirFirstTokensOnly) {
  WorkloadPlan plan = PlanOf(60, "8", "4");
  plan.prefix = *ParseSharedPrefix("", "16:3");
  const Workload workload = *DrawWorkload(plan, 50'000, 4096);
  std::set<std::vector<int32_t>> prefixes, rests;
  for (const PlannedRequest& request : workload.requests) {
    ASSERT_EQ(request.ids.size(), 24u);
    prefixes.emplace(request.ids.begin(), request.ids.begin() + 16);
    rests.emplace(request.ids.begin() + 16, request.ids.end());
  }
  EXPECT_EQ(prefixes.size(), 3u);
  EXPECT_EQ(rests.size(), 60u);
}

TEST(Workload, WhatIsTooLongIsCutAndCounted) {
  WorkloadPlan plan = PlanOf(100, "uniform:1:100", "40");
  plan.prefix.tokens = 10;
  const Workload workload = *DrawWorkload(plan, 100, 100);
  EXPECT_GT(workload.shortened, 20);  // those of more than 50 tokens
  EXPECT_LT(workload.shortened, 80);
  EXPECT_EQ(workload.Longest(), 100);
  for (const PlannedRequest& request : workload.requests) EXPECT_EQ(request.max_tokens, 40);

  const auto never = DrawWorkload(PlanOf(1, "70", "31"), 100, 100);
  ASSERT_FALSE(never.ok());
  EXPECT_EQ(ExitOf(never.status()), kExitUsage);
  EXPECT_THAT(std::string(Message(never.status())), HasSubstr("101 tokens"));
  EXPECT_THAT(HintOf(never.status()), HasSubstr("--ctx"));
}

TEST(Workload, TheCacheHasRoomForTheLongest) {
  Workload workload;
  for (const int64_t tokens : {5, 100, 30}) {
    workload.requests.push_back({.at = 0, .ids = std::vector<int32_t>(10), .max_tokens = tokens});
  }
  EXPECT_EQ(workload.CacheTokens(2, 16), 112 + 48);
  EXPECT_EQ(workload.CacheTokens(9, 16), 112 + 48 + 16);
}

// The k-th of n sorted values is the percentile 100 * k / (n - 1); between them it rises evenly.
TEST(Statistics, PercentilesAreThoseOfTheSortedValues) {
  Random random(kSeed, 1);
  std::vector<double> values;
  for (int i = 0; i < 101; ++i) values.push_back(random.Normal());
  const Percentiles p = PercentilesOf(values);
  std::sort(values.begin(), values.end());
  for (int k = 0; k <= 100; ++k) {
    EXPECT_NEAR(Percentile(values, k), values[static_cast<size_t>(k)], 1e-12);
    if (k < 100) {
      const auto at = static_cast<size_t>(k);
      EXPECT_NEAR(Percentile(values, k + 0.25), 0.75 * values[at] + 0.25 * values[at + 1], 1e-12);
    }
  }
  EXPECT_EQ(p.count, 101);
  EXPECT_NEAR(p.mean, MeanOf(values), 1e-12);
  EXPECT_NEAR(p.p50, values[50], 1e-12);
  EXPECT_NEAR(p.p90, values[90], 1e-12);
  EXPECT_NEAR(p.p99, values[99], 1e-12);
  EXPECT_EQ(p.most, values[100]);
  EXPECT_EQ(PercentilesOf({3}).p99, 3);
  EXPECT_EQ(PercentilesOf({}).count, 0);
}

// ---- measures of runs made by hand; the start is at 100 s of the clock ----

Clock::time_point At(double seconds) { return Clock::time_point() + FromSeconds(100 + seconds); }

RequestRecord Finished(double due, double queue, std::vector<double> tokens) {
  RequestRecord r;
  r.due = r.sent = At(due);
  r.queue_seconds = queue;
  for (const double token : tokens) r.tokens.push_back(At(token));
  r.ended = r.tokens.back();
  r.prompt_tokens = 10;
  r.asked_tokens = static_cast<int64_t>(tokens.size());
  r.outcome = RequestRecord::Outcome::kFinished;
  return r;
}

LoadRun RunOf(std::vector<RequestRecord> records, double seconds) {
  LoadRun run;
  run.start = At(0);
  run.seconds = seconds;
  run.records = std::move(records);
  return run;
}

TEST(Measures, LatenciesCountFromWhenARequestWasDue) {
  RequestRecord late = Finished(1, 0.25, {2, 2.5, 4});
  late.sent = At(1.5);
  RequestRecord one = Finished(0, 0, {1});
  RequestRecord failed = Finished(0, 0, {9});
  failed.outcome = RequestRecord::Outcome::kFailed;
  failed.error = "no";
  const LoadRun run = RunOf({late, one, failed, RequestRecord()}, 10);
  const Measures m = Measure(run, 4, {.first_token = 1, .per_token = 0.5});
  EXPECT_EQ(m.asked, 4);
  EXPECT_EQ(m.sent, 3);
  EXPECT_EQ(m.finished, 2);
  EXPECT_EQ(m.failed, 1);
  EXPECT_EQ(m.output_tokens, 5);
  EXPECT_EQ(m.prompt_tokens, 30);
  EXPECT_NEAR(m.queue.most, 0.75, 1e-6);
  EXPECT_NEAR(m.first_token.mean, 1, 1e-6);
  EXPECT_EQ(m.per_token.count, 1);
  EXPECT_NEAR(m.per_token.mean, 1, 1e-6);
  EXPECT_NEAR(m.gap.most, 1.5, 1e-6);
  EXPECT_NEAR(m.end_to_end.most, 3, 1e-6);
  EXPECT_NEAR(m.late.most, 0.5, 1e-6);
  EXPECT_EQ(m.met, 1) << "the one without a second token";
  EXPECT_EQ(m.errors, (std::map<std::string, int64_t>{{"no", 1}}));
  EXPECT_EQ(m.PerSecond(m.finished), 0.2);
  EXPECT_FALSE(Measure(run, 4, {}).met.has_value());
}

// Two decode at once from 2 s to 5 s; within, a third one's prompt is read from 3.5 s to 4 s. What is left are
// 2..3.5 (a token each half a second) and nothing after it, because from 4 s on they are three.
TEST(Measures, SteadyDecodeIsWhereAllDecodeAndNobodyReads) {
  const RequestRecord a = Finished(0, 0, {1, 1.5, 2, 2.5, 3, 3.5, 4.25, 5});
  const RequestRecord b = Finished(1, 0, {2, 2.5, 3, 3.5, 4.25, 5});
  const RequestRecord c = Finished(3, 0.5, {4.25, 5});
  const auto steady = MeasureSteadyDecode(RunOf({a, b, c}, 5), 2);
  ASSERT_TRUE(steady.has_value());
  EXPECT_EQ(steady->tokens, 6);
  EXPECT_NEAR(steady->seconds, 1.5, 1e-6);
  EXPECT_NEAR(steady->tokens_per_second(), 4, 1e-6);
  // a's third to fifth token follow 12, 13 and 14 others, b's second to fourth 10, 11 and 12.
  EXPECT_NEAR(steady->depth, 12, 1e-6);
  const auto three = MeasureSteadyDecode(RunOf({a, b, c}, 5), 3);
  ASSERT_TRUE(three.has_value());
  EXPECT_NEAR(three->tokens_per_second(), 4, 1e-6);
  EXPECT_FALSE(MeasureSteadyDecode(RunOf({a, b, c}, 5), 4).has_value());
  // Nobody knows when one that was preempted reads again.
  RequestRecord preempted = c;
  preempted.preemptions = 1;
  EXPECT_FALSE(MeasureSteadyDecode(RunOf({a, b, preempted}, 5), 3).has_value());
}

TEST(Measures, RatesOverTimeHoldEveryToken) {
  LoadRun run = RunOf({Finished(0, 0, {0.5, 1.5, 1.6, 4})}, 4);
  run.samples = {{0, {}}, {1.5, {}}, {2.5, {}}};
  run.samples[1].state.prompt_tokens = run.samples[2].state.prompt_tokens = 30;
  const Series series = TokenRates(run, 4);
  EXPECT_THAT(series.output, ElementsAre(1, 2, 0, 1));
  EXPECT_THAT(series.prompt, Pointwise(DoubleNear(1e-9), {20.0, 10.0, 0.0, 0.0}));
}

// ---- driving a client that is none ----

// Answers at once, refuses the third, or holds everything until it is cancelled.
class FakeClient : public LoadClient {
 public:
  explicit FakeClient(bool hold) : hold_(hold) {}
  absl::Status Send(const PlannedRequest& request, RequestRecord& record, EndCount& ends) override {
    order.push_back(request.ids.at(0));
    if (order.size() == 3) return ResourceExhausted("full");
    if (hold_) {
      held_.emplace_back(&record, &ends);
      return absl::OkStatus();
    }
    record.tokens.push_back(Clock::now());
    End(record, RequestRecord::Outcome::kFinished, ends);
    return absl::OkStatus();
  }
  void CancelAll() override {
    for (const auto& [record, ends] : held_) End(*record, RequestRecord::Outcome::kCancelled, *ends);
  }
  std::optional<ServerState> State() override { return std::nullopt; }

  std::vector<int32_t> order;

 private:
  static void End(RequestRecord& record, RequestRecord::Outcome outcome, EndCount& ends) {
    record.outcome = outcome;
    record.ended = Clock::now();
    ends.Add();
  }
  bool hold_;
  std::vector<std::pair<RequestRecord*, EndCount*>> held_;
};

Workload FiveRequests(double apart) {
  Workload workload;
  for (int32_t i = 0; i < 5; ++i)
    workload.requests.push_back({.at = apart * i, .ids = {i, 7}, .max_tokens = 1});
  return workload;
}

TEST(Drive, SendsEachWhenItIsDueAndCountsRefusals) {
  FakeClient client(/*hold=*/false);
  const LoadRun run = Drive(client, FiveRequests(0.01), [](uint64_t, uint64_t total) { return total == 5; });
  EXPECT_THAT(client.order, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_FALSE(run.interrupted);
  EXPECT_TRUE(run.samples.empty());
  for (size_t i = 0; i < 5; ++i) {
    const RequestRecord& r = run.records[i];
    EXPECT_NEAR(Seconds(r.due - run.start), 0.01 * static_cast<double>(i), 1e-6);
    EXPECT_GE(r.sent, r.due);
    EXPECT_EQ(r.prompt_tokens, 2);
    EXPECT_EQ(r.outcome, i == 2 ? RequestRecord::Outcome::kFailed : RequestRecord::Outcome::kFinished);
  }
  EXPECT_EQ(run.records[2].error, "full");
  EXPECT_GE(run.seconds, 0.04);
}

TEST(Drive, StopsWhenItIsToldTo) {
  FakeClient client(/*hold=*/true);
  int calls = 0;
  // Two are sent at once, the others would come in an hour.
  Workload workload = FiveRequests(0);
  for (size_t i = 2; i < 5; ++i) workload.requests[i].at = 3600;
  const LoadRun run = Drive(client, workload, [&](uint64_t, uint64_t) { return ++calls < 3; });
  EXPECT_TRUE(run.interrupted);
  const Measures m = Measure(run, 4, {});
  EXPECT_EQ(m.asked, 5);
  EXPECT_EQ(m.sent, 2);
  EXPECT_EQ(m.cancelled, 2);
  EXPECT_EQ(m.finished, 0);
  EXPECT_EQ(m.end_to_end.count, 0);
}

TEST(Svg, TicksAreRoundAndHoldTheValues) {
  EXPECT_THAT(LinearTicks(8, 4), ElementsAre(0, 2, 4, 6, 8));
  EXPECT_THAT(LinearTicks(0.3, 3), Pointwise(DoubleNear(1e-12), {0.0, 0.1, 0.2, 0.3}));
  EXPECT_THAT(LinearTicks(700, 4), ElementsAre(0, 200, 400, 600, 800));
  EXPECT_THAT(LogTicks(3, 250), Pointwise(DoubleNear(1e-9), {1.0, 10.0, 100.0, 1000.0}));
  EXPECT_THAT(LogTicks(10, 10), Pointwise(DoubleNear(1e-9), {10.0, 100.0}));
}

TEST(Svg, IsWellFormedWhateverItIsCalled) {
  LoadRun run = RunOf({Finished(0, 0, {0.5, 1}), Finished(0.1, 0, {1})}, 1);
  run.samples = {{0, {}}, {1, {}}};
  for (const LoadRun& each : {run, RunOf({}, 0)}) {
    const std::string svg = ToSvg(PlotOf(each, {.first_token = 1}, "a<b> & \"c\"\x01\x1b[2J", "subtitle"));
    EXPECT_EQ(XmlError(svg), "") << svg;
    EXPECT_THAT(svg, HasSubstr("a&lt;b&gt; &amp; &quot;c&quot;"));
  }
  EXPECT_NE(XmlError("<a><b></a></b>"), "");
  EXPECT_NE(XmlError("<a>&nbsp</a>"), "");
  EXPECT_NE(XmlError("<a b=c/>"), "");
}

TEST(Svg, ManyDotsAreThinnedOut) {
  SvgSeries dots{.name = "dots", .mark = SvgSeries::kDots, .colour = 0, .points = {}};
  for (int i = 0; i < 10'000; ++i) dots.points.emplace_back(i, i);
  SvgPanel panel{.title = "panel", .logarithmic = true, .series = {dots}, .limits = {}};
  const std::string svg =
      ToSvg({.title = "t", .subtitle = "s", .x_title = "x", .x_most = 10'000, .panels = {panel}});
  size_t circles = 0;
  for (size_t at = svg.find("<circle"); at != std::string::npos; at = svg.find("<circle", at + 1)) ++circles;
  EXPECT_GT(circles, kMostDots / 2);
  EXPECT_LE(circles, kMostDots);
}

}  // namespace
}  // namespace qiao::tools
