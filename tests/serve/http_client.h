// A client of raw sockets: sends what it is told, byte for byte, and reads answers with their framing checked.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace qiao::serve {

struct Answer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  bool whole = false;  // the framing said that this was the end
  bool chunked = false;

  std::string Header(std::string_view name) const;  // in any case; "" where there is none
};

class Client {
 public:
  // Connects to 127.0.0.1; `ok()` says whether it worked.
  explicit Client(uint16_t port, int receive_buffer = 0);
  ~Client() { Close(); }
  Client(Client&& other) noexcept : fd_(std::exchange(other.fd_, -1)), in_(std::move(other.in_)) {}
  Client& operator=(Client&&) = delete;

  bool ok() const { return fd_ >= 0; }
  // All of it; false when the server does not take it.
  bool Send(std::string_view bytes);
  // One answer; `head` tells that the request was HEAD. Nothing where the connection ends (or nothing comes for ten
  // seconds) before a whole head did.
  std::optional<Answer> Read(bool head = false);
  std::optional<Answer> Ask(std::string_view request) { return Send(request) ? Read() : std::nullopt; }
  // More bytes of the wire, at least one, or "" at the end. `reset()` afterwards tells an end from a reset.
  std::string ReadSome();
  // Until the other side closes: what came. False in `closed` when ten seconds passed first.
  std::string ReadAll(bool* closed = nullptr);
  bool reset() const { return reset_; }
  bool timed_out() const { return timed_out_; }

  void ShutdownSend();
  void Close();
  void Reset();  // closes with RST

 private:
  bool Fill();  // more into in_

  int fd_ = -1;
  bool reset_ = false;
  bool timed_out_ = false;
  std::string in_;
};

inline std::string Get(std::string_view path, std::string_view more = "", std::string_view host = "x") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: " + std::string(host) + "\r\n" + std::string(more) +
         "\r\n";
}
inline std::string Post(std::string_view path, std::string_view body, std::string_view more = "",
                        std::string_view host = "x") {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: " + std::string(host) +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + std::string(more) + "\r\n" +
         std::string(body);
}

// Polls until `condition` holds; false after ten seconds.
template <typename F>
bool Eventually(F condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace qiao::serve
