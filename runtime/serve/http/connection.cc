#include "runtime/serve/http/connection.h"

#include <poll.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <utility>

#include "absl/strings/str_format.h"

namespace qiao::serve {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr size_t kEarlyBytes = 16 << 10;
constexpr int64_t kLingerBytes = int64_t{64} << 20;

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

std::string Connection::PeerName() const {
  const std::string address = peer_.address().to_string();
  const bool six = peer_.address().is_v6();
  return absl::StrFormat("%s%s%s:%d", six ? "[" : "", address, six ? "]" : "", peer_.port());
}

// ---- reading ----

void Connection::WaitReadable() {
  // A client that sends too much too early is not read from; Tick sees it leave.
  if (waiting_readable_ || state_ == State::kClosed || end_of_file_ || IsFull()) return;
  waiting_readable_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const error_code& error) {
    self->waiting_readable_ = false;
    if (self->state_ == State::kClosed || error == asio::error::operation_aborted) return;
    self->Guard([&] { self->OnReadable(); });
  });
}

bool Connection::IsFull() const { return state_ == State::kAnswer && early_.size() >= kEarlyBytes; }

size_t Connection::ReadSize() const {
  if (state_ == State::kLinger) return core_.scratch.size();
  if (state_ == State::kAnswer) return kEarlyBytes - early_.size();
  // Of a body, what follows it stays with the kernel.
  if (state_ == State::kBody && reader_->body_left() > 0) {
    return std::min(core_.scratch.size(), static_cast<size_t>(reader_->body_left()));
  }
  return kEarlyBytes;
}

void Connection::OnReadable() {
  if (IsFull()) return;
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
  request.peer = PeerName();
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

// ---- the end ----

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
  if (IsFull()) {
    pollfd look{socket_.native_handle(), POLLRDHUP, 0};
    if (poll(&look, 1, 0) > 0) return Close();
  }
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
  if (!error) Guard([&] { Parse({core_.scratch.data(), size}); });
  if (state_ == State::kIdle) Close();
}

}  // namespace qiao::serve
