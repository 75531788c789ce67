#include "tests/serve/load/raw.h"

#include <algorithm>

namespace qiao::storm {

namespace asio = boost::asio;
using boost::system::error_code;

void Raw::Start(const asio::ip::tcp::endpoint& endpoint, std::string bytes, double pace, double read_pace,
                int receive_buffer) {
  bytes_ = std::move(bytes);
  pace_ = pace;
  read_pace_ = read_pace;
  started = Clock::now();
  error_code error;
  socket_.open(endpoint.protocol(), error);
  if (error) return End();
  // Before connecting, or the window is already promised.
  if (receive_buffer > 0) socket_.set_option(asio::socket_base::receive_buffer_size(receive_buffer), error);
  socket_.async_connect(endpoint, [self = shared_from_this()](error_code failed) {
    if (self->closed_) return;
    if (failed) return self->End();
    error_code ignored;
    self->socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    self->connected_ = true;
    self->connected_at = Clock::now();
    self->WriteOn();
    self->ReadOn();
  });
}

void Raw::Write(std::string bytes) {
  bytes_ = std::move(bytes);
  written_bytes_ = 0;
  written_ = false;
  WriteOn();
}

void Raw::Drip(std::string bytes, double pace) {
  pace_ = pace;
  Write(std::move(bytes));
}

void Raw::WriteOn() {
  if (closed_) return;
  if (written_bytes_ >= bytes_.size()) {
    written_ = true;
    written_at = Clock::now();
    return;
  }
  const size_t left = bytes_.size() - written_bytes_;
  const size_t n = pace_ > 0 ? 1 : std::min(left, size_t{64} << 10);
  socket_.async_write_some(asio::buffer(bytes_.data() + written_bytes_, n),
                           [self = shared_from_this()](error_code error, size_t wrote) {
                             // Where the server refused and closed, reading says so, after its answer.
                             if (self->closed_ || error) return;
                             self->written_bytes_ += wrote;
                             if (self->pace_ <= 0) return self->WriteOn();
                             self->write_timer_.expires_after(FromSeconds(self->pace_));
                             self->write_timer_.async_wait([self](error_code cancelled) {
                               if (!cancelled) self->WriteOn();
                             });
                           });
}

void Raw::ReadOn() {
  if (closed_) return;
  socket_.async_read_some(asio::buffer(buffer_, read_pace_ > 0 ? 1 : sizeof buffer_),
                          [self = shared_from_this()](error_code error, size_t n) {
                            if (self->closed_) return;
                            if (error) return self->End();
                            if (self->received_.empty()) self->first_at = Clock::now();
                            self->received_.append(self->buffer_,
                                                   std::min(n, kMost - self->received_.size()));
                            if (self->on_received) self->on_received();
                            if (self->read_pace_ <= 0) return self->ReadOn();
                            self->read_timer_.expires_after(FromSeconds(self->read_pace_));
                            self->read_timer_.async_wait([self](error_code cancelled) {
                              if (!cancelled) self->ReadOn();
                            });
                          });
}

void Raw::HalfClose() {
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
}

void Raw::Close(bool reset) {
  if (closed_) return;
  error_code ignored;
  if (reset) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  End();
}

void Raw::End() {
  closed_ = true;
  closed_at = Clock::now();
  write_timer_.cancel();
  read_timer_.cancel();
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace qiao::storm
