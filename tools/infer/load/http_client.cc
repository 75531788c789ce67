#include "tools/infer/load/http_client.h"

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <mutex>
#include <thread>

#include "tools/infer/exit.h"
#include "tools/infer/load/driver.h"
#include "tools/infer/load/http_answer.h"
#include "tools/infer/load/http_pool.h"

namespace qiao::tools {
namespace {

namespace asio = boost::asio;

constexpr double kAskSeconds = 10;  // for a GET

constexpr const char* kWords[] = {"the",   "and", "that", "have",  "for",   "not",   "with", "you",
                                  "this",  "but", "his",  "from",  "they",  "say",   "her",  "she",
                                  "will",  "one", "all",  "would", "there", "their", "what", "out",
                                  "about", "who", "get",  "which", "when",  "make",  "can",  "like"};

class Client : public HttpClient {
 public:
  Client(const HttpClientOptions& options) : options_(options), model_(options.model), timer_(io_) {}
  ~Client() override {
    if (!thread_.joinable()) return;
    asio::post(io_, [this] {
      stopping_ = true;
      timer_.cancel();
      pool_->CancelAll();
      work_.reset();
    });
    thread_.join();
  }

  absl::Status Begin() {
    HttpPoolOptions pool;
    pool.api_key = options_.api_key;
    QIAO_ASSIGN_OR_RETURN(pool_, HttpPool::Make(io_, options_.address, pool));
    thread_ = std::thread([this] { io_.run(); });
    QIAO_RETURN_IF_ERROR(FindModel());
    const WholeAnswer stats = Ask(kStatsRoute);
    if (stats.status.ok() && stats.http == 200) {
      if (auto read = ReadStats(stats.body); read.ok()) {
        first_stats_ = *std::move(read);
        if (first_stats_->context > 0) context_ = first_stats_->context;
      }
    }
    return absl::OkStatus();
  }

  const std::string& model() const override { return model_; }
  int64_t context() const override { return context_; }
  const std::optional<ServerStats>& first_stats() const override { return first_stats_; }
  std::string server() const override { return server_; }
  std::string route() const override { return options_.chat ? kChatRoute : kCompletionsRoute; }

  absl::Status Send(const PlannedRequest& request, RequestRecord& record, EndCount& ends) override {
    CompletionCall completion;
    completion.model = model_;
    completion.chat = options_.chat;
    if (options_.chat) {
      completion.text = WordsOf(request.ids);
    } else {
      completion.ids = request.ids;
    }
    completion.max_tokens = request.max_tokens;
    completion.temperature = options_.temperature;
    completion.seed = options_.seed + static_cast<uint64_t>(sent_++);
    completion.ignore_eos = true;
    completion.efficiency = first_stats_.has_value();
    HttpCall call{.method = "POST", .route = completion.route(), .body = completion.Body()};
    ++open_;
    asio::post(io_, [this, call = std::move(call), &record, &ends] { Start(call, record, ends); });
    return absl::OkStatus();
  }

  void CancelAll() override {
    asio::post(io_, [this] { pool_->CancelAll(); });
  }

