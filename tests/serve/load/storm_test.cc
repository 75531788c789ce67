// The storm itself: it is content with a server that keeps its promises, and says which one another breaks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/json.h"
#include "tests/tools/fake_server.h"
#include "tests/tools/infer_process.h"

namespace qiao::storm {
namespace {

using ::testing::HasSubstr;
using tools::FakeReply;
using tools::FakeRequest;
using tools::FakeServer;

// How the fake behaves beside what is good.
struct Manners {
  std::atomic<bool> mixes_up{false};  // every fifth answer is another request's
  std::atomic<bool> leaks{false};     // what was abandoned goes on for ever
  std::atomic<int> most{1000};        // requests at once; 429 beyond
  std::atomic<bool> says_when{true};  // with Retry-After
  std::atomic<bool> hangs_up{false};  // closes connections once they are answered
  std::atomic<int> token_microseconds{0};
};

class FakeModel {
 public:
  explicit FakeModel(Manners& manners)
      : manners_(manners),
        server_([this](const FakeRequest& request, FakeReply& reply) { Answer(request, reply); }) {}
  std::string url() const { return server_.url(); }

 private:
  void Answer(const FakeRequest& request, FakeReply& reply) {
    if (request.path == "/v1/stats") return reply.Answer(200, tools::StatsAnswer(running_));
    if (request.path == "/v1/models") return reply.Answer(200, tools::ModelsAnswer());
    if (request.path == "/health") {
      reply.Answer(200, "{}");
      if (manners_.hangs_up) reply.Close();
      return;
    }
    const bool chat = absl::StrContains(request.path, "chat");
    const Json body = Json::parse(request.body, nullptr, false);
    if (request.method != "POST" || !body.is_object() || !body.contains("max_tokens") ||
        !body["max_tokens"].is_number_integer())
      return reply.Answer(400, R"({"error":{"message":"not that"}})");
    if (++running_ > manners_.most) {
      --running_;
      return reply.Answer(429, R"({"error":{"message":"later"}})",
                          manners_.says_when ? "Retry-After: 1\r\n" : "");
    }
    Stream(request.body, body["max_tokens"], chat, reply);
  }

  void Stream(const std::string& body, int64_t tokens, bool chat, FakeReply& reply) {
    size_t number = std::hash<std::string>()(body);
    if (manners_.mixes_up && ++answered_ > 8 && answered_ % 5 == 0) number = std::hash<std::string>()(last_);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      last_ = body;
    }
    reply.StartStream();
    for (int64_t i = 0; i < std::min<int64_t>(tokens, 4000); ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(manners_.token_microseconds));
      if (reply.gone() || !reply.Chunk(tools::TextEvent(absl::StrCat(number % 997, "-", i, " "), chat))) {
        if (!manners_.leaks) --running_;
        reply.Close();
        return;
      }
    }
    // Before the end is said: who hears it may look at once.
    --running_;
    reply.Chunk(tools::FinishEvents(3, tokens, chat));
    reply.EndStream();
  }

  Manners& manners_;
  std::atomic<int> running_{0};
  std::atomic<int64_t> answered_{0};
  std::mutex mutex_;
  std::string last_;
  FakeServer server_;
};

struct Outcome {
  int exit = -1;
  Json json;
  std::string err;
  // What was found under that name; null where there is nothing.
  Json Of(const std::string& name) const {
    for (const Json& finding : json["findings"]) {
      if (finding["name"] == name) return finding;
    }
    return nullptr;
  }
};

Outcome Storm(const std::string& scenario, const std::string& url, std::vector<std::string> more) {
  more.insert(more.begin(), {scenario, "--url", url, "--json"});
  const tools::Finished finished = tools::RunProgram("qiao_serve_storm", more);
  Outcome outcome{finished.exit, Json::parse(finished.out, nullptr, false), finished.err};
  if (!outcome.json.is_object()) outcome.json = {{"findings", Json::array()}};
  return outcome;
}

