#include "tools/infer/load/http_pool.h"

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <unordered_set>
#include <vector>

#include "absl/strings/str_cat.h"

namespace qiao::tools {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// A socket and its buffer; kept between requests.
struct Connection {
  explicit Connection(asio::io_context& io) : socket(io) {}
  tcp::socket socket;
  std::array<char, 16 << 10> buffer;
  bool used = false;  // a request was answered on it
};

class Exchange;

// Shared with exchanges, which may end after the pool is gone.
struct Shared {
  asio::io_context& io;
  const HttpAddress address;
  const std::vector<tcp::endpoint> endpoints;
  const HttpPoolOptions options;
  std::vector<std::unique_ptr<Connection>> idle;
  std::unordered_set<Exchange*> open;
};

class Pool : public HttpPool {
 public:
  explicit Pool(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  ~Pool() override { CancelAll(); }

  std::weak_ptr<HttpExchange> Start(const HttpCall& call, HttpListener listener) override;
  void CancelAll() override;
  size_t open() const override { return shared_->open.size(); }

 private:
  const std::shared_ptr<Shared> shared_;
};

class Exchange : public HttpExchange, public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(std::shared_ptr<Shared> shared, std::string request, HttpListener listener)
      : shared_(std::move(shared)),
        request_(std::move(request)),
        listener_(std::move(listener)),
        timer_(shared_->io),
        reader_(MakeReader()) {}

  void Begin() {
    shared_->open.insert(this);
    if (!shared_->idle.empty()) {
      connection_ = std::move(shared_->idle.back());
      shared_->idle.pop_back();
      Write();
      return;
    }
    Connect();
  }

  void Cancel(bool reset) override {
    if (ended_) return;
    if (reset && connection_) {
      error_code ignored;
      connection_->socket.set_option(asio::socket_base::linger(true, 0), ignored);
    }
    Close();
    // Not from within the caller.
    asio::post(shared_->io,
               [self = shared_from_this()] { self->End(Cancelled("the request was given up")); });
  }

 private:
  HttpResponseReader MakeReader() {
    return HttpResponseReader(
        [this](const HttpHead& head) {
          if (listener_.head) listener_.head(head);
        },
        [this](std::string_view piece) {
          if (listener_.body && !ended_ && !closed_) listener_.body(piece);
        });
  }

  void Connect() {
    ++attempt_;
    written_ = false;
    connection_ = std::make_unique<Connection>(shared_->io);
    ConnectTo(0);
  }

  void ConnectTo(size_t index) {
    Watch(shared_->options.connect_seconds, "no connection within %g s");
    error_code ignored;
    connection_->socket.close(ignored);
    connection_->socket.async_connect(shared_->endpoints[index],
                                      [self = shared_from_this(), index](error_code error) {
                                        if (self->ended_ || self->closed_) return;
                                        if (error) {
                                          if (index + 1 < self->shared_->endpoints.size())
                                            return self->ConnectTo(index + 1);
                                          return self->Fail("cannot connect: " + error.message());
                                        }
                                        error_code no_matter;
                                        self->connection_->socket.set_option(tcp::no_delay(true), no_matter);
                                        self->Write();
                                      });
  }

  void Write() {
    Watch(shared_->options.silence_seconds, "the server was silent for %g s");
    // Where it fails, reading fails too, after what a server that refused early may have said.
    asio::async_write(connection_->socket, asio::buffer(request_),
                      [self = shared_from_this(), attempt = attempt_](error_code error, size_t) {
                        if (attempt == self->attempt_ && !error) self->written_ = true;
                      });
    Read();
  }

  void Read() {
    connection_->socket.async_read_some(asio::buffer(connection_->buffer),
                                        [self = shared_from_this()](error_code error, size_t bytes) {
                                          if (self->ended_ || self->closed_) return;
                                          self->OnRead(error, bytes);
                                        });
  }

  void OnRead(error_code error, size_t bytes) {
    if (error) return Broken(error);
    last_byte_ = Clock::now();
    const absl::StatusOr<size_t> used = reader_.Feed({connection_->buffer.data(), bytes});
    if (ended_ || closed_) return;  // a listener gave it up
    if (!used.ok()) return Fail(std::string(Message(used.status())));
    if (!reader_.done()) return Read();
    if (*used == bytes && written_ && reader_.keep_alive() && shared_->idle.size() < shared_->options.idle) {
      connection_->used = true;
      shared_->idle.push_back(std::move(connection_));
    } else {
      Close();
    }
    End(absl::OkStatus());
  }

