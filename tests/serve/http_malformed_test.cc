// Requests that must not be served, over sockets: a refusal or an end, at once, and a server that goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/base/json.h"
#include "tests/serve/http_fixture.h"
#include "tests/serve/malformed.h"

namespace qiao::serve {
namespace {

class HttpMalformedTest : public HttpTest {};

TEST_F(HttpMalformedTest, EachIsRefusedAndClosed) {
  HttpOptions options;
  // Where a case only begins a request, the wait is what is left to end it.
  options.limits.header_time = options.limits.body_idle = std::chrono::milliseconds(1000);
  Start(std::move(options));
  const std::vector<Malformed> all = MalformedRequests();
  ASSERT_GT(all.size(), 800u);
  std::vector<Client> clients;
  // All at once: some of them wait for a timeout.
  for (const Malformed& bad : all) {
    Client& client = clients.emplace_back(server_->port());
    ASSERT_TRUE(client.ok()) << bad.name;
    client.Send(bad.bytes);  // may fail: the server may have refused already
  }
  for (size_t i = 0; i < all.size(); ++i) {
    const Malformed& bad = all[i];
    const auto answer = clients[i].Read();
    EXPECT_FALSE(clients[i].timed_out()) << bad.name << ": no answer and no end";
    if (bad.status != 0) {
      ASSERT_TRUE(answer) << bad.name;
      EXPECT_EQ(answer->status, bad.status) << bad.name << " " << answer->body;
    }
    if (!answer) continue;
    EXPECT_TRUE(answer->status >= 400 && answer->status < 600) << bad.name;
    EXPECT_EQ(answer->Header("connection"), "close") << bad.name;
    EXPECT_EQ(answer->Header("content-type"), "application/json") << bad.name;
    EXPECT_THAT(answer->Header("x-request-id"), testing::StartsWith("req_")) << bad.name;
    const auto json = ParseJson(answer->body, "body");
    ASSERT_TRUE(json.ok()) << bad.name << json.status();
    EXPECT_TRUE(json->at("error").at("message").is_string()) << bad.name;
    EXPECT_TRUE(json->at("error").at("type").is_string()) << bad.name;
    EXPECT_TRUE(json->at("error").at("param").is_null()) << bad.name;
    EXPECT_TRUE(json->at("error").at("code").is_string()) << bad.name;
    EXPECT_EQ(clients[i].ReadAll(), "") << bad.name << ": something followed the refusal";
    EXPECT_FALSE(clients[i].timed_out()) << bad.name << ": the connection stays open";
  }
  EXPECT_EQ(handled_, 0);
  clients.clear();
  ExpectHealthy();
  EXPECT_TRUE(Eventually([&] { return server_->counters().connections == 0; }));
}

// A sound request, and behind it what smuggles a second one: that is never run.
TEST_F(HttpMalformedTest, NothingIsSmuggled) {
  Start();
  const std::string hidden = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
  for (const std::string& framing : std::vector<std::string>{
           "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
           "Content-Length: 0\r\nContent-Length: 34\r\n", "Transfer-Encoding: x\r\n",
           "Content-Length: +0\r\n", "Content-Length: 0\r\n \r\n", "Content-Length : 0\r\n"}) {
    Client client(server_->port());
    ASSERT_TRUE(client.Send(Get("/hello")));
    ASSERT_EQ(client.Read()->status, 200);
    client.Send("POST /echo HTTP/1.1\r\nHost: x\r\n" + framing + "\r\n0\r\n\r\n" + hidden);
    const auto refused = client.Read();
    ASSERT_TRUE(refused);
    EXPECT_GE(refused->status, 400) << framing;
    EXPECT_EQ(client.ReadAll(), "") << framing;
  }
}

}  // namespace
}  // namespace qiao::serve
