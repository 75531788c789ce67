// What the connections of a server share. Everything here belongs to the network thread, but for the counters, the
// mailbox and the workers.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/serve/http/exchange.h"
#include "runtime/serve/http/request_id.h"
#include "runtime/serve/http/server.h"
#include "runtime/serve/http/workers.h"

namespace qiao::serve {

class Connection;

// The memory of all bodies. Requests keep a reference: a handler may hold one longer than there is a server.
class BodyBudget {
 public:
  explicit BodyBudget(int64_t limit) : limit_(limit) {}
  // False where it would be more than the limit.
  bool Take(int64_t bytes) {
    if (used_.fetch_add(bytes) + bytes <= limit_) return true;
    used_.fetch_sub(bytes);
    return false;
  }
  void Give(int64_t bytes) { used_.fetch_sub(bytes); }

 private:
  const int64_t limit_;
  std::atomic<int64_t> used_{0};
};

struct Counters {
  std::atomic<int64_t> connections{0}, open_streams{0}, active_requests{0};
  std::atomic<int64_t> accepted{0}, refused_connections{0}, requests{0}, bad_requests{0}, timeouts{0},
      vanished{0};
};

struct Core {
  Core(HttpOptions chosen, Handler its_handler)
      : options(std::move(chosen)),
        handler(std::move(its_handler)),
        budget(std::make_shared<BodyBudget>(options.limits.bodies_bytes)),
        workers(options.workers, options.limits.queued_requests) {}

  const std::string& Date() {  // made once a second
    if (const Clock::time_point now = Clock::now();
        date.empty() || now - date_made >= std::chrono::seconds(1)) {
      date = HttpDate();
      date_made = now;
    }
    return date;
  }

  const HttpOptions options;
  const Handler handler;
  boost::asio::io_context io{1};
  std::shared_ptr<Mailbox> mailbox;
  std::shared_ptr<BodyBudget> budget;
  Counters counters;
  RequestIds ids;
  std::list<std::shared_ptr<Connection>> connections;
  std::vector<char> scratch = std::vector<char>(64 << 10);  // what is read, before anyone keeps it
  bool draining = false;
  std::function<void()> on_quiet;  // called when a connection has nothing more to do, or is gone

  std::string date;
  Clock::time_point date_made;

  Workers workers;  // the last member: its threads end first
};

}  // namespace qiao::serve
