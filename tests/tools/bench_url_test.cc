// infer bench --url, as a user would run it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "runtime/base/json.h"
#include "tests/tools/fake_server.h"
#include "tests/tools/infer_process.h"
#include "tests/tools/xml.h"

namespace qiao::tools {
namespace {

using ::testing::HasSubstr;

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
    reply.Stream(events + FinishEvents(static_cast<int64_t>(body["prompt"].size()), tokens), 50);
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
  FakeServer server(OnPost([](const FakeRequest&, FakeReply& reply) {
    reply.Answer(400, R"({"error":{"message":"no ids here"}})");
  }));
  const Finished finished = Infer({"bench", "--url", server.url(), "--requests", "3"});
  EXPECT_EQ(finished.exit, 1);
  EXPECT_THAT(finished.err, HasSubstr("400: no ids here"));
}

}  // namespace
}  // namespace qiao::tools
