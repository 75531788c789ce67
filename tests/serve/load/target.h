// The server under test: requests to it, what it tells of itself, and its process.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "tools/infer/load/http_answer.h"
#include "tools/infer/load/http_pool.h"
#include "tools/infer/load/openai_api.h"
#include "tools/infer/load/random.h"

namespace qiao::storm {

struct StormOptions {
  std::string url, api_key, scenario;
  pid_t pid = 0;  // of the server; 0: not known, or on another machine
  int64_t clients = 0;
  double seconds = 0;
  int64_t prompt_words = 24, max_tokens = 48, distinct = 64;
  uint64_t seed = 1;
  double rss_growth_mb = 8;
  double free_seconds = 1;
  double most_seconds = 1;
  bool json = false;
};

// One streamed request.
struct Ask {
  explicit Ask(tools::CompletionCall c);
  Ask(const Ask&) = delete;

  tools::CompletionCall call;
  tools::RequestRecord record;
  std::string text;
  bool ended = false;
  bool error_event = false;  // the stream ended with an error that said so
  int64_t pieces = 0;
  tools::HttpAnswer answer;
  std::weak_ptr<tools::HttpExchange> exchange;
  std::function<void(Ask&)> on_piece;
  std::function<void(Ask&)> on_end;

  bool finished() const { return record.outcome == tools::RequestRecord::Outcome::kFinished; }
  bool refused() const { return record.outcome == tools::RequestRecord::Outcome::kRefused; }
};

// One thread for everything.
class Target {
 public:
  // The server answers, and says which model it has.
  static absl::StatusOr<std::unique_ptr<Target>> Connect(const StormOptions& options);

  const StormOptions& options() const { return options_; }
  boost::asio::io_context& io() { return io_; }
  const boost::asio::ip::tcp::endpoint& endpoint() const { return endpoint_; }
  const std::string& model() const { return model_; }
  // The bytes of a request, with key; `headers` are more lines, each with "\r\n" at its end.
  std::string Wire(const std::string& method, const std::string& route, std::string_view body,
                   std::string_view headers = "") const;

  // The i-th request of a fixed series: chats and completions, greedy and sampled with a seed of their own.
  tools::CompletionCall Call(int64_t i) const;
  std::shared_ptr<Ask> Send(tools::CompletionCall call, std::function<void(Ask&)> on_end = nullptr,
                            std::function<void(Ask&)> on_piece = nullptr);

  // Ends all that are under way: their on_end is called within it.
  void CancelAll();

  // Runs until `until`, or so many seconds; true where `until` held.
  bool Run(double seconds, const std::function<bool()>& until);

  tools::WholeAnswer Get(const char* route, double seconds = 10);  // waits
  std::optional<tools::ServerStats> Stats();                       // waits; absent where the server has none
  // Waits until nothing runs and waits; true where that is so, or the server does not tell.
  bool WaitIdle(double seconds);
  // Whether a request of the series is answered properly now.
  absl::Status StillServes();

 private:
  explicit Target(const StormOptions& options) : options_(options) {}

  StormOptions options_;
  boost::asio::io_context io_{1};
  tools::HttpAddress address_;
  boost::asio::ip::tcp::endpoint endpoint_;
  std::unique_ptr<tools::HttpPool> pool_;
  std::string model_;
};

// Resident bytes of a process; 0 where it is not there.
int64_t ResidentBytes(pid_t pid);
// Whether it runs: neither gone nor a zombie.
bool Runs(pid_t pid);
// As many files as this process may have open.
void RaiseFileLimit();

}  // namespace qiao::storm
