// A small HTTP server that answers what a test tells it to, byte for byte. A thread for each connection.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace qiao::tools {

struct FakeRequest {
  std::string method, path, head, body;
  // "" where the head has none.
  std::string Header(const std::string& name) const;
};

// One connection, as the handler sees it.
class FakeReply {
 public:
  explicit FakeReply(int socket) : socket_(socket) {}
  // Sends these bytes, in pieces of `step` bytes, each a write of its own; 0: in one. False where the client is gone.
  bool Send(std::string_view bytes, size_t step = 0);
  // An answer with Content-Length.
  void Answer(int status, std::string_view body, std::string_view more_headers = "",
              std::string_view type = "application/json");
  // A chunked stream: the head, then chunks, then the last.
  bool StartStream();
  bool Chunk(std::string_view bytes);
  void EndStream();
  // All of that: the events in chunks of `step` bytes.
  void Stream(std::string_view events, size_t step);
  void Close();
  void Reset();  // with a TCP reset
  // Whether the client has closed its side; does not wait.
  bool gone() const;
  bool closed() const { return closed_; }

 private:
  int socket_;
  bool closed_ = false;
};

class FakeServer {
 public:
  using Handler = std::function<void(const FakeRequest&, FakeReply&)>;
  // Listens on a port of 127.0.0.1. The handler is called on the connections' threads. A request whose head is not
  // understood gets a 400 and is closed.
  explicit FakeServer(Handler handler);
  ~FakeServer();
  std::string url() const;
  uint16_t port() const { return port_; }
  int accepted() const { return accepted_; }
  int open() const { return open_; }

 private:
  void Accept();
  void Serve(int socket);

  Handler handler_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<int> accepted_{0}, open_{0};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::list<int> sockets_;  // that are open
  std::list<std::thread> threads_;
  std::thread acceptor_;
};

// The events of a completion: a piece of text, the end with usage.
std::string TextEvent(std::string_view text, bool chat = false);
std::string FinishEvents(int64_t prompt_tokens, int64_t completion_tokens, bool chat = false,
                         std::string_view reason = "length");
// Answers GET /v1/models, and POST by `post`; anything else with 404.
FakeServer::Handler OnPost(FakeServer::Handler post);
// GET /v1/models and /v1/stats of a server with nothing to do.
std::string ModelsAnswer();
std::string StatsAnswer(int64_t running = 0, int64_t waiting = 0, int64_t generated = 0);

}  // namespace qiao::tools
