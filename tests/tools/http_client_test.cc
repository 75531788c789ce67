// The load generator's HTTP client against a server: what it sends, and what it makes of the answers.
#include "tools/infer/load/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/tools/fake_server.h"
#include "tools/infer/exit.h"
#include "tools/infer/load/driver.h"
#include "tools/infer/load/measures.h"

namespace qiao::tools {
namespace {

using ::testing::HasSubstr;
using Outcome = RequestRecord::Outcome;

Workload Requests(int count, int64_t tokens = 3, double apart = 0) {
  Workload workload;
  for (int i = 0; i < count; ++i)
    workload.requests.push_back({.at = apart * i, .ids = {i, 7, 9}, .max_tokens = tokens});
  return workload;
}

LoadRun RunOn(const FakeServer& server, const Workload& workload, HttpClientOptions options = {}) {
  options.address = *ParseAddress("", server.url());
  auto client = HttpClient::Connect(options);
  EXPECT_TRUE(client.ok()) << client.status();
  if (!client.ok()) {
    LoadRun none;
    none.records.resize(workload.requests.size());
    none.samples.resize(1);
    return none;
  }
  return Drive(**client, workload, [](uint64_t, uint64_t) { return true; });
}

TEST(HttpClient, SendsWhatServersExpectAndKeepsConnections) {
  std::mutex mutex;
  std::vector<FakeRequest> seen;
  FakeServer server(OnPost([&](const FakeRequest& request, FakeReply& reply) {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      seen.push_back(request);
    }
    reply.Stream(TextEvent("a") + TextEvent("b") + TextEvent("c") + FinishEvents(3, 3), 9);
  }));
  HttpClientOptions options;
  options.api_key = "secret-1";
  options.seed = 40;
  const LoadRun run = RunOn(server, Requests(5, 3, 0.02), options);
  for (const RequestRecord& r : run.records) {
    EXPECT_EQ(r.outcome, Outcome::kFinished) << r.error;
    EXPECT_EQ(r.error, "");
    EXPECT_EQ(r.tokens.size(), 3u);
    EXPECT_EQ(r.cached_tokens, 1);
  }
  EXPECT_LT(server.accepted(), 5) << "one connection serves requests that do not meet";
  ASSERT_EQ(seen.size(), 5u);
  // On a busy machine two that meet may arrive the other way round.
  const auto seed = [](const FakeRequest& r) {
    return Json::parse(r.body, nullptr, false)["seed"].get<int>();
  };
  std::sort(seen.begin(), seen.end(),
            [&](const FakeRequest& a, const FakeRequest& b) { return seed(a) < seed(b); });
  EXPECT_EQ(seen[0].path, "/v1/completions");
  EXPECT_EQ(seen[0].Header("authorization"), "Bearer secret-1");
  EXPECT_EQ(seen[0].Header("host"), absl::StrCat("127.0.0.1:", server.port()));
  const Json body = Json::parse(seen[0].body, nullptr, false);
  EXPECT_EQ(body,
            Json::parse(R"({"model":"fake-model","prompt":[0,7,9],"max_tokens":3,"temperature":0,"seed":40,
      "ignore_eos":true,"stream":true,"stream_options":{"include_usage":true}})"));
  EXPECT_EQ(Json::parse(seen[1].body, nullptr, false)["seed"], 41);
}

TEST(HttpClient, ChatsAreWordsAndEveryKindOfDeltaIsAToken) {
  std::string body;
  FakeServer server(OnPost([&](const FakeRequest& request, FakeReply& reply) {
    body = request.path + request.body;
    reply.Stream(
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
        ": prefill 512/3000\n\n"
        "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n"
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}\n\n" +
            TextEvent("x", true) + FinishEvents(17, 3, true),
        1);
  }));
  HttpClientOptions options;
  options.chat = true;
  options.model = "named";
  const LoadRun run = RunOn(server, Requests(1), options);
  EXPECT_EQ(run.records[0].outcome, Outcome::kFinished) << run.records[0].error;
  EXPECT_EQ(run.records[0].tokens.size(), 3u);
  EXPECT_EQ(run.records[0].prompt_tokens, 17);
  EXPECT_THAT(body, HasSubstr("/v1/chat/completions"));
  EXPECT_THAT(body, HasSubstr(R"("messages":[{"role":"user","content":"the )"));
  EXPECT_THAT(body, HasSubstr(R"("model":"named")"));
}

TEST(HttpClient, UsageTellsHowManyTokensAPieceWas) {
  FakeServer server(OnPost([&](const FakeRequest&, FakeReply& reply) {
    reply.Stream(TextEvent("ab") + TextEvent("cd") + FinishEvents(3, 5), 1000);
  }));
  const LoadRun run = RunOn(server, Requests(1, 5));
  EXPECT_EQ(run.records[0].tokens.size(), 5u);
  EXPECT_EQ(run.records[0].error, "");
  // What it cannot be: more than was asked for.
  const LoadRun less = RunOn(server, Requests(1, 4));
  EXPECT_EQ(less.records[0].tokens.size(), 4u);
}

TEST(HttpClient, TellsFailuresApart) {
  std::atomic<int> number{0};
  const std::string good = TextEvent("a") + TextEvent("b") + TextEvent("c") + FinishEvents(3, 3);
  FakeServer server(OnPost([&](const FakeRequest& request, FakeReply& reply) {
    const Json body = Json::parse(request.body, nullptr, false);
    const int n = body["prompt"][0];
    ++number;
    switch (n) {
      case 0:
        return reply.Stream(good, 3);
      case 1:
        return reply.Answer(429, R"({"error":{"message":"too many","type":"x"}})", "Retry-After: 2\r\n");
      case 2:
        return reply.Answer(503, "<html>busy</html>", "", "text/html");
      case 3:
        return reply.Answer(400, R"({"object":"error","message":"bad prompt"})");
      case 4:  // cut in the middle of a stream
        reply.StartStream();
        reply.Chunk(TextEvent("a"));
        return reply.Close();
      case 5:
        reply.StartStream();
        reply.Chunk(TextEvent("a"));
        return reply.Reset();
      case 6:
        return reply.Answer(200, R"({"choices":[]})");
      case 7:
        return reply.Stream(TextEvent("a") + "data: {\"error\":{\"message\":\"device lost\"}}\n\n", 4);
      case 8:
        return reply.Stream("data: {not json}\n\n", 4);
      case 9:  // properly ended, but without a reason
        return reply.Stream(TextEvent("a"), 4);
      case 10:
        return reply.Stream(TextEvent("a") + FinishEvents(3, 1, false, "stop"), 4);
      case 11:
        reply.Send("SMTP ready\r\n\r\n");
        return reply.Close();
      default:  // no answer
        return reply.Close();
    }
  }));
  const LoadRun run = RunOn(server, Requests(13));
  const auto is = [&](size_t i, Outcome outcome, const std::string& says) {
    EXPECT_EQ(run.records[i].outcome, outcome) << i << run.records[i].error;
    EXPECT_THAT(run.records[i].error, HasSubstr(says)) << i;
  };
  is(0, Outcome::kFinished, "");
  is(1, Outcome::kRefused, "429: too many");
  is(2, Outcome::kRefused, "503: <html>busy</html>");
  is(3, Outcome::kFailed, "400: bad prompt");
  is(4, Outcome::kFailed, "before its answer was complete");
  is(5, Outcome::kFailed, server.url());
  is(6, Outcome::kFailed, "application/json");
  is(7, Outcome::kFailed, "device lost");
  is(8, Outcome::kFailed, "an event of the answer");
  is(9, Outcome::kFailed, "without saying why");
  is(10, Outcome::kFinished, "ended before it had all its tokens: stop");
  is(11, Outcome::kFailed, "not HTTP");
  is(12, Outcome::kFailed, "without an answer");
  const Measures m = Measure(run, 1, {});
  EXPECT_EQ(m.refused, 2);
  EXPECT_EQ(m.failed, 9);
  EXPECT_EQ(m.finished, 2);
  EXPECT_EQ(m.refusals.size(), 2u);
}

TEST(HttpClient, AKeptConnectionThatWasClosedIsReplaced) {
  std::atomic<int> answered{0};
  FakeServer server(OnPost([&](const FakeRequest&, FakeReply& reply) {
    ++answered;
    reply.Stream(TextEvent("a") + FinishEvents(3, 1), 100);
    reply.Close();  // without having said so
  }));
  const LoadRun run = RunOn(server, Requests(6, 1, 0.02));
  for (const RequestRecord& r : run.records) EXPECT_EQ(r.outcome, Outcome::kFinished) << r.error;
  EXPECT_EQ(answered, 6);
}

TEST(HttpClient, StopsWhenItIsToldTo) {
  std::atomic<int> begun{0}, vanished{0};
  FakeServer server(OnPost([&](const FakeRequest&, FakeReply& reply) {
    reply.StartStream();
    ++begun;
    while (!reply.gone()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ++vanished;
    reply.Close();
  }));
  HttpClientOptions options;
  options.address = *ParseAddress("", server.url());
  auto client = HttpClient::Connect(options);
  ASSERT_TRUE(client.ok());
  const LoadRun run = Drive(**client, Requests(4), [&](uint64_t, uint64_t) { return begun < 4; });
  EXPECT_TRUE(run.interrupted);
  for (const RequestRecord& r : run.records) EXPECT_EQ(r.outcome, Outcome::kCancelled) << r.error;
  while (vanished < 4) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

TEST(HttpClient, WatchesAServerThatTellsItsState) {
  std::atomic<int64_t> running{0}, made{100};
  std::string body;
  FakeServer server([&](const FakeRequest& request, FakeReply& reply) {
    if (request.path == "/v1/models") return reply.Answer(200, ModelsAnswer());
    if (request.path == "/v1/stats") return reply.Answer(200, StatsAnswer(running, 5, made));
    body = request.body;
    ++running;
    reply.StartStream();
    for (int i = 0; i < 3; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(70));
      ++made;
      reply.Chunk(TextEvent("a"));
    }
    --running;
    reply.Chunk(
        R"(data: {"choices":[{"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":3},)"
        R"("efficiency":{"queue_seconds":0.25,"mtp":{"drafted":4,"accepted":2}}})"
        "\n\ndata: [DONE]\n\n");
    reply.EndStream();
  });
  const LoadRun run = RunOn(server, Requests(1));
  EXPECT_EQ(run.records[0].outcome, Outcome::kFinished) << run.records[0].error;
  EXPECT_THAT(body, HasSubstr(R"("efficiency":true)"));
  EXPECT_EQ(run.records[0].queue_seconds, 0.25);
  EXPECT_EQ(run.records[0].accepted, 2);
  ASSERT_GE(run.samples.size(), 2u);
  EXPECT_EQ(run.samples.back().state.generated_tokens, 3)
      << "the last sample is fresh, and counts from the start";
  EXPECT_EQ(run.samples.back().state.running, 0);
  EXPECT_EQ(Measure(run, 1, {}).running_most, 1);
  EXPECT_EQ(Measure(run, 1, {}).waiting_most, 5);
}

TEST(HttpClient, SaysWhyItCannotBegin) {
  HttpClientOptions options;
  {
    FakeServer server([](const FakeRequest&, FakeReply& reply) {
      reply.Answer(401, R"({"error":{"message":"wrong key"}})");
    });
    options.address = *ParseAddress("", server.url());
    const auto client = HttpClient::Connect(options);
    EXPECT_TRUE(absl::IsPermissionDenied(client.status())) << client.status();
    EXPECT_THAT(HintOf(client.status()), HasSubstr("--api-key"));
  }
  // Nobody listens there any more.
  const auto refused = HttpClient::Connect(options);
  EXPECT_TRUE(absl::IsUnavailable(refused.status()));
  EXPECT_THAT(std::string(Message(refused.status())), HasSubstr("cannot connect"));
  FakeServer other([](const FakeRequest&, FakeReply& reply) { reply.Answer(404, "{}"); });
  options.address = *ParseAddress("", other.url());
  EXPECT_THAT(HintOf(HttpClient::Connect(options).status()), HasSubstr("--model-name"));
  options.api_key = "a\r\nX: y";
  EXPECT_EQ(ExitOf(HttpClient::Connect(options).status()), kExitUsage);
}

}  // namespace
}  // namespace qiao::tools
