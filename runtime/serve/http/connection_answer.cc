// The half of a connection that writes answers.
#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <utility>

#include "runtime/serve/http/connection.h"

namespace qiao::serve {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr size_t kSmallBody = 16 << 10;  // is copied behind its head
constexpr auto kLingerTime = std::chrono::seconds(2);

void Free(std::string& text) { std::string().swap(text); }

}  // namespace

// ---- writing ----

void Connection::WaitWritable() {
  if (waiting_writable_) return;
  waiting_writable_ = true;
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const error_code& error) {
    self->waiting_writable_ = false;
    if (self->state_ == State::kClosed || error == asio::error::operation_aborted) return;
    self->Guard([&] { self->Flush(); });
  });
}

void Connection::Pump() {
  if (state_ != State::kAnswer) return;
  if (exchange_->cut()) return Close(true);
  if (all_written()) Guard([this] { Flush(); });
}

bool Connection::TakeNews() {
  Exchange::News news = exchange_->Take();
  // An abandoned stream that only the connection's end delimits would look whole.
  if (news.abandoned && exchange_->framing() == Framing::kUntilClose) {
    Close(true);
    return false;
  }
  if (news.head) {
    HttpResponse& response = *news.head;
    const Framing framing = news.stream ? exchange_->framing() : Framing::kLength;
    last_request_ = last_request_ || core_.draining || framing == Framing::kUntilClose;
    status_ = response.status;
    out_ = ResponseHead(response, framing, core_.options.headers, id_, !last_request_, core_.Date());
    body_sent_ -= static_cast<int64_t>(out_.size());
    if (news.stream) {
      stream_open_ = true;
      ++core_.counters.open_streams;
    } else if (!exchange_->no_body() && !HasNoBody(response.status)) {
      if (response.body.size() <= kSmallBody) {
        out_ += response.body;
      } else {
        out_body_ = std::move(response.body);
      }
    }
  }
  out_stream_ = news.bytes.size();
  if (out_.empty()) {
    out_ = std::move(news.bytes);
  } else {
    out_ += news.bytes;
  }
  if (news.abandoned) last_request_ = true;
  answer_ended_ = news.ended;
  return true;
}

void Connection::Consume(size_t bytes) {
  const auto left = [this] { return std::min(out_stream_, out_.size() - std::min(out_.size(), written_)); };
  const size_t before = left();
  written_ += bytes;
  if (state_ == State::kAnswer) {
    body_sent_ += static_cast<int64_t>(bytes);
    if (before > left()) exchange_->Written(static_cast<int64_t>(before - left()));
  }
  if (!all_written()) return;
  Free(out_);
  Free(out_body_);
  written_ = out_stream_ = 0;
}

void Connection::Flush() {
  while (true) {
    while (!all_written()) {
      const size_t in_head = std::min(written_, out_.size()), in_body = written_ - in_head;
      const std::array<asio::const_buffer, 2> buffers = {
          asio::buffer(out_.data() + in_head, out_.size() - in_head),
          asio::buffer(out_body_.data() + in_body, out_body_.size() - in_body)};
      error_code error;
      const size_t size = socket_.write_some(buffers, error);
      if (error == asio::error::would_block) {
        if (state_ == State::kAnswer) deadline_ = Clock::now() + core_.options.limits.write_stall;
        WaitWritable();
        return;
      }
      if (error && error != asio::error::interrupted) return Close();
      Consume(size);
    }
    if (state_ == State::kLinger) {
      error_code ignored;
      if (!std::exchange(shut_, true)) socket_.shutdown(Socket::shutdown_send, ignored);
      if (end_of_file_) Close();
      return;
    }
    if (state_ != State::kAnswer) return;
    deadline_.reset();
    if (answer_ended_) return FinishAnswer();
    if (!TakeNews()) return;
    if (all_written() && !answer_ended_) return;
  }
}

// ---- the end of an answer, and of the connection ----

void Connection::LeaveAnswer() {
  --core_.counters.active_requests;
  if (std::exchange(stream_open_, false)) --core_.counters.open_streams;
  if (core_.options.access) {
    const std::string peer = PeerName();
    core_.options.access(
        {id_, method_, path_, peer, status_, std::max<int64_t>(body_sent_, 0), Since(started_)});
  }
  exchange_.reset();
  Free(id_);
  Free(method_);
  Free(path_);
}

void Connection::FinishAnswer() {
  exchange_->Complete();
  LeaveAnswer();
  if (last_request_ || core_.draining) {
    Linger();
    core_.on_quiet();
    return;
  }
  state_ = State::kIdle;
  deadline_ = Clock::now() + core_.options.limits.keep_alive;
  const std::string early = std::exchange(early_, {});
  Parse(early);
  WaitReadable();
}

void Connection::Linger() {
  state_ = State::kLinger;
  Free(early_);
  reader_.reset();
  GiveBackCharge();
  deadline_ = Clock::now() + kLingerTime;
  Flush();
  WaitReadable();
}

void Connection::Refuse(const HttpError& error) {
  const std::string id = core_.ids.Next();
  const HttpResponse response = ErrorResponse(error.status, error.code, error.message);
  out_ += ResponseHead(response, Framing::kLength, core_.options.headers, id, false, core_.Date());
  out_ += response.body;
  if (core_.options.access) {
    const std::string peer = PeerName();
    const std::string method = reader_ ? reader_->request().method : "",
                      path = reader_ ? reader_->request().path : "";
    const bool began = state_ == State::kHead || state_ == State::kBody;
    core_.options.access({id, method, path, peer, error.status, static_cast<int64_t>(response.body.size()),
                          began ? Since(started_) : 0});
  }
  Linger();
  core_.on_quiet();
}

}  // namespace qiao::serve
