#include "runtime/serve/http/connection.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <utility>

#include "absl/strings/str_format.h"
#include "runtime/serve/http/characters.h"

namespace qiao::serve {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr size_t kSmallBody = 16 << 10;  // is copied behind its head
constexpr size_t kEarlyBytes = 16 << 10;
constexpr auto kLingerTime = std::chrono::seconds(2);
constexpr int64_t kLingerBytes = int64_t{64} << 20;

void Free(std::string& text) { std::string().swap(text); }

std::string PeerName(const asio::ip::tcp::endpoint& peer) {
  const std::string address = peer.address().to_string();
  return absl::StrFormat(peer.address().is_v6() ? "[%s]:%d" : "%s:%d", address, peer.port());
}

// A request whose body counts as long as somebody has it.
struct HeldRequest : HttpRequest {
  HeldRequest(HttpRequest request, std::shared_ptr<BodyBudget> its_budget, int64_t its_bytes)
      : HttpRequest(std::move(request)), budget(std::move(its_budget)), bytes(its_bytes) {}
  ~HeldRequest() { budget->Give(bytes); }
  HeldRequest(const HeldRequest&) = delete;
  HeldRequest& operator=(const HeldRequest&) = delete;

  const std::shared_ptr<BodyBudget> budget;
  const int64_t bytes;
};

}  // namespace

void Connection::Start(std::list<std::shared_ptr<Connection>>::iterator self) {
  self_ = self;
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  deadline_ = Clock::now() + core_.options.limits.keep_alive;
  WaitReadable();
}

// ---- reading ----

void Connection::WaitReadable() {
  if (waiting_readable_ || state_ == State::kClosed || end_of_file_) return;
  // Beyond the bound nothing is read, and only a reset is noticed.
  waiting_error_ = state_ == State::kAnswer && early_.size() >= kEarlyBytes;
  waiting_readable_ = true;
  socket_.async_wait(waiting_error_ ? Socket::wait_error : Socket::wait_read,
                     [self = shared_from_this()](const error_code& error) {
                       self->waiting_readable_ = false;
                       if (self->state_ == State::kClosed) return;
                       try {
                         if (error == asio::error::operation_aborted) {
                           self->WaitReadable();  // FinishAnswer wants to read again
                         } else {
                           self->OnReadable();
                         }
                       } catch (...) {  // no memory
                         self->Close(true);
                       }
                     });
}

size_t Connection::ReadSize() const {
  if (state_ == State::kLinger) return core_.scratch.size();
  if (state_ == State::kAnswer)
    return std::max<size_t>(kEarlyBytes - std::min(kEarlyBytes, early_.size()), 1);
  // Of a body, what follows it stays with the kernel.
  if (state_ == State::kBody && reader_->body_left() > 0) {
    return std::min(core_.scratch.size(), static_cast<size_t>(reader_->body_left()));
  }
  return kEarlyBytes;
}

void Connection::OnReadable() {
  error_code error;
  const size_t size = socket_.read_some(asio::buffer(core_.scratch.data(), ReadSize()), error);
  if (error == asio::error::would_block || error == asio::error::interrupted) {
    WaitReadable();
  } else if (error == asio::error::eof) {
    OnEndOfFile();
  } else if (error) {
    Close();
  } else {
    TakeBytes({core_.scratch.data(), size});
    WaitReadable();
  }
}

void Connection::OnEndOfFile() {
  end_of_file_ = true;
  // A refusal may still be read; whatever else there was is of no use to anybody.
  if (state_ == State::kLinger && !out_.empty()) return;
  Close();
}

void Connection::TakeBytes(std::string_view bytes) {
  if (state_ == State::kLinger) {
    lingered_ += static_cast<int64_t>(bytes.size());
    if (lingered_ > kLingerBytes) Close();
    return;
  }
  Parse(bytes);
}

void Connection::Parse(std::string_view bytes) {
  const HttpLimits& limits = core_.options.limits;
  while (!bytes.empty()) {
    if (state_ == State::kAnswer) {
      early_.append(bytes);
      return;
    }
    if (state_ == State::kLinger || state_ == State::kClosed) return;
    if (!reader_) reader_ = std::make_unique<RequestReader>(limits);
    bytes.remove_prefix(reader_->Feed(bytes));
    if (reader_->started() && state_ == State::kIdle) {
      state_ = State::kHead;
      started_ = Clock::now();
      deadline_ = started_ + limits.header_time;
    }
    switch (reader_->state()) {
      case RequestReader::State::kHead:
        break;
      case RequestReader::State::kBody:
        if (!OnBodyBytes()) return;
        break;
      case RequestReader::State::kDone:
        if (reader_->body_size() > 0 && !OnBodyBytes()) return;
        Dispatch();
        break;
      case RequestReader::State::kError: {
        ++core_.counters.bad_requests;
        const HttpError error = reader_->error();
        Refuse(error);
        return;
      }
    }
  }
}

// The head is whole, or more of the body came. False where the request was refused.
bool Connection::OnBodyBytes() {
  const HttpLimits& limits = core_.options.limits;
  if (state_ == State::kHead) {
    state_ = State::kBody;
    started_ = Clock::now();
    if (reader_->expects_continue()) {
      out_ += "HTTP/1.1 100 Continue\r\n\r\n";
      Flush();
      if (state_ == State::kClosed) return false;
    }
  }
  deadline_ = Clock::now() + limits.body_idle;
  const int64_t more = reader_->body_held() - charged_;
  if (more > 0) {
    if (!core_.budget->Take(more)) {
      Refuse({503, "overloaded", "the server holds as many request bodies as it may; try again"});
      return false;
    }
    charged_ += more;
  }
  return true;
}

