// The transport's normal paths, over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <set>

#include "tests/serve/http_fixture.h"

namespace qiao::serve {
namespace {

using testing::HasSubstr;

TEST_F(HttpTest, AnswersAndKeepsTheConnection) {
  Start();
  Client client(server_->port());
  std::set<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    const auto answer = client.Ask(Get("/hello"));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "hello");
    EXPECT_EQ(answer->Header("content-length"), "5");
    EXPECT_EQ(answer->Header("content-type"), "text/plain");
    EXPECT_EQ(answer->Header("connection"), "keep-alive");
    EXPECT_THAT(answer->Header("date"), HasSubstr(" GMT"));
    EXPECT_THAT(answer->Header("x-request-id"), testing::MatchesRegex("req_[0-9A-Za-z]{24}"));
    ids.insert(answer->Header("x-request-id"));
  }
  EXPECT_EQ(ids.size(), 3u);
  EXPECT_EQ(server_->counters().accepted, 1);
  EXPECT_EQ(server_->counters().requests, 3);
}

TEST_F(HttpTest, GivesTheHandlerTheRequest) {
  Start();
  Client client(server_->port());
  const auto answer = client.Ask("PUT /ec%68o?a=%20b&c HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "PUT /echo a=%20b&c body");
  EXPECT_EQ(answer->Header("x-id"), answer->Header("x-request-id"));

  const auto absolute = client.Ask("GET http://x:80/echo?q HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(absolute);
  EXPECT_EQ(absolute->body, "GET /echo q ");

  ASSERT_TRUE(client.Send(Get("/hold", "X-Name:  some value \t\r\nx-name: second\r\n")));
  const Held held = WaitHeld();
  ASSERT_TRUE(held.request);
  EXPECT_EQ(held.request->Header("X-NAME"), "some value");
  EXPECT_EQ(held.request->Header("none"), "");
  EXPECT_THAT(held.request->peer, testing::StartsWith("127.0.0.1:"));
  held.responder->Send({});
  EXPECT_TRUE(client.Read());
}

TEST_F(HttpTest, LargeAnswersArriveWhole) {
  Start();
  Client client(server_->port());
  for (int i = 0; i < 3; ++i) {
    const auto answer = client.Ask(Get("/big"));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->body, std::string(1 << 20, 'b'));
  }
}

TEST_F(HttpTest, ReadsBodiesOfBothKinds) {
  Start();
  Client client(server_->port());
  const std::string large(3 << 20, 'x');
  auto answer = client.Ask(Post("/echo", large));
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->body == "POST /echo  " + large);

  answer = client.Ask(
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "3\r\nabc\r\n00a;name=\"va lue\"\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "POST /echo  abc0123456789");

  answer = client.Ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "POST /echo  ");
}

TEST_F(HttpTest, PipelinedRequestsAreAnsweredInOrder) {
  Start();
  Client client(server_->port());
  std::string all;
  for (int i = 0; i < 200; ++i)
    all += Post("/echo", std::to_string(i)) + "\r\n";  // and an empty line too much
  ASSERT_TRUE(client.Send(all));
  for (int i = 0; i < 200; ++i) {
    const auto answer = client.Read();
    ASSERT_TRUE(answer) << i;
    EXPECT_EQ(answer->body, "POST /echo  " + std::to_string(i));
  }
}

// Far more than the server keeps of what comes early: it stops reading, and goes on.
TEST_F(HttpTest, PipeliningBeyondTheBufferGoesOn) {
  Start();
  Client client(server_->port());
  const std::string body(1000, 'p');
  std::string all = Get("/hold");
  for (int i = 0; i < 500; ++i) all += Post("/echo", body);
  auto sender = std::async(std::launch::async, [&] { return client.Send(all); });
  const Held held = WaitHeld();
  EXPECT_EQ(handled_, 1) << "the second waits for the first";
  held.responder->Send({});
  ASSERT_TRUE(client.Read());
  for (int i = 0; i < 500; ++i) {
    const auto answer = client.Read();
    ASSERT_TRUE(answer) << i;
    EXPECT_TRUE(answer->body == "POST /echo  " + body);
  }
  EXPECT_TRUE(sender.get());
}

TEST_F(HttpTest, RequestsInSingleBytes) {
  Start();
  Client client(server_->port());
  for (const char c : Post("/echo", "slowly")) ASSERT_TRUE(client.Send({&c, 1}));
  const auto answer = client.Read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "POST /echo  slowly");
}

