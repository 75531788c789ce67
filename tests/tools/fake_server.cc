#include "tests/tools/fake_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "runtime/base/json.h"

namespace qiao::tools {
namespace {

constexpr size_t kMostHead = 16 << 10, kMostBody = 1 << 20;

std::string Quoted(std::string_view text) { return Json(std::string(text)).dump(); }

}  // namespace

std::string FakeRequest::Header(const std::string& name) const {
  for (const absl::string_view line : absl::StrSplit(head, "\r\n")) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (absl::EqualsIgnoreCase(parts.first, name))
      return std::string(absl::StripAsciiWhitespace(parts.second));
  }
  return "";
}

bool FakeReply::Send(std::string_view bytes, size_t step) {
  if (closed_) return false;
  while (!bytes.empty()) {
    const size_t n = step == 0 ? bytes.size() : std::min(step, bytes.size());
    const ssize_t sent = ::send(socket_, bytes.data(), n, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void FakeReply::Answer(int status, std::string_view body, std::string_view more_headers,
                       std::string_view type) {
  Send(absl::StrCat("HTTP/1.1 ", status, " Whatever\r\nServer: fake\r\nContent-Type: ", Abs(type),
                    "\r\nContent-Length: ", body.size(), "\r\n", Abs(more_headers), "\r\n", Abs(body)));
}

bool FakeReply::StartStream() {
  return Send(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: "
      "chunked\r\n\r\n");
}
bool FakeReply::Chunk(std::string_view bytes) {
  return Send(absl::StrFormat("%x\r\n%s\r\n", bytes.size(), bytes));
}
void FakeReply::EndStream() { Send("0\r\n\r\n"); }
void FakeReply::Stream(std::string_view events, size_t step) {
  StartStream();
  for (size_t at = 0; at < events.size(); at += step) Chunk(events.substr(at, step));
  EndStream();
}

void FakeReply::Close() {
  closed_ = true;
  ::shutdown(socket_, SHUT_RDWR);
}

void FakeReply::Reset() {
  const linger hard = {1, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  closed_ = true;  // and the connection's thread closes it
}

bool FakeReply::gone() const {
  char byte;
  return ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

FakeServer::FakeServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 256) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

FakeServer::~FakeServer() {
  stopping_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
}

std::string FakeServer::url() const { return absl::StrCat("http://127.0.0.1:", port_); }

void FakeServer::Accept() {
  while (!stopping_) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) continue;
    ++accepted_;
    ++open_;
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const std::lock_guard<std::mutex> lock(mutex_);
    sockets_.push_back(socket);
    if (stopping_) ::shutdown(socket, SHUT_RDWR);
    threads_.emplace_back([this, socket] { Serve(socket); });
  }
}

void FakeServer::Serve(int socket) {
  std::string bytes;
  char buffer[65536];
  FakeReply reply(socket);
  const auto more = [&] {
    const ssize_t n = ::recv(socket, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    bytes.append(buffer, static_cast<size_t>(n));
    return true;
  };
  const auto refuse = [&](int status) {
    reply.Answer(status, R"({"error":{"message":"no"}})", "Connection: close\r\n");
    reply.Close();
  };
  while (!reply.closed()) {
    size_t end;
    while ((end = bytes.find("\r\n\r\n")) == std::string::npos && bytes.size() <= kMostHead && more()) {
    }
    if (end == std::string::npos) {
      if (bytes.size() > kMostHead) refuse(431);
      break;
    }
    FakeRequest request;
    request.head = bytes.substr(0, end);
    bytes.erase(0, end + 4);
    const std::vector<std::string> line =
        absl::StrSplit(request.head.substr(0, request.head.find("\r\n")), ' ');
    uint64_t length = 0;
    const std::string given = request.Header("content-length");
    const bool understood = line.size() == 3 && absl::StartsWith(line[2], "HTTP/1.1") &&
                            request.Header("transfer-encoding").empty() &&
                            request.head.find('\0') == std::string::npos &&
                            (given.empty() || absl::SimpleAtoi(given, &length));
    if (!understood || length > kMostBody) {
      refuse(understood ? 413 : 400);
      break;
    }
    request.method = line[0];
    request.path = line[1];
    bool whole = true;
    while (bytes.size() < length && (whole = more())) {
    }
    if (!whole) break;
    request.body = bytes.substr(0, length);
    bytes.erase(0, length);
    handler_(request, reply);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  sockets_.remove(socket);
  ::close(socket);
  --open_;
}

std::string TextEvent(std::string_view text, bool chat) {
  return absl::StrCat(R"(data: {"choices":[{"index":0,)",
                      chat ? absl::StrCat(R"("delta":{"content":)", Quoted(text), "}")
                           : absl::StrCat(R"("text":)", Quoted(text)),
                      R"(,"finish_reason":null}]})", "\n\n");
}

std::string FinishEvents(int64_t prompt_tokens, int64_t completion_tokens, bool chat,
                         std::string_view reason) {
  return absl::StrCat(R"(data: {"choices":[{"index":0,)", chat ? R"("delta":{})" : R"("text":"")",
                      R"(,"finish_reason":)", Quoted(reason), "}]}\n\n",
                      R"(data: {"choices":[],"usage":{"prompt_tokens":)", prompt_tokens,
                      R"(,"completion_tokens":)", completion_tokens,
                      R"(,"prompt_tokens_details":{"cached_tokens":1}}})", "\n\ndata: [DONE]\n\n");
}

FakeServer::Handler OnPost(FakeServer::Handler post) {
  return [post = std::move(post)](const FakeRequest& request, FakeReply& reply) {
    if (request.path == "/v1/models") return reply.Answer(200, ModelsAnswer());
    if (request.method == "POST") return post(request, reply);
    reply.Answer(404, R"({"error":{"message":"no such route"}})");
  };
}

std::string ModelsAnswer() { return R"({"object":"list","data":[{"id":"fake-model","object":"model"}]})"; }

std::string StatsAnswer(int64_t running, int64_t waiting, int64_t generated) {
  return absl::StrFormat(
      R"({"model":{"id":"fake-model","family":"fake family","context":512,"weight_format":"fake weights",)"
      R"("cache_bytes_per_token":768},"now":{"running":%d,"waiting":%d,"pages":40,"pages_free":40,"pages_cached":0,)"
      R"("connections":1},"totals":{"prompt_tokens":0,"generated_tokens":%d,"steps":7,"rows":9,"step_seconds":0.5}})",
      running, waiting, generated);
}

}  // namespace qiao::tools
