#include "tests/serve/load/target.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tools/infer/load/http_client.h"

namespace qiao::storm {

namespace asio = boost::asio;
using tools::HttpExchange;

Ask::Ask(tools::CompletionCall c)
    : call(std::move(c)), answer(record, [this](const tools::CompletionChunk& chunk) {
        text += chunk.text;
        error_event |= !chunk.error.empty();
        if (!chunk.piece) return;
        ++pieces;
        if (on_piece) on_piece(*this);
      }) {
  record.asked_tokens = call.max_tokens;
  record.due = record.sent = Clock::now();
}

absl::StatusOr<std::unique_ptr<Target>> Target::Connect(const StormOptions& options) {
  std::unique_ptr<Target> target(new Target(options));
  QIAO_ASSIGN_OR_RETURN(target->address_, tools::ParseAddress("--url", options.url));
  tools::HttpPoolOptions pool;
  pool.api_key = options.api_key;
  pool.silence_seconds = 120;
  pool.idle = 1 << 16;
  QIAO_ASSIGN_OR_RETURN(target->pool_, tools::HttpPool::Make(target->io_, target->address_, pool));
  asio::ip::tcp::resolver resolver(target->io_);
  boost::system::error_code error;
  const auto found = resolver.resolve(target->address_.host, std::to_string(target->address_.port), error);
  if (error || found.empty()) return Unavailable("%s: no such host", options.url);
  target->endpoint_ = found.begin()->endpoint();
  const tools::WholeAnswer models = target->Get(tools::kModelsRoute);
  QIAO_RETURN_IF_ERROR(models.status);
  if (models.http != 200)
    return Unavailable("%s%s: %d: %s", options.url, tools::kModelsRoute, models.http,
                       tools::ErrorText(models.body));
  QIAO_ASSIGN_OR_RETURN(const tools::ListedModel listed, tools::ReadModels(models.body));
  target->model_ = listed.id;
  return target;
}

std::string Target::Wire(const std::string& method, const std::string& route, std::string_view body,
                         std::string_view headers) const {
  std::string wire =
      absl::StrCat(method, " ", address_.path, route, " HTTP/1.1\r\nHost: ", address_.Authority(), "\r\n");
  if (!options_.api_key.empty()) absl::StrAppend(&wire, "Authorization: Bearer ", options_.api_key, "\r\n");
  if (method == "POST")
    absl::StrAppend(&wire, "Content-Type: application/json\r\nContent-Length: ", body.size(), "\r\n");
  absl::StrAppend(&wire, Abs(headers), "\r\n", Abs(body));
  return wire;
}

tools::CompletionCall Target::Call(int64_t i) const {
  tools::Random random(options_.seed, static_cast<uint64_t>(i));
  std::vector<int32_t> words;
  const int64_t count = 1 + random.Below(std::max<int64_t>(1, 2 * options_.prompt_words - 1));
  for (int64_t w = 0; w < count; ++w) words.push_back(static_cast<int32_t>(random.Below(1 << 20)));
  tools::CompletionCall call;
  call.model = model_;
  call.chat = i % 2 == 0;
  // Each says which one it is: an answer to another request has another text.
  call.text = absl::StrCat("Number ", i, ": ", tools::WordsOf(words));
  call.max_tokens = std::max<int64_t>(1, options_.max_tokens / 2 + random.Below(options_.max_tokens / 2 + 1));
  call.temperature = i % 3 == 0 ? 0 : 0.9;
  call.seed = options_.seed * 1'000'003 + static_cast<uint64_t>(i);
  call.ignore_eos = true;
  return call;
}

std::shared_ptr<Ask> Target::Send(tools::CompletionCall call, std::function<void(Ask&)> on_end,
                                  std::function<void(Ask&)> on_piece) {
  auto ask = std::make_shared<Ask>(std::move(call));
  ask->on_end = std::move(on_end);
  ask->on_piece = std::move(on_piece);
  tools::HttpListener listener;
  listener.head = [ask](const tools::HttpHead& head) { ask->answer.Head(head); };
  listener.body = [ask](std::string_view piece) { ask->answer.Body(piece, Clock::now()); };
  listener.end = [ask](const absl::Status& status) {
    ask->answer.End(status, Clock::now());
    ask->ended = true;
    ask->on_piece = nullptr;
    const auto then = std::move(ask->on_end);
    if (then) then(*ask);
  };
  ask->exchange = pool_->Start({.method = "POST", .route = ask->call.route(), .body = ask->call.Body()},
                               std::move(listener));
  return ask;
}

void Target::CancelAll() {
  pool_->CancelAll();
  Run(5, [&] { return pool_->open() == 0; });
}

bool Target::Run(double seconds, const std::function<bool()>& until) {
  const Clock::time_point end = Clock::now() + FromSeconds(seconds);
  while (!until()) {
    if (Clock::now() >= end) return false;
    if (io_.stopped()) io_.restart();
    const Clock::time_point wake = std::min(end, Clock::now() + std::chrono::milliseconds(5));
    if (io_.run_one_until(wake) == 0) {
      // Nothing to do at all: sleep, or this loop would spin.
      if (io_.stopped()) ::usleep(1000);
      continue;
    }
    io_.poll();
  }
  return true;
}

tools::WholeAnswer Target::Get(const char* route, double seconds) {
  auto got = std::make_shared<tools::WholeAnswer>();
  auto ended = std::make_shared<bool>(false);
  const auto exchange = pool_->Start({.method = "GET", .route = route, .body = ""},
                                     tools::Keep(got, [ended] { *ended = true; }));
  if (!Run(seconds, [&] { return *ended; })) {
    if (const auto open = exchange.lock()) open->Cancel();
    Run(1, [&] { return *ended; });
    got->status = Unavailable("GET %s: no answer within %g s", route, seconds);
  }
  return *got;
}

std::optional<tools::ServerStats> Target::Stats() {
  const tools::WholeAnswer got = Get(tools::kStatsRoute);
  if (!got.status.ok() || got.http != 200) return std::nullopt;
  const auto stats = tools::ReadStats(got.body);
  if (!stats.ok()) return std::nullopt;
  return *stats;
}

bool Target::WaitIdle(double seconds) {
  const Clock::time_point start = Clock::now();
  for (;;) {
    const auto stats = Stats();
    if (!stats) return true;
    if (stats->state.running == 0 && stats->state.waiting == 0) return true;
    if (Since(start) > seconds) return false;
    Run(0.01, [] { return false; });
  }
}

absl::Status Target::StillServes() {
  const auto ask = Send(Call(0));
  if (!Run(60, [&] { return ask->ended; })) {
    if (const auto open = ask->exchange.lock()) open->Cancel();
    Run(1, [&] { return ask->ended; });
    return Unavailable("no answer within a minute");
  }
  if (!ask->finished()) return Unavailable("%s", ask->record.error);
  return absl::OkStatus();
}

int64_t ResidentBytes(pid_t pid) {
  std::ifstream statm(absl::StrCat("/proc/", pid, "/statm"));
  int64_t pages = 0, resident = 0;
  if (!(statm >> pages >> resident)) return 0;
  return resident * ::sysconf(_SC_PAGESIZE);
}

bool Runs(pid_t pid) {
  std::ifstream stat(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  if (!std::getline(stat, line)) return false;
  const size_t close = line.rfind(')');
  return close != std::string::npos && close + 2 < line.size() && line[close + 2] != 'Z' &&
         line[close + 2] != 'X';
}

void RaiseFileLimit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace qiao::storm
