// Event streams, and the answers that carry them: cut anywhere, and wrong.
#include "tools/infer/load/http_response.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tools/infer/load/sse.h"

namespace qiao::tools {
namespace {

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

}  // namespace
}  // namespace qiao::tools