void Connection::Dispatch() {
  ++requests_;
  ++core_.counters.requests;
  ++core_.counters.active_requests;
  state_ = State::kAnswer;
  deadline_.reset();
  started_ = Clock::now();
  status_ = 0;
  body_sent_ = 0;
  answer_ended_ = false;

  HttpRequest request = std::move(reader_->request());
  request.id = id_ = core_.ids.Next();
  request.peer = PeerName(peer_);
  method_ = request.method;
  path_ = request.path;
  last_request_ = !reader_->keep_alive() || requests_ >= core_.options.limits.requests_a_connection;
  const Framing framing = reader_->version() == 10 ? Framing::kUntilClose : Framing::kChunked;
  reader_.reset();
  auto held = std::make_shared<const HeldRequest>(std::move(request), core_.budget, charged_);
  charged_ = 0;
  exchange_ = std::make_shared<Exchange>(core_.mailbox, framing, method_ == "HEAD",
                                         core_.options.limits.unsent_bytes);
  exchange_->connection = weak_from_this();

  std::shared_ptr<Responder> responder = MakeResponder(exchange_);
  const bool queued = core_.workers.Add(
      [&core = core_, request = std::shared_ptr<const HttpRequest>(std::move(held)), responder]() mutable {
        if (responder->gone()) return;  // nobody waits for it any more
        core.handler(std::move(request), std::move(responder));
      });
  if (!queued) responder->Send(ErrorResponse(503, "overloaded", "too many requests are waiting; try again"));
}

// ---- writing ----

void Connection::WaitWritable() {
  if (waiting_writable_) return;
  waiting_writable_ = true;
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const error_code& error) {
    self->waiting_writable_ = false;
    if (self->state_ == State::kClosed || error == asio::error::operation_aborted) return;
    try {
      self->Flush();
    } catch (...) {  // no memory
      self->Close(true);
    }
  });
}

void Connection::Pump() {
  if (state_ == State::kAnswer && out_.empty()) Flush();
}

bool Connection::TakeNews() {
  Exchange::News news = exchange_->Take();
  // An abandoned stream that only the connection's end delimits would look whole.
  if (news.cut || (news.abandoned && exchange_->framing() == Framing::kUntilClose)) {
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
    AccessRecord record{id_, method_, path_, "", status_, std::max<int64_t>(body_sent_, 0), Since(started_)};
    const std::string peer = PeerName(peer_);
    record.peer = peer;
    core_.options.access(record);
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
  if (waiting_readable_ && waiting_error_) {
    error_code ignored;
    socket_.cancel(ignored);
  }
  const std::string early = std::exchange(early_, {});
  Parse(early);
}

void Connection::Linger() {
  state_ = State::kLinger;
  Free(early_);
  reader_.reset();
  GiveBackCharge();
  deadline_ = Clock::now() + kLingerTime;
  if (waiting_readable_ && waiting_error_) {
    error_code ignored;
    socket_.cancel(ignored);
  }
  Flush();
}

void Connection::Refuse(const HttpError& error) {
  const std::string id = core_.ids.Next();
  const HttpResponse response = ErrorResponse(error.status, error.code, error.message);
  out_ += ResponseHead(response, Framing::kLength, core_.options.headers, id, false, core_.Date());
  out_ += response.body;
  if (core_.options.access) {
    const std::string peer = PeerName(peer_);
    const std::string method = reader_ ? reader_->request().method : "",
                      path = reader_ ? reader_->request().path : "";
    const bool began = state_ == State::kHead || state_ == State::kBody;
    core_.options.access({id, method, path, peer, error.status, static_cast<int64_t>(response.body.size()),
                          began ? Since(started_) : 0});
  }
  Linger();
  core_.on_quiet();
}

void Connection::GiveBackCharge() { core_.budget->Give(std::exchange(charged_, 0)); }

void Connection::Close(bool reset) {
  if (state_ == State::kClosed) return;
  const std::shared_ptr<Connection> self = shared_from_this();
  const bool answering = state_ == State::kAnswer;
  state_ = State::kClosed;
  error_code ignored;
  if (reset) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
  reader_.reset();
  GiveBackCharge();
  core_.connections.erase(self_);
  --core_.counters.connections;
  if (answering) {
    ++core_.counters.vanished;
    const std::shared_ptr<Exchange> exchange = exchange_;
    LeaveAnswer();
    exchange->Gone();
  }
  core_.on_quiet();
}

void Connection::Tick(Clock::time_point now) {
  const HttpLimits& limits = core_.options.limits;
  bool late = deadline_ && now >= *deadline_;
  if (state_ == State::kBody && now - started_ > limits.body_idle) {
    late = late || static_cast<double>(reader_->body_size()) <
                       static_cast<double>(limits.body_rate) * Seconds(now - started_);
  }
  if (!late) return;
  if (state_ == State::kHead || state_ == State::kBody) {
    ++core_.counters.timeouts;
    Refuse(
        {408, "timeout", state_ == State::kHead ? "the headers took too long" : "the body came too slowly"});
  } else {
    if (state_ == State::kAnswer) ++core_.counters.timeouts;
    Close(state_ == State::kAnswer);
  }
}

void Connection::BeginDrain() {
  if (state_ != State::kIdle) return;
  // A request that the kernel has already is still answered.
  error_code error;
  const size_t size = socket_.read_some(asio::buffer(core_.scratch.data(), kEarlyBytes), error);
  if (!error) Parse({core_.scratch.data(), size});
  if (state_ == State::kIdle) Close();
}

}  // namespace qiao::serve