  std::optional<ServerState> State() override {
    if (!first_stats_) return std::nullopt;
    if (open_ == 0) {
      if (const WholeAnswer answer = Ask(kStatsRoute); answer.status.ok() && answer.http == 200)
        NoteState(answer.body);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    return state_;
  }

 private:
  absl::Status FindModel() {
    const WholeAnswer models = Ask(kModelsRoute);
    if (!models.status.ok()) {
      return WithHint(models.status, "is the server running? infer serve --model DIR starts one");
    }
    server_ = models.server;
    if (models.http == 401 || models.http == 403) {
      return WithHint(
          PermissionDenied("%s: %d: %s", options_.address.Url(), models.http, ErrorText(models.body)),
          "give the server's key with --api-key or in QIAO_API_KEY");
    }
    absl::StatusOr<ListedModel> listed = models.http == 200
                                             ? ReadModels(models.body)
                                             : NotFound("%d: %s", models.http, ErrorText(models.body));
    if (listed.ok()) {
      context_ = listed->context;
      if (model_.empty()) model_ = listed->id;
    }
    if (model_.empty()) {
      return WithHint(Unavailable("%s%s does not say which model there is: %s", options_.address.Url(),
                                  kModelsRoute, Message(listed.status())),
                      "name it with --model-name");
    }
    return absl::OkStatus();
  }

  // A GET, waited for.
  WholeAnswer Ask(const char* route) {
    auto answer = std::make_shared<WholeAnswer>();
    auto ended = std::make_shared<std::promise<void>>();
    std::future<void> end = ended->get_future();
    auto exchange = std::make_shared<std::weak_ptr<HttpExchange>>();
    asio::post(io_, [this, route, answer, ended, exchange] {
      *exchange = Get(route, answer, [ended] { ended->set_value(); });
    });
    if (end.wait_for(std::chrono::duration<double>(kAskSeconds)) != std::future_status::ready) {
      asio::post(io_, [exchange] {
        if (const auto open = exchange->lock()) open->Cancel();
      });
      end.wait();
    }
    if (absl::IsCancelled(answer->status)) {
      answer->status = Unavailable("%s%s: no answer within %g s", options_.address.Url(), route, kAskSeconds);
    }
    return *answer;
  }

  std::weak_ptr<HttpExchange> Get(const char* route, std::shared_ptr<WholeAnswer> answer,
                                  std::function<void()> then) {
    return pool_->Start({.method = "GET", .route = route, .body = ""},
                        Keep(std::move(answer), std::move(then)));
  }

  void Start(const HttpCall& call, RequestRecord& record, EndCount& ends) {
    auto answer = std::make_shared<HttpAnswer>(record);
    auto exchange = std::make_shared<std::weak_ptr<HttpExchange>>();
    HttpListener listener;
    listener.head = [answer](const HttpHead& head) { answer->Head(head); };
    listener.body = [answer, exchange](std::string_view piece) {
      answer->Body(piece, Clock::now());
      if (!answer->hopeless()) return;
      if (const auto open = exchange->lock()) open->Cancel();
    };
    listener.end = [this, answer, &ends](const absl::Status& status) {
      answer->End(status, Clock::now());
      --open_;
      ends.Add();
    };
    *exchange = pool_->Start(call, std::move(listener));
    if (first_stats_ && !polling_) Poll();
  }

  // Asks for the state again and again, while requests are under way.
  void Poll() {
    polling_ = open_ > 0 && !stopping_;
    if (!polling_) return;
    auto answer = std::make_shared<WholeAnswer>();
    Get(kStatsRoute, answer, [this, answer] {
      if (answer->status.ok() && answer->http == 200) NoteState(answer->body);
      if (stopping_) return;
      timer_.expires_after(FromSeconds(kSampleSeconds / 2));
      timer_.async_wait([this](boost::system::error_code) { Poll(); });
    });
  }

  void NoteState(std::string_view body) {
    const absl::StatusOr<ServerStats> stats = ReadStats(body);
    if (!stats.ok()) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    state_ = stats->state;
  }

  const HttpClientOptions options_;
  std::string model_, server_;
  int64_t context_ = 0, sent_ = 0;
  std::optional<ServerStats> first_stats_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::unique_ptr<HttpPool> pool_;
  asio::steady_timer timer_;
  bool polling_ = false, stopping_ = false;  // of the thread
  std::atomic<int64_t> open_{0};
  std::mutex mutex_;
  std::optional<ServerState> state_;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpClient>> HttpClient::Connect(const HttpClientOptions& options) {
  for (const char c : options.api_key) {
    if (c <= ' ' || c > '~') return UsageError("--api-key: a key has no spaces, and printable ASCII only");
  }
  auto client = std::make_unique<Client>(options);
  QIAO_RETURN_IF_ERROR(client->Begin());
  return client;
}

std::string WordsOf(const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) {
    if (!text.empty()) text += ' ';
    text += kWords[static_cast<size_t>(id) % std::size(kWords)];
  }
  return text;
}

}  // namespace qiao::tools