  // The connection ended, or never was one any more.
  void Broken(error_code error) {
    if (connection_->used && !reader_.begun()) return Connect();
    if (error == asio::error::eof) {
      const absl::Status status = reader_.Close();
      if (ended_ || closed_) return;
      if (status.ok()) {
        Close();
        return End(status);
      }
      return Fail(std::string(Message(status)));
    }
    Fail(error.message());
  }

  // `format` has a place for the seconds.
  void Watch(double seconds, const char* format) {
    watch_ = format;
    watch_seconds_ = seconds;
    last_byte_ = Clock::now();
    if (!watching_) Wait();
  }

  void Wait() {
    watching_ = true;
    timer_.expires_after(FromSeconds(std::min(watch_seconds_, 1.0)));
    timer_.async_wait([self = shared_from_this()](error_code) {
      if (self->ended_ || self->closed_) return;
      if (Since(self->last_byte_) < self->watch_seconds_) return self->Wait();
      char text[96];
      std::snprintf(text, sizeof text, self->watch_, self->watch_seconds_);
      self->Fail(text);
    });
  }

  void Close() {
    closed_ = true;
    timer_.cancel();
    error_code ignored;
    if (connection_) connection_->socket.close(ignored);
  }

  void Fail(const std::string& why) {
    Close();
    End(Unavailable("%s: %s", shared_->address.Url(), why));
  }

  void End(const absl::Status& status) {
    if (ended_) return;
    ended_ = true;
    timer_.cancel();
    shared_->open.erase(this);
    const auto end = std::move(listener_.end);
    if (end) end(status);
  }

  const std::shared_ptr<Shared> shared_;
  const std::string request_;
  HttpListener listener_;
  std::unique_ptr<Connection> connection_;
  asio::steady_timer timer_;
  HttpResponseReader reader_;
  const char* watch_ = "";
  double watch_seconds_ = 0;
  Clock::time_point last_byte_;
  int attempt_ = 0;
  bool watching_ = false, written_ = false, closed_ = false, ended_ = false;
};

std::weak_ptr<HttpExchange> Pool::Start(const HttpCall& call, HttpListener listener) {
  const auto exchange = std::make_shared<Exchange>(
      shared_, WireRequest(shared_->address, call, shared_->options.api_key), std::move(listener));
  exchange->Begin();
  return exchange;
}

void Pool::CancelAll() {
  const std::vector<Exchange*> open(shared_->open.begin(), shared_->open.end());
  for (Exchange* exchange : open) exchange->Cancel(/*reset=*/false);
  shared_->idle.clear();
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpPool>> HttpPool::Make(asio::io_context& io, const HttpAddress& address,
                                                         HttpPoolOptions options) {
  tcp::resolver resolver(io);
  error_code error;
  const auto found = resolver.resolve(address.host, std::to_string(address.port), error);
  if (error)
    return Unavailable("%s: cannot find the host %s: %s", address.Url(), address.host, error.message());
  std::vector<tcp::endpoint> endpoints;
  for (const auto& entry : found) endpoints.push_back(entry.endpoint());
  return std::make_unique<Pool>(
      std::make_shared<Shared>(Shared{io, address, std::move(endpoints), std::move(options), {}, {}}));
}

HttpListener Keep(std::shared_ptr<WholeAnswer> answer, std::function<void()> then) {
  HttpListener listener;
  listener.head = [answer](const HttpHead& head) {
    answer->http = head.status;
    answer->server = head.Header("server");
  };
  listener.body = [answer](std::string_view piece) {
    answer->body.append(piece.substr(0, kMostWholeAnswer - answer->body.size()));
  };
  listener.end = [answer, then = std::move(then)](const absl::Status& status) {
    answer->status = status;
    then();
  };
  return listener;
}

std::string WireRequest(const HttpAddress& address, const HttpCall& call, std::string_view api_key) {
  std::string wire =
      absl::StrCat(call.method, " ", address.path, call.route, " HTTP/1.1\r\nHost: ", address.Authority(),
                   "\r\nAccept: */*\r\nUser-Agent: infer\r\n");
  if (!api_key.empty()) absl::StrAppend(&wire, "Authorization: Bearer ", Abs(api_key), "\r\n");
  if (call.method == "POST")
    absl::StrAppend(&wire, "Content-Type: application/json\r\nContent-Length: ", call.body.size(), "\r\n");
  absl::StrAppend(&wire, "\r\n", call.body);
  return wire;
}

}  // namespace qiao::tools
