// One request's answer on its way from a handler's thread to the network thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/serve/http/message.h"
#include "runtime/serve/http/response_head.h"

namespace qiao::serve {

class Exchange;
class Connection;

// Tells the network thread which exchanges have something new. Thread-safe; outlives the server as long as a
// handler keeps a Responder.
class Mailbox {
 public:
  explicit Mailbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  void Add(std::shared_ptr<Exchange> exchange);  // wakes the network thread unless it was woken already
  std::vector<std::shared_ptr<Exchange>> Take();
  void Close();  // later calls do nothing

 private:
  std::mutex mutex_;
  std::function<void()> wake_;  // null once closed
  std::vector<std::shared_ptr<Exchange>> waiting_;
};

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  // `stream_framing`: of an answer in pieces. `no_body`: a HEAD request's.
  Exchange(std::shared_ptr<Mailbox> mailbox, Framing stream_framing, bool no_body, int64_t unsent_limit)
      : mailbox_(std::move(mailbox)),
        framing_(stream_framing),
        no_body_(no_body),
        unsent_limit_(unsent_limit) {}

  // ---- handlers: the members of Responder ----
  void Send(HttpResponse response);
  void StartStream(HttpResponse response);
  bool Write(std::string piece);
  void EndStream();
  void OnGone(std::function<void()> gone);
  bool gone() const;
  void Abandon();  // the last reference to the Responder went

  // ---- the network thread ----
  struct News {
    std::optional<HttpResponse> head;  // the answer begins; its body is still in it, unless it is a stream's
    bool stream = false;               // of `head`
    std::string bytes;                 // of the stream, framed
    bool ended = false;                // nothing follows
    bool abandoned = false;  // a stream that ended without EndStream: its end must not look like one
  };
  News Take();
  bool cut() const;             // the client reads too slowly: to be closed, whatever is still being written
  void Written(int64_t bytes);  // of what Take gave as `bytes`
  // The answer is complete: what a handler still does has no effect.
  void Complete();
  // The client has gone: calls the callback, now or as soon as there is one.
  void Gone();

  // Of an answer in pieces.
  Framing framing() const { return framing_; }
  bool no_body() const { return no_body_; }

  std::weak_ptr<Connection> connection;  // network thread only

 private:
  enum class Phase { kWaiting, kStream, kEnded };

  void AppendPiece(const std::string& piece);
  void Wake(std::unique_lock<std::mutex> lock);

  const std::shared_ptr<Mailbox> mailbox_;
  const Framing framing_;
  const bool no_body_;
  const int64_t unsent_limit_;

  mutable std::mutex mutex_;
  Phase phase_ = Phase::kWaiting;
  bool woken_ = false;
  bool gone_ = false;
  bool cut_ = false;
  bool complete_ = false;
  int64_t unsent_ = 0;  // of the stream: waiting here, or taken and not yet written
  News news_;
  std::function<void()> on_gone_;
};

// What handlers hold.
std::shared_ptr<Responder> MakeResponder(std::shared_ptr<Exchange> exchange);

}  // namespace qiao::serve
