// The whole server on the shipped model: who may ask what, what it tells of itself, and that a request can only fail
// itself.
#include "runtime/serve/server.h"

#include <gtest/gtest.h>

#include <thread>

#include "runtime/base/json.h"
#include "tests/engine/demo.h"
#include "tests/serve/http_client.h"

namespace qiao::serve {
namespace {

std::unique_ptr<Engine> LoadDemo(EngineOptions options = Demo()) {
  options.threads = 1;
  return Loaded(options);
}

// One for all tests that do not need their own.
Engine& Shared() {
  static const auto* const engine = new std::unique_ptr<Engine>(LoadDemo());
  return **engine;
}

std::unique_ptr<Server> Serve(Engine& engine, ServerOptions options = {}) {
  options.model_id = "demo";
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(engine, std::move(options));
  EXPECT_TRUE(server.ok()) << server.status();
  return server.ok() ? *std::move(server) : nullptr;
}

// By a name that a server without keys answers to.
std::string LocalGet(std::string_view path, std::string_view headers = "") {
  return Get(path, headers, "localhost");
}
std::string LocalPost(std::string_view path, std::string_view body) {
  return Post(path, body, "", "localhost");
}

Answer Ask(const Server& server, const std::string& request) {
  Client client(server.port());
  std::optional<Answer> answer = client.Ask(request);
  EXPECT_TRUE(answer.has_value()) << request.substr(0, 200);
  return answer.value_or(Answer());
}

Json Parsed(const Answer& answer) {
  absl::StatusOr<Json> json = ParseJson(answer.body, "answer");
  EXPECT_TRUE(json.ok()) << json.status() << "\n" << answer.body;
  return json.ok() ? *json : Json();
}

constexpr char kCompletion[] = R"({"prompt":"SQLite is a","max_tokens":6,"temperature":0})";

TEST(Server, AnswersOnEveryRoute) {
  const auto server = Serve(Shared());
  EXPECT_EQ(Parsed(Ask(*server, LocalGet("/health")))["status"], "ok");
  const Json models = Parsed(Ask(*server, LocalGet("/v1/models")));
  EXPECT_EQ(models["data"][0]["id"], "demo");
  EXPECT_EQ(models["data"][0]["max_model_len"], 512);
  EXPECT_EQ(Ask(*server, LocalGet("/v1/models/other")).status, 404);
  const Json tokens = Parsed(Ask(*server, LocalPost("/tokenize", R"({"prompt":"SQLite is a"})")));
  ASSERT_GT(tokens["count"], 0);
  const Json text = Parsed(Ask(*server, LocalPost("/detokenize", Json{{"tokens", tokens["tokens"]}}.dump())));
  EXPECT_EQ(text["prompt"], "SQLite is a");
  const Json completion = Parsed(Ask(*server, LocalPost("/v1/completions", kCompletion)));
  EXPECT_EQ(completion["usage"]["completion_tokens"], 6);
  const Json stats = Parsed(Ask(*server, LocalGet("/v1/stats")));
  EXPECT_GE(stats["totals"]["generated_tokens"], 6);
  EXPECT_EQ(stats["model"]["id"], "demo");
  // MLA keeps 96 numbers a token and layer, and the layer of the MTP; multi-head attention would keep 512.
  EXPECT_GT(stats["model"]["cache_bytes_per_token_expanded"], stats["model"]["cache_bytes_per_token"]);
  const Answer metrics = Ask(*server, LocalGet("/metrics"));
  for (const char* name :
       {"qiao_generated_tokens_total", "qiao_time_to_first_token_seconds_bucket", "qiao_cache_pages_free",
        "qiao_draft_acceptance", "qiao_fallback_ops_total",
        "qiao_http_requests_total{model=\"demo\",route=\"/v1/completions\",status=\"200\"}"}) {
    EXPECT_NE(metrics.body.find(name), std::string::npos) << name;
  }
  const Answer page = Ask(*server, LocalGet("/"));
  EXPECT_EQ(page.Header("content-type"), "text/html; charset=utf-8");
  EXPECT_NE(page.Header("content-security-policy").find("default-src 'self'"), std::string::npos);
  EXPECT_EQ(Ask(*server, LocalGet("/", "If-None-Match: " + page.Header("etag") + "\r\n")).status, 304);
  EXPECT_EQ(Ask(*server, LocalGet("/page/../index.html")).status, 404);
  EXPECT_EQ(Ask(*server, LocalGet("/nothing")).status, 404);
  const Answer wrong = Ask(*server, LocalGet("/v1/completions"));
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.Header("allow"), "POST");
}

TEST(Server, AsksForKeysOnEveryRouteButHealth) {
  ServerOptions options;
  options.api_keys = {"first-key", "second-key"};
  const auto server = Serve(Shared(), std::move(options));
  EXPECT_EQ(Ask(*server, LocalGet("/health")).status, 200);
  for (const char* path : {"/", "/page/app.js", "/metrics", "/v1/stats", "/v1/models", "/v1/chat/completions",
                           "/v1/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens",
                           "/tokenize", "/detokenize", "/nothing", "/health/", "//health"}) {
    const Answer answer = Ask(*server, LocalGet(path));
    EXPECT_EQ(answer.status, 401) << path;
    EXPECT_FALSE(answer.Header("www-authenticate").empty());
  }
  for (const char* header :
       {"Authorization: Bearer first-key", "authorization: bearer second-key", "x-api-key: second-key",
        "Authorization: Basic cWlhbzpmaXJzdC1rZXk="}) {  // qiao:first-key
    EXPECT_EQ(Ask(*server, LocalGet("/v1/models", std::string(header) + "\r\n")).status, 200) << header;
  }
  for (const char* header : {"Authorization: Bearer first-ke", "Authorization: Bearer first-keyx",
                             "Authorization: Bearer ", "x-api-key: ", "Authorization: first-key",
                             "Authorization: Basic first-key", "Authorization: Bearer first-kez"}) {
    EXPECT_EQ(Ask(*server, LocalGet("/v1/models", std::string(header) + "\r\n")).status, 401) << header;
  }
}

TEST(Server, HoldsBackPagesOfOtherOrigins) {
  const auto closed = Serve(Shared());
  EXPECT_EQ(Ask(*closed, LocalGet("/v1/models", "Origin: https://evil.example\r\n")).status, 403);
  EXPECT_EQ(Ask(*closed, LocalGet("/v1/models", "Origin: http://localhost\r\n")).status, 200);
  Client rebound(closed->port());
  EXPECT_EQ(rebound.Ask("GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n")->status, 403);

  ServerOptions options;
  options.origins = {"https://chat.example"};
  const auto open = Serve(Shared(), std::move(options));
  const Answer allowed = Ask(*open, LocalGet("/v1/models", "Origin: https://chat.example\r\n"));
  EXPECT_EQ(allowed.status, 200);
  EXPECT_EQ(allowed.Header("access-control-allow-origin"), "https://chat.example");
  EXPECT_EQ(Ask(*open, LocalGet("/v1/models")).Header("access-control-allow-origin"), "");
  Client preflight(open->port());
  const auto answer = preflight.Ask(
      "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: https://chat.example\r\n"
      "Access-Control-Request-Method: POST\r\n\r\n");
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->status, 204);
  EXPECT_NE(answer->Header("access-control-allow-headers").find("authorization"), std::string::npos);
}