TEST_F(HttpTest, ExpectContinue) {
  Start();
  Client client(server_->port());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(
        client.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n"));
    const auto go = client.Read();
    ASSERT_TRUE(go);
    EXPECT_EQ(go->status, 100);
    ASSERT_TRUE(client.Send("abc"));
    const auto answer = client.Read();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "POST /echo  abc");
  }
  ASSERT_TRUE(client.Send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n"));
  const auto refused = client.Read();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 413) << "at once, and not 100";
}

TEST_F(HttpTest, Http10ClosesUnlessAsked) {
  Start();
  {
    Client client(server_->port());
    const auto answer = client.Ask("GET /hello HTTP/1.0\r\n\r\n");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->body, "hello");
    EXPECT_EQ(answer->Header("connection"), "close");
    EXPECT_EQ(client.ReadSome(), "");
    EXPECT_FALSE(client.timed_out());
  }
  {
    Client client(server_->port());
    for (int i = 0; i < 2; ++i) {
      const auto answer = client.Ask("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->Header("connection"), "keep-alive");
    }
    const auto stream = client.Ask("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    ASSERT_TRUE(stream);
    EXPECT_FALSE(stream->chunked) << "HTTP/1.0 knows no chunks";
    EXPECT_EQ(stream->body, "one,two,three");
    EXPECT_TRUE(stream->whole);
  }
  {
    Client client(server_->port());
    const auto cut = client.Ask("GET /cut HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(!cut || !cut->whole) << "only a reset tells that something is missing";
  }
}

TEST_F(HttpTest, HeadHasNoBody) {
  Start();
  Client client(server_->port());
  for (const std::string path : {"/hello", "/big", "/stream", "/hello"}) {
    ASSERT_TRUE(client.Send("HEAD " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"));
    const auto answer = client.Read(/*head=*/true);
    ASSERT_TRUE(answer) << path;
    EXPECT_EQ(answer->status, 200) << path;
    EXPECT_EQ(answer->Header("content-length"), path == "/hello" ? "5" : path == "/big" ? "1048576" : "");
  }
  const auto answer = client.Ask(Get("/hello"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "hello") << "nothing came in between";
}

TEST_F(HttpTest, ConnectionCloseIsObeyed) {
  Start();
  Client client(server_->port());
  ASSERT_TRUE(client.Send(Get("/hello", "Connection: close\r\n") + Get("/hello")));
  const auto answer = client.Read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->Header("connection"), "close");
  EXPECT_EQ(client.ReadSome(), "");
  EXPECT_FALSE(client.timed_out());
  EXPECT_FALSE(client.reset());
  EXPECT_EQ(handled_, 1);
}

TEST_F(HttpTest, StreamsComeInChunks) {
  Start();
  Client client(server_->port());
  for (int i = 0; i < 2; ++i) {
    const auto answer = client.Ask(Get("/stream"));
    ASSERT_TRUE(answer);
    EXPECT_TRUE(answer->chunked);
    EXPECT_EQ(answer->Header("content-length"), "");
    EXPECT_EQ(answer->body, "one,two,three");
    EXPECT_TRUE(answer->whole);
  }
  EXPECT_TRUE(Eventually([&] { return server_->counters().open_streams == 0; }));
}

TEST_F(HttpTest, PiecesArriveAsTheyAreWritten) {
  Start();
  Client client(server_->port());
  ASSERT_TRUE(client.Send(Get("/hold-stream")));
  const Held held = WaitHeld();
  std::string seen;
  while (seen.find("first,") == seen.npos) seen += client.ReadSome();
  EXPECT_EQ(server_->counters().open_streams, 1);
  for (int i = 0; i < 50; ++i) {
    const std::string piece = "piece " + std::to_string(i) + ";";
    EXPECT_TRUE(held.responder->Write(piece));
    while (seen.find(piece) == seen.npos) {
      const std::string more = client.ReadSome();
      ASSERT_FALSE(more.empty());
      seen += more;
    }
  }
  held.responder->EndStream();
  EXPECT_FALSE(held.responder->Write("too late"));
  held.responder->EndStream();
  while (seen.find("\r\n0\r\n\r\n") == seen.npos) seen += client.ReadSome();
  EXPECT_EQ(gone_, 0);
}

TEST_F(HttpTest, WhatAHandlerForgets) {
  Start();
  Client client(server_->port());
  for (const std::string path : {"/silent", "/throw"}) {
    const auto answer = client.Ask(Get(path));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 500);
    EXPECT_THAT(answer->body, HasSubstr("\"code\":\"internal_error\""));
    EXPECT_THAT(answer->body, HasSubstr("\"type\":\"server_error\""));
  }
  const auto cut = client.Ask(Get("/cut"));
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->body, "one,two,three") << "what was written arrives";
  EXPECT_FALSE(cut->whole) << "but not the end";
  ExpectHealthy();
}

TEST_F(HttpTest, OnlyTheFirstAnswerCounts) {
  Start();
  Client client(server_->port());
  ASSERT_TRUE(client.Send(Get("/hold")));
  const Held held = WaitHeld();
  EXPECT_FALSE(held.responder->Write("before the start"));
  HttpResponse first, second;
  first.body = "first";
  second.body = "second";
  held.responder->Send(first);
  held.responder->Send(second);
  held.responder->StartStream(second);
  held.responder->EndStream();
  const auto answer = client.Read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "first");
  EXPECT_EQ(client.Ask(Get("/hello"))->body, "hello");
}

TEST_F(HttpTest, HeadersOfAnswersAreChecked) {
  HttpOptions options;
  options.headers = {{"Server", "qiao"}, {"X-Common", "common"}, {"bad name", "x"}};
  Start(std::move(options));
  Client client(server_->port());
  ASSERT_TRUE(client.Send(Get("/hold")));
  HttpResponse response;
  response.headers = {{"x-good", "yes"},   {"x-bad", "a\r\nInjected: 1"}, {"x common", "y"},
                      {"X-COMMON", "own"}, {"Content-Length", "7"},       {"x-request-id", "mine"}};
  WaitHeld().responder->Send(response);
  const auto answer = client.Read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->Header("server"), "qiao");
  EXPECT_EQ(answer->Header("x-good"), "yes");
  EXPECT_EQ(answer->Header("x-bad"), "");
  EXPECT_EQ(answer->Header("injected"), "");
  EXPECT_EQ(answer->Header("x-common"), "own");
  EXPECT_EQ(answer->Header("content-length"), "0");
  EXPECT_NE(answer->Header("x-request-id"), "mine");
  EXPECT_EQ(client.Ask(Get("/none"))->Header("x-common"), "common");
}

