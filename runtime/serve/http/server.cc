#include "runtime/serve/http/server.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/serve/http/connection.h"
#include "runtime/serve/http/core.h"

namespace qiao::serve {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr int kAcceptsAtOnce = 64;        // before other connections have their turn
constexpr size_t kRefusedAtOnce = 64;     // that are told why; the rest is closed
constexpr milliseconds kAcceptPause{50};  // where no descriptor or memory is left
constexpr milliseconds kLongestTick{100};

class Server final : public HttpServer {
 public:
  Server(HttpOptions options, Handler handler) : core_(std::move(options), std::move(handler)) {}
  ~Server() override;

  absl::Status Listen();

  uint16_t port() const override { return port_; }
  bool Drain(milliseconds patience) override;
  HttpCounters counters() const override;

 private:
  void Run();
  void WaitAccept();
  // Whether there may be more to accept.
  bool AcceptSome();
  void Admit(tcp::socket socket, const tcp::endpoint& peer);
  void StartTicks();
  void BeginDrain();
  void OnQuiet();
  void CloseAll();
  template <typename F>
  void EachConnection(F f);

  Core core_;
  tcp::acceptor acceptor_{core_.io};
  asio::steady_timer accept_pause_{core_.io}, tick_{core_.io};
  asio::executor_work_guard<asio::io_context::executor_type> work_{core_.io.get_executor()};
  milliseconds tick_length_ = kLongestTick;
  bool ticking_ = false;
  bool closing_ = false;
  uint16_t port_ = 0;
  std::thread thread_;