TEST(Server, ErrorsSayWhatIsWrongAndWhere) {
  const auto server = Serve(Shared());
  struct Case {
    const char* path;
    std::string body;
    int status;
    const char* part;  // of the message
  };
  const std::string deep = std::string(10'000, '[') + std::string(10'000, ']');
  for (
      const Case& c : std::vector<Case>{
          {"/v1/completions", "", 400, "empty"},
          {"/v1/completions", "{", 400, "byte"},
          {"/v1/completions", R"({"prompt":1})", 400, "prompt"},
          {"/v1/completions", R"({"prompt":"x","prompt":"y"})", 400, "prompt"},
          {"/v1/completions", R"({"prompt":"\ud800"})", 400, "byte"},
          {"/v1/completions", R"({"prompt":"x","temperature":1e309})", 400, "byte"},
          {"/v1/completions", R"({"prompt":"x","max_tokens":-5})", 400, "max_tokens"},
          {"/v1/completions", R"({"prompt":"x","n":1000000000})", 400, "n"},
          {"/v1/completions", R"({"prompt":[1,2,99999]})", 400, "prompt[2]"},
          {"/v1/completions", deep, 400, "deep"},
          {"/v1/completions", R"({"prompt":"x","model":"other"})", 404, "demo"},
          {"/v1/completions", R"({"prompt":"x","guided_regex":"(a"})", 400, "regex"},
          {"/v1/completions", R"({"prompt":"x","guided_regex":"((a{1000}){1000}){1000}"})", 400, "regex"},
          {"/v1/completions",
           R"({"prompt":"x","guided_json":{"type":"array","minItems":1000000000,"items":{"type":"object"}}})",
           400, "minItems"},
          {"/v1/chat/completions", R"({"messages":[{"role":"user"}]})", 400, "messages[0].content"},
          {"/v1/chat/completions",
           R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]})", 400,
           "messages[0].content[0].type"},
          {"/v1/chat/completions",
           R"({"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]})", 400,
           "tools[0].function"},
      }) {
    const Answer answer = Ask(*server, LocalPost(c.path, c.body));
    EXPECT_EQ(answer.status, c.status) << c.body.substr(0, 100);
    const Json error = Parsed(answer)["error"];
    EXPECT_NE(error["message"].get<std::string>().find(c.part), std::string::npos) << error.dump();
    EXPECT_EQ(answer.Header("x-request-id").substr(0, 4), "req_");
  }
  const Json counted = Parsed(Ask(*server, LocalPost("/v1/messages/count_tokens", R"({"messages":[]})")));
  EXPECT_EQ(counted["type"], "error") << "Anthropic's form";
  const std::string words(20'000, 'x');
  const Json error = Parsed(
      Ask(*server, LocalPost("/v1/chat/completions",
                             Json{{"messages", {{{"role", "user"}, {"content", words}}}}}.dump())))["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_NE(error["message"].get<std::string>().find("512"), std::string::npos);
}

// Until the engine has nothing to do; false after ten seconds.
bool Quiet(const Engine& engine) {
  for (int i = 0; i < 1000; ++i) {
    const EngineStats stats = engine.stats();
    if (stats.running == 0 && stats.waiting == 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

constexpr char kEndless[] =
    R"({"prompt":"SQLite is a","max_tokens":400,"temperature":0,"ignore_eos":true,"stream":true})";

TEST(Server, FreesWhatVanishedClientsHeld) {
  const auto server = Serve(Shared());
  ASSERT_TRUE(Quiet(Shared()));
  const int64_t cancelled = Shared().stats().cancelled;
  for (int i = 0; i < 20; ++i) {
    Client client(server->port());
    ASSERT_TRUE(client.Send(LocalPost("/v1/completions", kEndless)));
    if (i % 2 == 0) {
      ASSERT_NE(client.ReadSome(), "");
    }
    client.Reset();
  }
  EXPECT_TRUE(Quiet(Shared()));
  EXPECT_GT(Shared().stats().cancelled, cancelled);
  EXPECT_EQ(Ask(*server, LocalPost("/v1/completions", kCompletion)).status, 200);
}

TEST(Server, TellsClientsToComeLaterWhenTooManyWait) {
  EngineOptions options = Demo();
  options.sequences = 1;
  options.waiting = 1;
  const auto engine = LoadDemo(options);
  const auto server = Serve(*engine);
  std::vector<Client> clients;
  for (int i = 0; i < 12; ++i) {
    clients.emplace_back(server->port());
    ASSERT_TRUE(clients.back().Send(LocalPost("/v1/completions", kEndless)));
  }
  int refused = 0;
  for (Client& client : clients) {
    const auto answer = client.Read();
    ASSERT_TRUE(answer.has_value());
    if (answer->status == 200) continue;
    ++refused;
    EXPECT_EQ(answer->status, 429);
    EXPECT_GE(std::stoi(answer->Header("retry-after")), 1);
    EXPECT_EQ(Parsed(*answer)["error"]["type"], "rate_limit_error");
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, 12);
}

TEST(Server, DrainsAndTellsWhoTookTooLong) {
  const auto engine = LoadDemo();
  auto server = Serve(*engine);
  Client quick(server->port()), idle(server->port());
  ASSERT_EQ(idle.Ask(LocalGet("/health"))->status, 200);
  ASSERT_TRUE(quick.Send(LocalPost("/v1/completions", kEndless)));
  ASSERT_NE(quick.ReadSome(), "");
  EXPECT_TRUE(server->Drain(std::chrono::seconds(60)));
  EXPECT_NE(quick.ReadAll().find("[DONE]"), std::string::npos);

  server = Serve(*engine);
  Client slow(server->port());
  ASSERT_TRUE(slow.Send(LocalPost("/v1/completions", kEndless)));
  ASSERT_NE(slow.ReadSome(), "");
  if (!server->Drain(std::chrono::milliseconds(0))) {
    const std::string rest = slow.ReadAll();
    EXPECT_TRUE(rest.find("shutting down") != std::string::npos || rest.find("[DONE]") != std::string::npos)
        << rest;
  }
}

TEST(Server, GoesOnWhenTheDeviceFails) {
  EngineOptions options = Demo();
  options.backend = "faulty";
  // Loading takes fewer launches than that; what runs then and whoever shares its step are repeated alone.
  options.backend_options = {{"fail", "launch:2000..2040"}};
  const auto engine = LoadDemo(options);
  ASSERT_NE(engine, nullptr);
  const auto server = Serve(*engine);
  int good = 0, failed = 0;
  for (int i = 0; i < 200 && (failed == 0 || good < 3); ++i) {
    const Answer answer = Ask(*server, LocalPost("/v1/completions", kCompletion));
    ASSERT_TRUE(answer.status == 200 || answer.status == 500) << answer.body;
    if (answer.status == 200) {
      ++good;
    } else {
      ++failed;
      good = 0;
      EXPECT_NE(Parsed(answer)["error"]["message"].get<std::string>().find("faulty"), std::string::npos);
    }
  }
  EXPECT_GT(failed, 0);
  EXPECT_GE(good, 3);
  EXPECT_EQ(Ask(*server, LocalGet("/health")).status, 200);
}

TEST(Server, StreamsAreTheTextOfTheSoloRun) {
  const auto server = Serve(Shared());
  std::vector<std::string> alone;
  const auto body = [](int i, bool stream) {
    return Json{{"prompt", "The number " + std::to_string(i)},
                {"max_tokens", 24},
                {"temperature", 1},
                {"seed", i},
                {"stream", stream}}
        .dump();
  };
  for (int i = 0; i < 8; ++i) {
    alone.push_back(Parsed(Ask(*server, LocalPost("/v1/completions", body(i, false))))["choices"][0]["text"]);
  }
  std::vector<Client> clients;
  for (int i = 0; i < 64; ++i) {
    clients.emplace_back(server->port());
    ASSERT_TRUE(clients.back().Send(LocalPost("/v1/completions", body(i % 8, true))));
  }
  for (int i = 0; i < 64; ++i) {
    const auto answer = clients[static_cast<size_t>(i)].Read();
    ASSERT_TRUE(answer.has_value() && answer->whole);
    std::string text;
    for (size_t at = 0; (at = answer->body.find("data: {", at)) != std::string::npos; ++at) {
      const size_t end = answer->body.find('\n', at);
      const absl::StatusOr<Json> chunk = ParseJson(answer->body.substr(at + 6, end - at - 6), "chunk");
      ASSERT_TRUE(chunk.ok());
      text += (*chunk)["choices"][0]["text"];
    }
    EXPECT_EQ(text, alone[static_cast<size_t>(i % 8)]);
  }
}

}  // namespace
}  // namespace qiao::serve
