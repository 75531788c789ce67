// The load generator's HTTP client: what it sends, what it makes of answers that are cut anywhere, and of those that
// are wrong; then infer bench --url as a user would run it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/tools/fake_server.h"
#include "tests/tools/infer_process.h"
#include "tests/tools/xml.h"
#include "tools/infer/exit.h"
#include "tools/infer/load/driver.h"
#include "tools/infer/load/http_client.h"
#include "tools/infer/load/http_response.h"
#include "tools/infer/load/measures.h"
#include "tools/infer/load/sse.h"

namespace qiao::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Outcome = RequestRecord::Outcome;

// ---- addresses ----

TEST(HttpAddress, AcceptsWhatPeopleType) {
  const std::vector<std::pair<std::string, std::string>> good = {
      {"http://localhost:8080", "http://localhost:8080"},
      {"localhost:8080", "http://localhost:8080"},
      {"HTTP://host/v1/", "http://host"},
      {"http://[::1]:9/x/v1", "http://[::1]:9/x"},
      {"http://127.0.0.1:80//", "http://127.0.0.1"},
      {"[fe80::1]", "http://[fe80::1]"}};
  for (const auto& [text, url] : good) {
    const auto address = ParseAddress("--url", text);
    ASSERT_TRUE(address.ok()) << text << ": " << address.status();
    EXPECT_EQ(address->Url(), url);
  }
  for (const char* bad : {"", "http://", "https://x", "ftp://x", "http://x:", "http://x:0", "http://x:65536",
                          "http://x:1a", "http://a b", "http://x\r\nHost: y", "http://[::1", "http://[::1]8",
                          "http://x/a?b", "http://u@x", "http://x:+8", "http://x/a b"}) {
    const auto address = ParseAddress("--url", bad);
    ASSERT_FALSE(address.ok()) << bad;
    EXPECT_EQ(ExitOf(address.status()), kExitUsage) << bad;
    EXPECT_THAT(std::string(Message(address.status())), HasSubstr("--url")) << bad;
  }
}

// ---- event streams and answers, cut anywhere ----

std::vector<std::string> Events(SseReader& reader, std::string_view bytes) {
  std::vector<std::string> events;
  EXPECT_TRUE(
      reader
          .Feed(bytes,
                [&](const SseEvent& e) { events.push_back(absl::StrCat(Abs(e.name), "|", Abs(e.data))); })
          .ok());
  return events;
}

TEST(Sse, IsReadAsItsSpecificationSays) {
  const std::string stream =
      "\xef\xbb\xbf"
      "data: first\r\n\r\n: a comment\n\ndata:two\ndata: lines\n\rdata\n\nevent: error\rdata:  x \r\r"
      "id: 3\nretry: 5\n\ndata: never ended";
  const std::vector<std::string> expected = {"|first", "|two\nlines", "|", "error| x "};
  SseReader whole;
  EXPECT_EQ(Events(whole, stream), expected);
  EXPECT_TRUE(whole.pending());
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    SseReader reader;
    std::vector<std::string> events = Events(reader, stream.substr(0, cut));
    for (const std::string& event : Events(reader, stream.substr(cut))) events.push_back(event);
    EXPECT_EQ(events, expected) << cut;
  }
  SseReader bytewise;
  std::vector<std::string> events;
  for (const char c : stream) {
    for (const std::string& event : Events(bytewise, {&c, 1})) events.push_back(event);
  }
  EXPECT_EQ(events, expected);
}

TEST(Sse, IsBounded) {
  const auto ignore = [](const SseEvent&) {};
  SseReader line(100), data(100);
  EXPECT_TRUE(line.Feed(std::string(100, 'x'), ignore).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(line.Feed("x", ignore)));
  absl::Status status;
  int lines = 0;
  while ((status = data.Feed("data: 123456789\n", ignore)).ok()) ASSERT_LT(++lines, 20);
  EXPECT_TRUE(absl::IsResourceExhausted(status));
}

struct Read {
  int status = 0;
  std::string type, body;
  bool done = false, keep_alive = false;
};

absl::StatusOr<Read> ReadIn(std::string_view bytes, size_t step, size_t* used = nullptr) {
  Read read;
  HttpResponseReader reader(
      [&](const HttpHead& head) {
        read.status = head.status;
        read.type = head.Header("content-type");
      },
      [&](std::string_view piece) { read.body.append(piece); });
  size_t at = 0;
  while (at < bytes.size() && !reader.done()) {
    const std::string_view piece = bytes.substr(at, step);
    const absl::StatusOr<size_t> n = reader.Feed(piece);
    if (!n.ok()) return n.status();
    at += *n;
    EXPECT_TRUE(reader.done() || *n == piece.size());
  }
  if (!reader.done()) QIAO_RETURN_IF_ERROR(reader.Close());
  if (used != nullptr) *used = at;
  read.done = reader.done();
  read.keep_alive = reader.keep_alive();
  return read;
}

