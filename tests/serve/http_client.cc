#include "tests/serve/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "runtime/serve/http/characters.h"

namespace qiao::serve {

std::string Answer::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (EqualsIgnoringCase(key, name)) return value;
  }
  return "";
}

Client::Client(uint16_t port, int receive_buffer) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return;
  if (receive_buffer > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) Close();
}

bool Client::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd wait{fd_, POLLOUT, 0};
    if (poll(&wait, 1, 10'000) <= 0) return false;
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool Client::Fill() {
  pollfd wait{fd_, POLLIN, 0};
  if (poll(&wait, 1, 10'000) <= 0) {
    timed_out_ = true;
    return false;
  }
  char buffer[64 << 10];
  const ssize_t size = recv(fd_, buffer, sizeof buffer, 0);
  if (size < 0) reset_ = true;
  if (size <= 0) return false;
  in_.append(buffer, static_cast<size_t>(size));
  return true;
}

std::string Client::ReadSome() {
  if (in_.empty()) Fill();
  return std::exchange(in_, {});
}

std::string Client::ReadAll(bool* closed) {
  while (Fill()) {
  }
  if (closed) *closed = !timed_out_;
  return std::exchange(in_, {});
}

std::optional<Answer> Client::Read(bool head) {
  size_t end;
  while ((end = in_.find("\r\n\r\n")) == in_.npos) {
    if (!Fill()) return std::nullopt;
  }
  Answer answer;
  const std::string text = in_.substr(0, end + 2);
  in_.erase(0, end + 4);
  if (text.size() < 12 || text.substr(0, 9) != "HTTP/1.1 ") return std::nullopt;
  std::from_chars(text.data() + 9, text.data() + 12, answer.status);
  for (size_t at = text.find("\r\n") + 2; at < text.size();) {
    const size_t line_end = text.find("\r\n", at), colon = text.find(": ", at);
    if (colon == text.npos || colon > line_end) return std::nullopt;
    answer.headers.emplace_back(text.substr(at, colon - at), text.substr(colon + 2, line_end - colon - 2));
    at = line_end + 2;
  }
  if (head || answer.status < 200 || answer.status == 204 || answer.status == 304) {
    answer.whole = true;
    return answer;
  }
  answer.chunked = answer.Header("transfer-encoding") == "chunked";
  if (answer.chunked) {
    while (true) {
      size_t line;
      while ((line = in_.find("\r\n")) == in_.npos) {
        if (!Fill()) return answer;
      }
      size_t size = 0;
      std::from_chars(in_.data(), in_.data() + line, size, 16);
      while (in_.size() < line + 2 + size + 2) {
        if (!Fill()) {
          answer.body += in_.substr(line + 2, size);
          return answer;
        }
      }
      answer.body += in_.substr(line + 2, size);
      if (in_.substr(line + 2 + size, 2) != "\r\n") return answer;
      in_.erase(0, line + 2 + size + 2);
      if (size == 0) break;
    }
    answer.whole = true;
    return answer;
  }
  if (const std::string length = answer.Header("content-length"); !length.empty()) {
    const size_t size = std::stoul(length);
    while (in_.size() < size && Fill()) {
    }
    answer.whole = in_.size() >= size;
    answer.body = in_.substr(0, size);
    std::string(in_, std::min(size, in_.size())).swap(in_);  // memory that is not needed goes, too
    return answer;
  }
  answer.body = ReadAll(&answer.whole);
  answer.whole = answer.whole && !reset_;
  return answer;
}

void Client::ShutdownSend() { shutdown(fd_, SHUT_WR); }

void Client::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void Client::Reset() {
  const linger now{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  Close();
}

}  // namespace qiao::serve