TEST(Storm, StreamsAreComparedWithTheirTextAlone) {
  Manners manners;
  FakeModel model(manners);
  const std::vector<std::string> options = {"--clients",  "8", "--seconds",    "0.5",
                                            "--distinct", "8", "--max-tokens", "6"};
  const Outcome good = Storm("streams", model.url(), options);
  EXPECT_EQ(good.exit, 0) << good.json << good.err;
  EXPECT_GT(good.Of("streams finished")["value"], 8);
  EXPECT_EQ(good.Of("different answers alone")["value"], 8);
  manners.mixes_up = true;
  const Outcome bad = Storm("streams", model.url(), options);
  EXPECT_EQ(bad.exit, 1);
  EXPECT_EQ(bad.Of("answers that are another request's")["kept"], false) << bad.json;
  EXPECT_EQ(bad.Of("errors")["kept"], true);
}

TEST(Storm, IdleConnectionsAreCounted) {
  Manners manners;
  FakeModel model(manners);
  const Outcome good = Storm("idle", model.url(), {"--clients", "50", "--seconds", "0.1"});
  EXPECT_EQ(good.Of("connections open and answered")["value"], 50) << good.json;
  manners.hangs_up = true;
  const Outcome bad = Storm("idle", model.url(), {"--clients", "50", "--seconds", "0.1"});
  EXPECT_EQ(bad.exit, 1);
  EXPECT_EQ(bad.Of("connections open and answered")["value"], 0) << bad.json;
}

TEST(Storm, SeesWhatIsNotFreed) {
  Manners manners;
  manners.token_microseconds = 1000;
  FakeModel model(manners);
  const std::vector<std::string> options = {"--clients", "12", "--max-tokens", "4", "--free-seconds", "20"};
  const Outcome good = Storm("vanish", model.url(), options);
  EXPECT_EQ(good.exit, 0) << good.json << good.err;
  EXPECT_EQ(good.Of("vanished while the answer was written")["value"], 6);
  manners.leaks = true;
  EXPECT_EQ(
      Storm("vanish", model.url(), {"--clients", "4", "--max-tokens", "4", "--free-seconds", "0.1"}).exit, 1);
}

TEST(Storm, OverloadCountsRefusals) {
  Manners manners;
  manners.most = 4;
  manners.token_microseconds = 2000;
  FakeModel model(manners);
  const std::vector<std::string> options = {"--clients", "4", "--seconds", "0.5", "--max-tokens", "4"};
  const Outcome good = Storm("overload", model.url(), options);
  EXPECT_GT(good.Of("status 429")["value"], 0) << good.json << good.err;
  EXPECT_EQ(good.Of("refused without Retry-After")["kept"], true);
  EXPECT_EQ(good.Of("other errors")["kept"], true) << good.json;
  manners.says_when = false;
  const Outcome bad = Storm("overload", model.url(), options);
  EXPECT_EQ(bad.exit, 1);
  EXPECT_EQ(bad.Of("refused without Retry-After")["kept"], false) << bad.json;
}

TEST(Storm, SlowClientsAreHeldBesideHealthyOnes) {
  Manners manners;
  FakeModel model(manners);
  const Outcome slow = Storm("slow", model.url(), {"--clients", "9", "--seconds", "0.3"});
  EXPECT_EQ(slow.Of("healthy clients' errors")["value"], 0) << slow.json << slow.err;
  for (const char* kind : {"header", "body", "reading"})
    EXPECT_EQ(slow.Of(absl::StrCat("slow in ", kind, ": clients"))["value"], 3) << slow.json;
}

TEST(Storm, MalformedRequestsMustBeRefused) {
  Manners manners;
  FakeModel model(manners);
  const Outcome careless = Storm("malformed", model.url(), {"--max-tokens", "2"});
  EXPECT_EQ(careless.exit, 1) << careless.err;
  EXPECT_GT(careless.Of("cases")["value"], 700);
  // It looks at little more than max_tokens.
  EXPECT_GT(careless.Of("cases that went wrong")["value"], 50) << careless.json;
  EXPECT_GT(careless.Of("status 400")["value"], 100);
}

TEST(Storm, SaysWhyItCannotBegin) {
  Manners manners;
  std::string url;
  {
    FakeModel model(manners);
    url = model.url();
    const Outcome blind = Storm("term", url, {});
    EXPECT_EQ(blind.exit, 2);
    EXPECT_THAT(blind.err, HasSubstr("--pid"));
  }
  const Outcome nobody = Storm("streams", url, {});
  EXPECT_EQ(nobody.exit, 2);
  EXPECT_THAT(nobody.err, HasSubstr(url));
}

}  // namespace
}  // namespace qiao::storm
