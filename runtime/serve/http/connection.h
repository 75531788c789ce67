// One client's connection: reads requests one after the other, hands each to a worker, and writes its answer before
// it reads the next.
//
// An idle connection owns no buffers: the socket is waited on, and what arrives is read into a buffer that all share.
// While an answer is under way the socket is waited on too, so that a client that leaves is noticed at once; an end
// of file counts as leaving, because clients that shut down their sending half and still read are rarer than those
// that are gone.
//
// All members are called on the network thread.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/serve/http/core.h"
#include "runtime/serve/http/request_reader.h"

namespace qiao::serve {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  Connection(Core& core, Socket socket, boost::asio::ip::tcp::endpoint peer)
      : core_(core), socket_(std::move(socket)), peer_(std::move(peer)) {}

  void Start(std::list<std::shared_ptr<Connection>>::iterator self);
  // Answers nothing but this, and closes.
  void Refuse(const HttpError& error);
  // Its exchange has something new.
  void Pump();
  // Times out what has taken too long.
  void TimeOut(Clock::time_point now) {
    Guard([this, now] { Tick(now); });
  }
  void BeginDrain();
  // At once. `reset`: what the client has not taken is thrown away.
  void Close(bool reset = false);

  // Whether a request is being received or answered.
  bool busy() const { return state_ == State::kHead || state_ == State::kBody || state_ == State::kAnswer; }

 private:
  enum class State {
    kIdle,    // between requests
    kHead,    // some of a request's headers came
    kBody,    // the headers are whole
    kAnswer,  // a handler has the request, or its answer is being written
    kLinger,  // the last words are being written; what comes is thrown away, so that they are not lost to a reset
    kClosed,
  };

  // Exceptions can only tell that there is no memory: the connection ends.
  template <typename F>
  void Guard(F body) {
    try {
      body();
    } catch (...) {
      Close(true);
    }
  }
  void Tick(Clock::time_point now);
  void WaitReadable();
  void WaitWritable();
  void OnReadable();
  size_t ReadSize() const;
  bool IsFull() const;  // early_, while an answer is under way
  void OnEndOfFile();
  void TakeBytes(std::string_view bytes);
  void Parse(std::string_view bytes);
  bool OnBodyBytes();
  void Dispatch();
  // Takes what the exchange has. False where the connection was closed over it.
  bool TakeNews();
  void Flush();
  void Consume(size_t bytes);  // of what is being written
  bool all_written() const { return written_ == out_.size() + out_body_.size(); }
  void FinishAnswer();
  void Linger();
  void LeaveAnswer();
  void GiveBackCharge();
  std::string PeerName() const;

  Core& core_;
  Socket socket_;
  const boost::asio::ip::tcp::endpoint peer_;
  std::list<std::shared_ptr<Connection>>::iterator self_;

  State state_ = State::kIdle;
  bool waiting_readable_ = false;
  bool waiting_writable_ = false;
  bool last_request_ = false;  // the connection ends after this answer
  bool answer_ended_ = false;  // nothing follows what is in out_
  bool stream_open_ = false;
  bool shut_ = false;  // our sending half, while lingering
  bool end_of_file_ = false;
  std::optional<Clock::time_point> deadline_;
  Clock::time_point started_;  // of the request; of the body while it is received
  int64_t requests_ = 0;
  int64_t lingered_ = 0;  // bytes thrown away

  std::unique_ptr<RequestReader> reader_;
  int64_t charged_ = 0;  // of the body budget, for the request that is being received
  std::string early_;    // of the requests that follow the one being answered
  std::shared_ptr<Exchange> exchange_;
  std::string id_, method_, path_;  // of the request being answered
  int status_ = 0;
  int64_t body_sent_ = 0;  // may begin below zero: heads are taken off

  // What is being written: heads and small bodies, then one large body. `written_` counts over both.
  std::string out_;
  std::string out_body_;
  size_t written_ = 0;
  size_t out_stream_ = 0;  // bytes at the end of out_ that the exchange counts
};

}  // namespace qiao::serve
