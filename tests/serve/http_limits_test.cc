// What a client cannot make the server hold or wait for.
#include <gtest/gtest.h>

#include "tests/serve/http_fixture.h"

namespace qiao::serve {
namespace {

using std::chrono::milliseconds;

class HttpLimitsTest : public HttpTest {};

TEST_F(HttpLimitsTest, BodiesBeyondTheLimit) {
  HttpOptions options;
  options.limits.body_bytes = 1000;
  Start(std::move(options));
  const std::string fits(1000, 'a'), large(1001, 'a');
  {
    Client client(server_->port());
    EXPECT_EQ(client.Ask(Post("/echo", fits))->status, 200);
    EXPECT_EQ(client.Ask(Post("/echo", large))->status, 413);
  }
  {
    Client client(server_->port());
    EXPECT_EQ(client
                  .Ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + fits +
                       "\r\n1\r\n")
                  ->status,
              413);
  }
  ExpectHealthy();
}

// The refusal arrives although the client goes on sending, and only then reads.
TEST_F(HttpLimitsTest, RefusalsSurviveWhatStillComes) {
  Start();
  Client client(server_->port());
  ASSERT_TRUE(client.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n"));
  ASSERT_TRUE(client.Send(std::string(8 << 20, 'a')));
  const auto refused = client.Read();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 413);
}

TEST_F(HttpLimitsTest, AllBodiesTogether) {
  HttpOptions options;
  options.limits.bodies_bytes = 100 << 10;
  Start(std::move(options));
  const std::string body(60 << 10, 'a');
  Client first(server_->port()), second(server_->port());
  ASSERT_TRUE(first.Send(Post("/hold", body)));
  WaitHeld();
  const auto refused = second.Ask(Post("/echo", body));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(refused->Header("retry-after"), "1");
  // An announced body is not a received one.
  Client third(server_->port());
  ASSERT_TRUE(third.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\na"));
  // The room is free again when nobody holds the request.
  WaitHeld().responder->Send({});
  ASSERT_TRUE(first.Read());
  Release();
  EXPECT_TRUE(Eventually([&] {
    Client again(server_->port());
    const auto answer = again.Ask(Post("/echo", body));
    return answer && answer->status == 200;
  }));
}

TEST_F(HttpLimitsTest, ConnectionsBeyondTheLimit) {
  HttpOptions options;
  options.limits.connections = 3;
  Start(std::move(options));
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(clients.emplace_back(server_->port()).Ask(Get("/hello")));
  }
  {
    Client refused(server_->port());
    const auto answer = refused.Read();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 503);
    EXPECT_EQ(answer->Header("retry-after"), "1");
    EXPECT_EQ(refused.ReadAll(), "");
  }
  EXPECT_TRUE(clients[0].Ask(Get("/hello"))) << "the others are not disturbed";
  EXPECT_GE(server_->counters().refused_connections, 1);
  clients.pop_back();
  EXPECT_TRUE(Eventually([&] {
    Client again(server_->port());
    const auto answer = again.Ask(Get("/hello"));
    return answer && answer->status == 200;
  }));
  // Many at once: some are told, the rest is closed, and none hangs.
  std::vector<Client> crowd;
  for (int i = 0; i < 300; ++i) crowd.emplace_back(server_->port());
  for (Client& client : crowd) {
    client.Send(Get("/hello", "Connection: close\r\n"));
    if (client.ok()) client.ReadAll();
    EXPECT_FALSE(client.timed_out());
  }
}

TEST_F(HttpLimitsTest, QueuedRequestsBeyondTheLimit) {
  std::mutex gate;
  std::unique_lock closed(gate);
  std::atomic<int> running{0};
  HttpOptions options;
  options.workers = 1;
  options.limits.queued_requests = 2;
  auto server = *HttpServer::Start(options, [&](auto, auto responder) {
    ++running;
    const std::lock_guard wait(gate);
    responder->Send({});
  });
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(clients.emplace_back(server->port()).Send(Get("/")));
    ASSERT_TRUE(Eventually([&] { return running == 1 && server->counters().queued_requests == i; }));
  }
  Client more(server->port());
  for (int i = 0; i < 2; ++i) {
    const auto refused = more.Ask(Get("/"));
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->status, 503);
    EXPECT_EQ(refused->Header("retry-after"), "1");
    EXPECT_EQ(refused->Header("connection"), "keep-alive") << "the client need not come anew";
  }
  closed.unlock();
  for (Client& client : clients) EXPECT_EQ(client.Read()->status, 200);
  EXPECT_EQ(more.Ask(Get("/"))->status, 200);
}

TEST_F(HttpLimitsTest, RequestsOfAConnection) {
  HttpOptions options;
  options.limits.requests_a_connection = 2;
  Start(std::move(options));
  Client client(server_->port());
  EXPECT_EQ(client.Ask(Get("/hello"))->Header("connection"), "keep-alive");
  EXPECT_EQ(client.Ask(Get("/hello"))->Header("connection"), "close");
  EXPECT_EQ(client.ReadAll(), "");
}

