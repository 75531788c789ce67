// Clients that vanish, crowds that idle, descriptors that run out, and the end of the server.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <future>

#include "tests/serve/http_fixture.h"

namespace qiao::serve {
namespace {

using std::chrono::milliseconds;

class HttpAbuseTest : public HttpTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit most = before_;
    most.rlim_cur = std::min<rlim_t>(most.rlim_max, 20'000);
    setrlimit(RLIMIT_NOFILE, &most);
  }
  void TearDown() override {
    HttpTest::TearDown();
    setrlimit(RLIMIT_NOFILE, &before_);
  }

  rlimit before_{};
};

TEST_F(HttpAbuseTest, VanishingClientsAreNoticed) {
  Start();
  int expected = 0;
  for (const std::string path : {"/hold", "/hold-stream"}) {
    for (const bool reset : {false, true}) {
      for (const std::string more :
           {"", "GET /hello HTTP/1.1\r\n", "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"}) {
        Client client(server_->port());
        ASSERT_TRUE(client.Send(Get(path) + more));
        const Held held = WaitHeld(static_cast<size_t>(++expected));
        EXPECT_FALSE(held.responder->gone());
        if (reset) {
          client.Reset();
        } else {
          client.Close();
        }
        EXPECT_TRUE(Eventually([&] { return gone_ == expected; })) << path << reset << more;
        EXPECT_TRUE(held.responder->gone());
        EXPECT_FALSE(held.responder->Write("x"));
        held.responder->Send({});
        held.responder->EndStream();
        // Set afterwards, it is called at once.
        bool called = false;
        held.responder->OnGone([&called] { called = true; });
        EXPECT_TRUE(called);
      }
    }
  }
  EXPECT_TRUE(Eventually([&] { return server_->counters().connections == 0; }));
  EXPECT_EQ(server_->counters().vanished, expected);
  EXPECT_EQ(server_->counters().active_requests, 0);
  EXPECT_EQ(server_->counters().open_streams, 0);
  Release();
  EXPECT_EQ(gone_, expected) << "once each";
  ExpectHealthy();
}

// One whose early bytes fill what is kept of them is not read from any more; that it leaves is noticed nevertheless.
TEST_F(HttpAbuseTest, VanishingBehindAFullBufferIsNoticed) {
  Start();
  for (int i = 0; i < 2; ++i) {
    Client client(server_->port());
    ASSERT_TRUE(client.Send(Get("/hold") + std::string(100 << 10, 'A')));
    WaitHeld(static_cast<size_t>(i + 1));
    std::this_thread::sleep_for(milliseconds(50));
    EXPECT_EQ(gone_, i);
    if (i == 0) client.Reset();
    client.Close();
    EXPECT_TRUE(Eventually([&] { return gone_ == i + 1; }));
  }
}

TEST_F(HttpAbuseTest, ClientsThatShutTheirSendingHalfAreGone) {
  Start();
  Client client(server_->port());
  ASSERT_TRUE(client.Send(Get("/hold")));
  WaitHeld();
  client.ShutdownSend();
  EXPECT_TRUE(Eventually([&] { return gone_ == 1; }));
}

TEST_F(HttpAbuseTest, ACompleteAnswerIsNotGone) {
  Start();
  {
    Client client(server_->port());
    ASSERT_TRUE(client.Send(Get("/hold")));
    const Held held = WaitHeld();
    held.responder->Send({});
    ASSERT_TRUE(client.Read());
  }
  EXPECT_TRUE(Eventually([&] { return server_->counters().connections == 0; }));
  EXPECT_EQ(gone_, 0);
  EXPECT_EQ(server_->counters().vanished, 0);
}

// Many threads write to many streams whose clients come and go; each end is told exactly once.
TEST_F(HttpAbuseTest, VanishingUnderLoad) {
  Start();
  constexpr int kClients = 60;
  std::vector<Client> clients;
  for (int i = 0; i < kClients; ++i) {
    ASSERT_TRUE(clients.emplace_back(server_->port()).Send(Get("/hold-stream")));
  }
  WaitHeld(kClients);
  std::vector<Held> held;
  {
    const std::lock_guard lock(mutex_);
    held = held_;
  }
  std::vector<std::future<void>> writers;
  for (int t = 0; t < 3; ++t) {
    writers.push_back(std::async(std::launch::async, [&held, t] {
      for (int round = 0; round < 200; ++round) {
        for (size_t i = static_cast<size_t>(t); i < held.size(); i += 3)
          held[i].responder->Write("some text");
      }
      for (size_t i = static_cast<size_t>(t); i < held.size(); i += 3) {
        if (i % 2 == 0) held[i].responder->EndStream();
      }
    }));
  }
  for (size_t i = 0; i < kClients; ++i) {
    if (i % 4 == 1) clients[i].Reset();
    if (i % 4 == 3) clients[i].Close();
  }
  for (auto& writer : writers) writer.get();
  // `held` has other streams than `clients` at a number: what counts is the sum.
  for (size_t i = 0; i < kClients; i += 2) {
    (void)clients[i].ReadSome();
    clients[i].Close();
  }
  for (Held& one : held) one.responder->EndStream();
  EXPECT_TRUE(Eventually([&] { return server_->counters().connections == 0; }));
  EXPECT_EQ(gone_, server_->counters().vanished);
  EXPECT_GE(gone_, 1);
  EXPECT_EQ(server_->counters().open_streams, 0);
  EXPECT_EQ(server_->counters().active_requests, 0);
}

// The sanitizers keep freed memory resident for a while, and count what is really in use.
extern "C" size_t __sanitizer_get_current_allocated_bytes() __attribute__((weak));

int64_t BytesInUse() {
  if (__sanitizer_get_current_allocated_bytes) {
    return static_cast<int64_t>(__sanitizer_get_current_allocated_bytes());
  }
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

TEST_F(HttpAbuseTest, IdleConnectionsAreSmall) {
  constexpr int kConnections = 2500;
  Start();
  ExpectHealthy();
  std::vector<Client> clients;
  clients.reserve(kConnections);
  const int64_t before = BytesInUse();
  for (int i = 0; i < kConnections; ++i) {
    ASSERT_TRUE(clients.emplace_back(server_->port()).ok()) << i;
    // Each has been used, with a body and an answer of some size, before it idles.
    ASSERT_TRUE(clients.back().Send(Post("/echo", std::string(20'000, 'a'))));
    ASSERT_TRUE(clients.back().Read());
  }
  EXPECT_EQ(server_->counters().connections, kConnections);
  // The server's share and the clients' own together: an upper bound.
  const int64_t each = (BytesInUse() - before) / kConnections;
  RecordProperty("bytes_each", static_cast<int>(each));
  std::printf("%lld bytes for each idle connection, both ends\n", static_cast<long long>(each));
  EXPECT_LE(each, 32 << 10);
  // They still work, and a new one has its turn.
  for (int i = 0; i < kConnections; i += 100) {
    const auto answer = clients[static_cast<size_t>(i)].Ask(Get("/hello"));
    ASSERT_TRUE(answer) << i;
    EXPECT_EQ(answer->body, "hello");
  }
  ExpectHealthy();
}

double ProcessSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

TEST_F(HttpAbuseTest, DescriptorsRunOut) {
  Start();
  Client first(server_->port());
  ASSERT_TRUE(first.Ask(Get("/hello")));
  // As many as there are: clients connect (the kernel queues them), and the server has none left to accept with.
  std::vector<int> taken;
  rlimit few{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<Client> clients;
  for (int i = 0; i < 20; ++i) clients.emplace_back(server_->port());
  ASSERT_TRUE(Eventually([&] { return server_->counters().accepted == 21; }));
  few.rlim_cur = 64 + 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  // One descriptor is kept for the client, and none is left for the server's end of it.
  for (int fd; (fd = dup(0)) >= 0;) taken.push_back(fd);
  ASSERT_FALSE(taken.empty());
  close(taken.back());
  taken.pop_back();
  Client waiting(server_->port());
  ASSERT_TRUE(waiting.ok());
  ASSERT_TRUE(waiting.Send(Get("/hello")));
  const double before = ProcessSeconds();
  std::this_thread::sleep_for(milliseconds(500));
  // It does not spin: half a second of trying would be half a second of work.
  EXPECT_LT(ProcessSeconds() - before, 0.25);
  EXPECT_EQ(server_->counters().accepted, 21);
  EXPECT_TRUE(first.Ask(Get("/hello"))) << "those that are there are served";
  for (const int fd : taken) close(fd);
  const auto answer = waiting.Read();
  ASSERT_TRUE(answer) << "and the one that waited, too";
  EXPECT_EQ(answer->body, "hello");
}

// ---- the end ----

TEST_F(HttpAbuseTest, DrainLetsAnswersEnd) {
  Start();
  Client idle(server_->port()), whole(server_->port()), stream(server_->port()), half(server_->port());
  ASSERT_TRUE(idle.Ask(Get("/hello")));
  ASSERT_TRUE(whole.Send(Get("/hold")));
  const Held held_whole = WaitHeld(1);
  ASSERT_TRUE(stream.Send(Get("/hold-stream")));
  const Held held_stream = WaitHeld(2);
  ASSERT_TRUE(half.Ask(Get("/hello")));
  ASSERT_TRUE(half.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab"));
  ASSERT_TRUE(Eventually([&] { return server_->counters().connections == 4; }));
  std::this_thread::sleep_for(milliseconds(50));

  const uint16_t port = server_->port();
  auto drained = std::async(std::launch::async, [&] { return server_->Drain(milliseconds(10'000)); });
  EXPECT_EQ(idle.ReadAll(), "");
  EXPECT_TRUE(Eventually([&] { return !Client(port).ok(); })) << "nobody is let in";
  EXPECT_NE(drained.wait_for(milliseconds(100)), std::future_status::ready);

  ASSERT_TRUE(half.Send("cd"));
  const auto echoed = half.Read();
  ASSERT_TRUE(echoed);
  EXPECT_EQ(echoed->body, "POST /echo  abcd");
  EXPECT_EQ(echoed->Header("connection"), "close");
  held_whole.responder->Send({});
  const auto answer = whole.Read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->Header("connection"), "close");
  EXPECT_EQ(whole.ReadAll(), "");
  EXPECT_TRUE(held_stream.responder->Write("last"));
  held_stream.responder->EndStream();
  const auto streamed = stream.Read();
  ASSERT_TRUE(streamed);
  EXPECT_EQ(streamed->body, "first,last");
  EXPECT_TRUE(streamed->whole);
  EXPECT_TRUE(drained.get());
  EXPECT_EQ(gone_, 0);
}

// Requests that have come and are not read yet count, too: an idle connection that is closed before them is not the end.
TEST_F(HttpAbuseTest, DrainWaitsForWhatTheKernelHas) {
  std::mutex gate;
  std::unique_lock closed(gate);
  std::atomic<bool> stopped{false};
  HttpOptions options;
  options.access = [&](const AccessRecord& record) {  // stops the network thread once
    if (record.path != "/none") return;
    stopped = true;
    const std::lock_guard wait(gate);
  };
  Start(std::move(options));
  Client idle(server_->port()), late(server_->port()), last(server_->port());
  ASSERT_TRUE(idle.Ask(Get("/hello")));
  ASSERT_TRUE(late.Ask(Get("/hello")));
  ASSERT_TRUE(last.Ask(Get("/none")));
  ASSERT_TRUE(Eventually([&] { return stopped.load(); }));
  ASSERT_TRUE(late.Send(Get("/hold")));
  auto drained = std::async(std::launch::async, [&] { return server_->Drain(milliseconds(10'000)); });
  std::this_thread::sleep_for(milliseconds(50));
  closed.unlock();
  const Held held = WaitHeld();
  EXPECT_NE(drained.wait_for(milliseconds(100)), std::future_status::ready);
  held.responder->Send({});
  const auto answer = late.Read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->Header("connection"), "close");
  EXPECT_TRUE(drained.get());
}

TEST_F(HttpAbuseTest, DrainGivesUp) {
  Start();
  Client client(server_->port());
  ASSERT_TRUE(client.Send(Get("/hold")));
  const Held held = WaitHeld();
  EXPECT_FALSE(server_->Drain(milliseconds(50)));
  EXPECT_EQ(gone_, 0);
  server_.reset();
  EXPECT_EQ(gone_, 1);
  EXPECT_TRUE(client.ReadAll().empty());
  // A Responder may outlive its server.
  held.responder->Send({});
  EXPECT_FALSE(held.responder->Write("x"));
  EXPECT_TRUE(held.responder->gone());
}

TEST_F(HttpAbuseTest, DrainOfAnIdleServer) {
  Start();
  EXPECT_TRUE(server_->Drain(milliseconds(10'000)));
  EXPECT_TRUE(server_->Drain(milliseconds(10'000))) << "again";
}

TEST_F(HttpAbuseTest, StartsAndEndsUnderLoad) {
  for (int i = 0; i < 20; ++i) {
    Start();
    std::vector<Client> clients;
    for (int k = 0; k < 10; ++k) {
      clients.emplace_back(server_->port())
          .Send(Get(k % 3 == 0   ? "/hold-stream"
                    : k % 3 == 1 ? "/hello"
                                 : "/big"));
    }
    if (i % 2) WaitHeld(1);
    server_.reset();
    Release();
  }
}

}  // namespace
}  // namespace qiao::serve
