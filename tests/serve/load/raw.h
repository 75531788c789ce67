// A TCP connection that does what no proper client would.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "runtime/base/clock.h"

namespace qiao::storm {

// On the io_context's thread. It keeps itself alive while anything is under way; Close ends that.
class Raw : public std::enable_shared_from_this<Raw> {
 public:
  explicit Raw(boost::asio::io_context& io) : socket_(io), write_timer_(io), read_timer_(io) {}

  // Connects, then writes `bytes`: at once, or one byte each `pace` seconds. `receive_buffer`: SO_RCVBUF, 0: as it is.
  // Reads all that comes, or one byte each `read_pace` seconds.
  void Start(const boost::asio::ip::tcp::endpoint& endpoint, std::string bytes, double pace = 0,
             double read_pace = 0, int receive_buffer = 0);
  // More bytes, once the first are written.
  void Write(std::string bytes);
  void Drip(std::string bytes, double pace);
  void HalfClose();
  void Close(bool reset = false);

  bool connected() const { return connected_; }
  bool written() const { return written_; }
  bool closed() const { return closed_; }  // by either side, or never open
  size_t written_bytes() const { return written_bytes_; }
  const std::string& received() const { return received_; }  // of it, at most kMost bytes
  // When it was connected, all was written, the first byte came, it was closed.
  Clock::time_point started, connected_at, written_at, first_at, closed_at;
  std::function<void()> on_received;

  static constexpr size_t kMost = size_t{4} << 20;

 private:
  void WriteOn();
  void ReadOn();
  void End();

  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer write_timer_, read_timer_;
  std::string bytes_, received_;
  size_t written_bytes_ = 0;
  double pace_ = 0, read_pace_ = 0;
  char buffer_[4096];
  bool connected_ = false, written_ = false, closed_ = false;
};

}  // namespace qiao::storm