TEST_F(HttpTest, AccessRecords) {
  std::mutex mutex;
  std::vector<std::string> lines;
  HttpOptions options;
  options.access = [&](const AccessRecord& record) {
    const std::lock_guard lock(mutex);
    lines.push_back(std::string(record.method) + " " + std::string(record.path) + " " +
                    std::to_string(record.status) + " " + std::to_string(record.bytes) +
                    (record.id.empty() ? " no id" : "") +
                    (record.seconds >= 0 && record.seconds < 10 ? "" : " bad time"));
  };
  Start(std::move(options));
  {
    Client client(server_->port());
    ASSERT_TRUE(client.Ask(Get("/hello")));
    ASSERT_TRUE(client.Ask(Get("/big")));
    ASSERT_TRUE(client.Send("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
    ASSERT_TRUE(client.Read(true));
    ASSERT_TRUE(client.Send(Get("/hold")));
    WaitHeld();
    client.Close();
    EXPECT_TRUE(Eventually([&] { return gone_ == 1; }));
  }
  server_.reset();
  EXPECT_THAT(lines, testing::ElementsAre("GET /hello 200 5", "GET /big 200 1048576", "HEAD /hello 200 0",
                                          "GET /hold 0 0"));
}

TEST_F(HttpTest, StartSaysWhatIsWrong) {
  Start();
  HttpOptions taken;
  taken.port = server_->port();
  const auto handler = [](auto, auto) {};
  const absl::Status in_use = HttpServer::Start(taken, handler).status();
  EXPECT_EQ(in_use.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(in_use.message()), HasSubstr("127.0.0.1:" + std::to_string(taken.port)));
  HttpOptions name;
  name.host = "localhost";
  EXPECT_EQ(HttpServer::Start(name, handler).status().code(), absl::StatusCode::kInvalidArgument);
  HttpOptions none;
  none.workers = 0;
  EXPECT_EQ(HttpServer::Start(none, handler).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(HttpTest, ServesIpv6) {
  HttpOptions options;
  options.host = "::1";
  auto server = HttpServer::Start(options, [](auto, auto) {});
  // A machine without IPv6 says so; one with it listens.
  if (server.ok()) {
    EXPECT_GT((*server)->port(), 0);
  } else {
    EXPECT_EQ(server.status().code(), absl::StatusCode::kUnavailable);
  }
}

}  // namespace
}  // namespace qiao::serve
