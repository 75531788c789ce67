// What is read, what is refused with which status, and that neither depends on where the pieces end.
#include "runtime/serve/http/request_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/serve/malformed.h"

namespace qiao::serve {
namespace {

// The status of the refusal, 200 for a whole request, 0 for one that goes on. `size` is that of the pieces.
int Read(std::string_view bytes, size_t size, HttpError* error = nullptr) {
  const HttpLimits limits;
  RequestReader reader(limits);
  while (!bytes.empty()) {
    std::string_view piece = bytes.substr(0, size);
    const size_t fed = reader.Feed(piece);
    bytes.remove_prefix(fed);
    if (reader.state() == RequestReader::State::kError) {
      if (error) *error = reader.error();
      return reader.error().status;
    }
    if (reader.state() == RequestReader::State::kDone) return 200;
  }
  return 0;
}

TEST(RequestReader, RefusesWithTheStatusThatSaysWhy) {
  for (const Malformed& bad : MalformedRequests()) {
    if (bad.status == 0) continue;
    HttpError whole, cut;
    EXPECT_EQ(Read(bad.bytes, bad.bytes.size(), &whole), bad.status) << bad.name;
    for (const size_t size : {1, 2, 3, 7, 64}) {
      EXPECT_EQ(Read(bad.bytes, size, &cut), bad.status) << bad.name;
      EXPECT_EQ(cut, whole) << bad.name;
    }
    EXPECT_FALSE(whole.message.empty()) << bad.name;
    EXPECT_FALSE(whole.code.empty()) << bad.name;
  }
}

TEST(RequestReader, AcceptsWhatIsUnusualAndSound) {
  const std::string host = "Host: x\r\n";
  for (const std::string& request : std::vector<std::string>{
           "\r\n\r\nGET / HTTP/1.1\r\n" + host + "\r\n",
           "M-SEARCH* /a HTTP/1.1\r\n" + host + "\r\n",
           "GET /%E6%A1%A5?%zz HTTP/1.1\r\n" + host + "\r\n",
           "GET HTTPS://x/a HTTP/1.1\r\n" + host + "\r\n",
           "GET http://x?q HTTP/1.1\r\n" + host + "\r\n",
           "GET / HTTP/1.1\r\nhOsT:\r\n\r\n",
           "GET / HTTP/1.1\r\nHost:\t[::1]:80 \r\nA:\r\nB: \xC3\xA9\tx\r\n\r\n",
           "GET / HTTP/1.0\r\n\r\n",
           "POST / HTTP/1.1\r\n" + host + "Content-Length: 0003\r\n\r\nabc",
           "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: \tCHUNKED \r\n\r\n000\r\n\r\n",
           "POST / HTTP/1.0\r\nExpect: nothing\r\nContent-Length: 1\r\n\r\na",
           "GET / HTTP/1.1\r\n" + host + "Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n\r\n",
       }) {
    HttpError error;
    EXPECT_EQ(Read(request, request.size(), &error), 200) << request << error.message;
    EXPECT_EQ(Read(request, 1, &error), 200) << request << error.message;
  }
}

TEST(RequestReader, LimitsAreExact) {
  const HttpLimits limits;
  const auto with_target = [](int64_t bytes) {
    return "GET /" + std::string(static_cast<size_t>(bytes - 1), 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n";
  };
  EXPECT_EQ(Read(with_target(limits.target_bytes), 1000), 200);
  EXPECT_EQ(Read(with_target(limits.target_bytes + 1), 1000), 414);

  const auto with_head = [](int64_t bytes) {
    const std::string start = "GET / HTTP/1.1\r\nHost: x\r\nA: ", end = "\r\n\r\n";
    return start + std::string(static_cast<size_t>(bytes) - start.size() - end.size(), 'a') + end;
  };
  EXPECT_EQ(Read(with_head(limits.header_bytes), 1000), 200);
  EXPECT_EQ(Read(with_head(limits.header_bytes + 1), 1000), 431);

  const auto with_headers = [](int64_t count) {
    std::string request = "GET / HTTP/1.1\r\nHost: x\r\n";
    for (int64_t i = 1; i < count; ++i) request += "A: b\r\n";
    return request + "\r\n";
  };
  EXPECT_EQ(Read(with_headers(limits.headers), 1000), 200);
  EXPECT_EQ(Read(with_headers(limits.headers + 1), 1000), 431);

  const auto with_length = [](int64_t bytes) {
    return "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n";
  };
  EXPECT_EQ(Read(with_length(limits.body_bytes), 1000), 0);
  EXPECT_EQ(Read(with_length(limits.body_bytes + 1), 1000), 413);
}

// A body takes memory as it comes, not as it is announced.
TEST(RequestReader, MemoryFollowsTheBody) {
  const HttpLimits limits;
  RequestReader reader(limits);
  reader.Feed("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n");
  ASSERT_EQ(reader.state(), RequestReader::State::kBody);
  EXPECT_LT(reader.body_held(), 100);
  EXPECT_EQ(reader.body_left(), 30'000'000);
  reader.Feed("some bytes");
  EXPECT_LE(reader.body_held(), 16 << 10);
  EXPECT_EQ(reader.body_left(), 30'000'000 - 10);
}

}  // namespace
}  // namespace qiao::serve