  std::mutex drain_mutex_;
  std::condition_variable drain_changed_;
  bool drained_ = false;
};

absl::Status Server::Listen() {
  const HttpLimits& limits = core_.options.limits;
  const std::string where = absl::StrFormat("%s:%d", core_.options.host, core_.options.port);
  error_code error;
  const asio::ip::address address = asio::ip::make_address(core_.options.host, error);
  if (error) {
    return InvalidArgument(
        "%s: not an IPv4 or IPv6 address (a name is not looked up; try 127.0.0.1, 0.0.0.0 or ::1)",
        core_.options.host);
  }
  const tcp::endpoint endpoint(address, core_.options.port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (!error) acceptor_.non_blocking(true, error);
  if (!error) port_ = acceptor_.local_endpoint(error).port();
  if (error) return Unavailable("cannot listen on %s: %s", where, error.message());

  for (const milliseconds time :
       {limits.header_time, limits.body_idle, limits.keep_alive, limits.write_stall}) {
    tick_length_ = std::clamp(time / 8, milliseconds(2), tick_length_);
  }
  core_.mailbox = std::make_shared<Mailbox>([this] {
    asio::post(core_.io, [this] {
      for (const std::shared_ptr<Exchange>& exchange : core_.mailbox->Take()) {
        if (const auto connection = exchange->connection.lock()) connection->Pump();
      }
    });
  });
  core_.on_quiet = [this] { OnQuiet(); };
  WaitAccept();
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

Server::~Server() {
  if (!thread_.joinable()) return;
  asio::post(core_.io, [this] { CloseAll(); });
  thread_.join();
  core_.workers.Stop();
  core_.mailbox->Close();
}

void Server::Run() {
  while (true) {
    try {
      core_.io.run();
      return;
    } catch (...) {
      // No memory for something small; the connections see to themselves.
    }
  }
}

template <typename F>
void Server::EachConnection(F f) {
  for (auto it = core_.connections.begin(); it != core_.connections.end();) {
    const std::shared_ptr<Connection> connection = *it++;  // it may close itself
    f(*connection);
  }
}

void Server::CloseAll() {
  closing_ = true;
  error_code ignored;
  acceptor_.close(ignored);
  accept_pause_.cancel();
  tick_.cancel();
  EachConnection([](Connection& connection) { connection.Close(); });
  work_.reset();
}

// ---- accepting ----

void Server::WaitAccept() {
  acceptor_.async_wait(tcp::acceptor::wait_read, [this](const error_code& error) {
    if (error || !acceptor_.is_open()) return;
    bool more = false;
    try {
      more = AcceptSome();
    } catch (...) {  // no memory: as with descriptors
    }
    if (more) return WaitAccept();
    accept_pause_.expires_after(kAcceptPause);
    accept_pause_.async_wait([this](const error_code& cancelled) {
      if (!cancelled && acceptor_.is_open()) WaitAccept();
    });
  });
}

bool Server::AcceptSome() {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    tcp::endpoint peer;
    error_code error;
    tcp::socket socket = acceptor_.accept(core_.io, peer, error);
    if (error == asio::error::would_block) return true;
    if (!error) {
      ++core_.counters.accepted;
      Admit(std::move(socket), peer);
      continue;
    }
    // What is left of the others (a client that gave up in the queue, say) concerns that client only.
    switch (error.value()) {
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
      case ENOSPC:
        return false;
      default:
        break;
    }
  }
  return true;
}

void Server::Admit(tcp::socket socket, const tcp::endpoint& peer) {
  const size_t most = static_cast<size_t>(core_.options.limits.connections);
  const bool full = core_.connections.size() >= most;
  if (full) ++core_.counters.refused_connections;
  if (core_.connections.size() >= most + kRefusedAtOnce) return;
  auto connection = std::make_shared<Connection>(core_, std::move(socket), peer);
  core_.connections.push_back(connection);
  ++core_.counters.connections;
  connection->Start(std::prev(core_.connections.end()));
  if (full)
    connection->Refuse({503, "overloaded", "the server has as many connections as it may; try again"});
  StartTicks();
}

void Server::StartTicks() {
  if (ticking_ || closing_) return;
  ticking_ = true;
  tick_.expires_after(tick_length_);
  tick_.async_wait([this](const error_code& error) {
    ticking_ = false;
    if (error || closing_) return;
    const Clock::time_point now = Clock::now();
    EachConnection([now](Connection& connection) { connection.TimeOut(now); });
    if (!core_.connections.empty()) StartTicks();
  });
}

// ---- draining ----

bool Server::Drain(milliseconds patience) {
  asio::post(core_.io, [this] { BeginDrain(); });
  std::unique_lock lock(drain_mutex_);
  return drain_changed_.wait_for(lock, patience, [this] { return drained_; });
}

void Server::BeginDrain() {
  if (!core_.draining && acceptor_.is_open()) {
    AcceptSome();  // those that had connected already
    error_code ignored;
    acceptor_.close(ignored);
    accept_pause_.cancel();
  }
  EachConnection([](Connection& connection) { connection.BeginDrain(); });
  core_.draining = true;  // not before all have been asked: some may have a request that nobody has seen yet
  OnQuiet();
}

void Server::OnQuiet() {
  if (!core_.draining) return;
  for (const auto& connection : core_.connections) {
    if (connection->busy()) return;
  }
  const std::lock_guard lock(drain_mutex_);
  drained_ = true;
  drain_changed_.notify_all();
}

HttpCounters Server::counters() const {
  const Counters& now = core_.counters;
  HttpCounters counters;
  counters.connections = now.connections;
  counters.open_streams = now.open_streams;
  counters.active_requests = now.active_requests;
  counters.queued_requests = core_.workers.queued();
  counters.accepted = now.accepted;
  counters.refused_connections = now.refused_connections;
  counters.requests = now.requests;
  counters.bad_requests = now.bad_requests;
  counters.timeouts = now.timeouts;
  counters.vanished = now.vanished;
  return counters;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(HttpOptions options, Handler handler) {
  const HttpLimits& limits = options.limits;
  if (options.workers < 1) return InvalidArgument("workers is %d, must be at least 1", options.workers);
  for (const auto& [name, value] :
       {std::pair("header_bytes", limits.header_bytes), std::pair("headers", limits.headers),
        std::pair("target_bytes", limits.target_bytes), std::pair("body_bytes", limits.body_bytes),
        std::pair("bodies_bytes", limits.bodies_bytes), std::pair("unsent_bytes", limits.unsent_bytes),
        std::pair("connections", limits.connections), std::pair("queued_requests", limits.queued_requests),
        std::pair("requests_a_connection", limits.requests_a_connection)}) {
    if (value < 1) return InvalidArgument("HttpLimits::%s is %d, must be at least 1", name, value);
  }
  try {
    auto server = std::make_unique<Server>(std::move(options), std::move(handler));
    QIAO_RETURN_IF_ERROR(server->Listen());
    return server;
  } catch (const std::exception& e) {  // no thread, no epoll descriptor, no memory
    return Unavailable("cannot start the HTTP server: %s", e.what());
  }
}

}  // namespace qiao::serve