TEST_F(HttpLimitsTest, SlowHeadersAndBodies) {
  HttpOptions options;
  options.limits.header_time = milliseconds(200);
  options.limits.body_idle = milliseconds(200);
  options.limits.body_rate = 1;
  options.limits.keep_alive = milliseconds(60'000);
  Start(std::move(options));
  for (const std::string begun :
       {"GET / HTTP/1.1\r\nHost: x\r\nA: ", "G",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"}) {
    Client client(server_->port());
    const auto answer = client.Ask(begun);
    ASSERT_TRUE(answer) << begun;
    EXPECT_EQ(answer->status, 408) << begun;
    EXPECT_EQ(client.ReadAll(), "");
  }
  EXPECT_EQ(server_->counters().timeouts, 4);
  // Headers have a time for all of them, however steadily they trickle.
  Client slow(server_->port());
  EXPECT_TRUE(Eventually([&] {
    slow.Send("a");
    std::this_thread::sleep_for(milliseconds(20));
    return server_->counters().timeouts == 5;
  }));
  // Empty lines are no request: the connection is idle, and stays.
  Client idle(server_->port());
  ASSERT_TRUE(idle.Send("\r\n"));
  std::this_thread::sleep_for(milliseconds(500));
  const auto answer = idle.Ask(Get("/hello"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
}

TEST_F(HttpLimitsTest, BodiesThatTrickle) {
  HttpOptions options;
  options.limits.body_idle = milliseconds(200);
  options.limits.body_rate = 10'000;
  Start(std::move(options));
  Client client(server_->port());
  ASSERT_TRUE(client.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"));
  EXPECT_TRUE(Eventually([&] {
    client.Send("a");  // never idle
    std::this_thread::sleep_for(milliseconds(20));
    return server_->counters().timeouts == 1;
  }));
  EXPECT_EQ(client.Read()->status, 408);
}

TEST_F(HttpLimitsTest, IdleConnectionsEnd) {
  HttpOptions options;
  options.limits.keep_alive = milliseconds(500);
  Start(std::move(options));
  Client silent(server_->port()), used(server_->port());
  ASSERT_TRUE(used.Ask(Get("/hello")));
  EXPECT_EQ(silent.ReadAll(), "") << "without a word";
  EXPECT_EQ(used.ReadAll(), "");
  EXPECT_FALSE(silent.timed_out() || used.timed_out());
  EXPECT_EQ(server_->counters().timeouts, 0);
}

// A handler may take as long as it likes.
TEST_F(HttpLimitsTest, TimesDoNotRunWhileAHandlerWorks) {
  HttpOptions options;
  options.limits.header_time = options.limits.body_idle = options.limits.write_stall = milliseconds(50);
  Start(std::move(options));
  Client whole(server_->port()), stream(server_->port());
  ASSERT_TRUE(whole.Send(Get("/hold")));
  const Held held_whole = WaitHeld(1);
  ASSERT_TRUE(stream.Send(Get("/hold-stream")));
  const Held held_stream = WaitHeld(2);
  std::this_thread::sleep_for(milliseconds(400));
  held_whole.responder->Send({});
  EXPECT_TRUE(held_stream.responder->Write("later"));
  held_stream.responder->EndStream();
  EXPECT_EQ(whole.Read()->status, 200);
  const auto answer = stream.Read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "first,later");
  EXPECT_EQ(gone_, 0);
}

TEST_F(HttpLimitsTest, StreamsThatNobodyReadsAreCut) {
  Start();
  int cut = 0;
  // Faster than the server writes, and slowly: then it waits for the client in the middle of a write.
  for (const bool slowly : {false, true}) {
    Client client(server_->port(), 4096);
    ASSERT_TRUE(client.Send(Get("/hold-stream")));
    const Held held = WaitHeld(static_cast<size_t>(++cut));
    const std::string piece(64 << 10, 's');
    int64_t accepted = 0;
    // The kernel's buffers fill, then ours, then it is over.
    while (held.responder->Write(piece)) {
      accepted += static_cast<int64_t>(piece.size());
      ASSERT_LT(accepted, int64_t{64} << 20) << "never refused";
      if (slowly) std::this_thread::sleep_for(milliseconds(2));
    }
    EXPECT_TRUE(held.responder->gone());
    EXPECT_TRUE(Eventually([&] { return gone_ == cut; }));
    EXPECT_FALSE(held.responder->Write(piece));
    const auto answer = client.Read();
    EXPECT_TRUE(!answer || !answer->whole) << "it must not look complete";
    EXPECT_TRUE(Eventually([&] { return server_->counters().connections == 0; }));
    EXPECT_EQ(server_->counters().vanished, cut);
  }
  Release();
  EXPECT_EQ(gone_, cut);
}

TEST_F(HttpLimitsTest, ClientsThatTakeNothingAreCut) {
  HttpOptions options;
  options.limits.write_stall = milliseconds(200);
  options.limits.unsent_bytes = int64_t{1} << 30;
  Start(std::move(options));
  Client stream(server_->port(), 4096);
  ASSERT_TRUE(stream.Send(Get("/hold-stream")));
  const Held held = WaitHeld();
  for (int i = 0; i < 200; ++i) held.responder->Write(std::string(100 << 10, 's'));
  EXPECT_TRUE(Eventually([&] { return gone_ == 1; }));
  EXPECT_EQ(server_->counters().timeouts, 1);
  // And one whose whole answer is large.
  Client whole(server_->port(), 4096);
  ASSERT_TRUE(whole.Send(Get("/hold")));
  const Held second = WaitHeld(2);
  HttpResponse response;
  response.body.assign(20 << 20, 'w');
  second.responder->Send(std::move(response));
  EXPECT_TRUE(Eventually([&] { return gone_ == 2; }));
  ExpectHealthy();
}

// Slowly, but steadily: nothing is lost.
TEST_F(HttpLimitsTest, SlowReadersGetEverything) {
  HttpOptions options;
  options.limits.write_stall = milliseconds(5000);
  Start(std::move(options));
  Client client(server_->port(), 4096);
  ASSERT_TRUE(client.Send(Get("/big") + Get("/stream")));
  std::this_thread::sleep_for(milliseconds(100));
  const auto big = client.Read();
  ASSERT_TRUE(big);
  EXPECT_TRUE(big->body == std::string(1 << 20, 'b'));
  EXPECT_EQ(client.Read()->body, "one,two,three");
}

}  // namespace
}  // namespace qiao::serve