TEST(HttpResponse, IsTheSameHoweverItIsCut) {
  const std::string chunked =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
      "transfer-encoding: "
      "chunked\r\n\r\n4\r\nab\r\n\r\n3;ext=1\r\ncde\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n";
  const std::string sized =
      "HTTP/1.1 429 Too Many\r\nContent-Length: 5\r\nRetry-After: 1\r\nConnection: close\r\n\r\nhello";
  const std::string until_end = "HTTP/1.0 200 OK\r\nContent-type: x\r\n\r\nall of it";
  for (size_t step = 1; step <= chunked.size(); ++step) {
    size_t used = 0;
    const auto a = ReadIn(chunked + "HTTP/1.1 200", step, &used);
    ASSERT_TRUE(a.ok()) << step << a.status();
    EXPECT_EQ(a->status, 200);
    EXPECT_EQ(a->type, "text/event-stream");
    EXPECT_EQ(a->body, "ab\r\ncde0123456789abcdef") << step;
    EXPECT_TRUE(a->keep_alive);
    EXPECT_EQ(used, chunked.size()) << "what follows is not its own";
    const auto b = ReadIn(sized, step);
    ASSERT_TRUE(b.ok()) << step << b.status();
    EXPECT_EQ(b->status, 429);
    EXPECT_EQ(b->body, "hello");
    EXPECT_FALSE(b->keep_alive);
    const auto c = ReadIn(until_end, step);
    ASSERT_TRUE(c.ok()) << step << c.status();
    EXPECT_EQ(c->body, "all of it");
    EXPECT_FALSE(c->keep_alive);
  }
  for (size_t cut = 0; cut < chunked.size(); ++cut)
    EXPECT_TRUE(absl::IsDataLoss(ReadIn(chunked.substr(0, cut), 7).status())) << cut;
  for (const std::string& bad :
       {std::string("SSH-2.0-x\r\n\r\n"), std::string("HTTP/1.1 20 OK\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        "HTTP/1.1 200 OK\r\nA: " + std::string(70'000, 'x'),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n")}) {
    for (const size_t step : {size_t{1}, size_t{1000}, bad.size()})
      EXPECT_TRUE(absl::IsDataLoss(ReadIn(bad, step).status())) << bad.substr(0, 60);
  }
}

// ---- the client ----

Workload Requests(int count, int64_t tokens = 3, double apart = 0) {
  Workload workload;
  for (int i = 0; i < count; ++i)
    workload.requests.push_back({.at = apart * i, .ids = {i, 7, 9}, .max_tokens = tokens});
  return workload;
}

// Answers GET; what it does with POST is the test's.
FakeServer::Handler With(FakeServer::Handler post) {
  return [post = std::move(post)](const FakeRequest& request, FakeReply& reply) {
    if (request.path == "/v1/models") return reply.Answer(200, ModelsAnswer());
    if (request.method == "POST") return post(request, reply);
    reply.Answer(404, R"({"error":{"message":"no such route"}})");
  };
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

void StreamOf(FakeReply& reply, std::string_view events, size_t step) {
  reply.StartStream();
  for (size_t at = 0; at < events.size(); at += step) reply.Chunk(events.substr(at, step));
  reply.EndStream();
}

TEST(HttpClient, SendsWhatServersExpectAndKeepsConnections) {
  std::mutex mutex;
  std::vector<FakeRequest> seen;
  FakeServer server(With([&](const FakeRequest& request, FakeReply& reply) {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      seen.push_back(request);
    }
    StreamOf(reply, TextEvent("a") + TextEvent("b") + TextEvent("c") + FinishEvents(3, 3), 9);
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
  FakeServer server(With([&](const FakeRequest& request, FakeReply& reply) {
    body = request.path + request.body;
    StreamOf(reply,
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
  FakeServer server(With([&](const FakeRequest&, FakeReply& reply) {
    StreamOf(reply, TextEvent("ab") + TextEvent("cd") + FinishEvents(3, 5), 1000);
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
  FakeServer server(With([&](const FakeRequest& request, FakeReply& reply) {
    const Json body = Json::parse(request.body, nullptr, false);
    const int n = body["prompt"][0];
    ++number;
    switch (n) {
      case 0:
        return StreamOf(reply, good, 3);
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
        return StreamOf(reply, TextEvent("a") + "data: {\"error\":{\"message\":\"device lost\"}}\n\n", 4);
      case 8:
        return StreamOf(reply, "data: {not json}\n\n", 4);
      case 9:  // properly ended, but without a reason
        return StreamOf(reply, TextEvent("a"), 4);
      case 10:
        return StreamOf(reply, TextEvent("a") + FinishEvents(3, 1, false, "stop"), 4);
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
  FakeServer server(With([&](const FakeRequest&, FakeReply& reply) {
    ++answered;
    StreamOf(reply, TextEvent("a") + FinishEvents(3, 1), 100);
    reply.Close();  // without having said so
  }));
  const LoadRun run = RunOn(server, Requests(6, 1, 0.02));
  for (const RequestRecord& r : run.records) EXPECT_EQ(r.outcome, Outcome::kFinished) << r.error;
  EXPECT_EQ(answered, 6);
}

TEST(HttpClient, StopsWhenItIsToldTo) {
  std::atomic<int> begun{0}, vanished{0};
  FakeServer server(With([&](const FakeRequest&, FakeReply& reply) {
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

// ---- the command ----

TEST(BenchUrl, ReportsAndDrawsWhereTheLoadWent) {
  std::atomic<int> asked{0};
  FakeServer server([&](const FakeRequest& request, FakeReply& reply) {
    if (request.path == "/v1/models") return reply.Answer(200, ModelsAnswer());
    if (request.path == "/v1/stats") return reply.Answer(200, StatsAnswer());
    if (request.Header("authorization") != "Bearer from-environment") return reply.Answer(401, "{}");
    if (++asked == 4) return reply.Answer(429, R"({"error":{"message":"too many"}})");
    const Json body = Json::parse(request.body, nullptr, false);
    const int64_t tokens = body["max_tokens"];
    std::string events;
    for (int64_t i = 0; i < tokens; ++i) events += TextEvent("x");
    StreamOf(reply, events + FinishEvents(static_cast<int64_t>(body["prompt"].size()), tokens), 50);
  });
  const std::string plot = Scratch() + "/load.svg";
  const std::vector<std::string> args = {"bench", "--url",           server.url(),   "--requests",
                                         "10",    "--prompt-tokens", "uniform:4:20", "--output-tokens",
                                         "6",     "--rate",          "500"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), args.begin(), args.end());
    return Infer(more, "", {"QIAO_API_KEY=from-environment"});
  };
  const Finished text = with({"--plot", plot, "--slo-ttft", "100000"});
  EXPECT_EQ(text.exit, 0) << text.err << text.out;
  for (const std::string& says :
       {std::string("fake-model  fake family, fake weights"), server.url() + "/v1/completions",
        std::string("9 of 10 requests finished"), std::string("1 refused: 429: too many"),
        std::string("context 512"), std::string("first token (TTFT)")}) {
    EXPECT_THAT(text.out, HasSubstr(says));
  }
  EXPECT_EQ(XmlError(ReadText(plot)), "");
  EXPECT_THAT(ReadText(plot), HasSubstr(server.url()));

  const Finished finished = with({"--json"});
  EXPECT_EQ(finished.exit, 0) << finished.err;
  const Json json = Json::parse(finished.out, nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["url"], server.url());
  EXPECT_EQ(json["server"], "fake");
  EXPECT_EQ(json["model"], "fake-model");
  EXPECT_EQ(json["finished"], 10);
  EXPECT_EQ(json["output_tokens"], 60);
  EXPECT_EQ(json["refused"], 0);
  EXPECT_EQ(json["serving"]["context"], 512);
}

TEST(BenchUrl, WrongOptionsAndServersAreSaid) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"bench", "--url", "https://x", "--requests", "1"}, "https"},
      {{"bench", "--url", "x"}, "--requests"},
      {{"bench", "--requests", "1", "--endpoint", "chat", "models/demo"}, "--url"},
      {{"bench", "models/demo", "--url", "x", "--requests", "1"}, "--url"},
      {{"bench", "--url", "x", "--requests", "1", "--backend", "cpu"}, "--backend"},
      {{"bench", "--url", "x", "--requests", "1", "--sequences", "4"}, "--sequences"},
      {{"bench", "--requests", "1"}, "which model?"}};
  for (const auto& [args, says] : wrong) {
    const Finished finished = Infer(args);
    EXPECT_EQ(finished.exit, 2) << finished.err;
    EXPECT_THAT(finished.err, HasSubstr(says));
    EXPECT_EQ(finished.out, "");
  }
  FakeServer server(With([](const FakeRequest&, FakeReply& reply) {
    reply.Answer(400, R"({"error":{"message":"no ids here"}})");
  }));
  const Finished finished = Infer({"bench", "--url", server.url(), "--requests", "3"});
  EXPECT_EQ(finished.exit, 1);
  EXPECT_THAT(finished.err, HasSubstr("400: no ids here"));
}

}  // namespace
}  // namespace qiao::tools
