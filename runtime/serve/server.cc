#include "runtime/serve/server.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/serve/api/errors.h"
#include "runtime/serve/api/fields.h"
#include "runtime/serve/api/messages.h"
#include "runtime/serve/api/requests.h"
#include "runtime/serve/api/run.h"
#include "runtime/serve/http/workers.h"
#include "runtime/serve/keys.h"
#include "runtime/serve/metrics.h"
#include "runtime/serve/origins.h"
#include "runtime/serve/page/page.h"
#include "runtime/serve/stats.h"
#include "runtime/serve/with_headers.h"

namespace qiao::serve {
namespace {

constexpr int kWorkers = 2;
constexpr int64_t kMostEvents = int64_t{1}
                                << 40;  // runs post one at a time each, so that their number bounds this
// A stream that has said nothing for so long gets a sign of life: proxies cut silent ones after a minute.
constexpr std::chrono::seconds kSilence{15};
// What is left of the patience for those that are told at its end.
constexpr std::chrono::milliseconds kFarewell{2000};
constexpr int kLongestWait = 60;  // seconds that a refused client is told to wait, at most

using RequestPtr = std::shared_ptr<const HttpRequest>;
using ResponderPtr = std::shared_ptr<Responder>;

class ServerImpl : public Server {
 public:
  ServerImpl(Engine& engine, ServerOptions options)
      : engine_(engine),
        options_(std::move(options)),
        keys_(options_.api_keys),
        origins_(options_.origins, options_.api_keys.empty() && IsLoopback(options_.host)),
        model_(engine.model()),
        metrics_(options_.model_id),
        workers_(kWorkers, kMostEvents) {
    host_.engine = &engine_;
    host_.workers = &workers_;
    host_.model = model_;
    host_.format = DetectAnswerFormat(engine_.ChatTemplateSource(/*tools=*/true));
    host_.model_id = options_.model_id;
    host_.answered = [this](const AnswerTotals& totals) { metrics_.Answered(totals); };
    host_.prefill_rate = [this] { return metrics_.prefill_rate(); };
    host_.retry_after = [this] { return RetryAfter(); };
    host_.log = options_.log;
    facts_ = {.id = options_.model_id,
              .vocab = model_.vocab,
              .context = engine_.context(),
              .sampling = engine_.RecommendedSampling()};
    AddRoutes();
  }

  ~ServerImpl() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (ticker_.joinable()) ticker_.join();
    FailAll();
    http_ = nullptr;  // no handler runs from here on
    WaitForRuns();
  }

  absl::Status Listen() {
    HttpOptions http;
    http.host = options_.host;
    http.port = options_.port;
    http.workers = kWorkers;
    http.limits = options_.http;
    http.headers = {{"Server", "qiao/" + Version()},
                    {"X-Content-Type-Options", "nosniff"},
                    {"Referrer-Policy", "no-referrer"}};
    http.access = [this](const AccessRecord& record) { Access(record); };
    QIAO_ASSIGN_OR_RETURN(
        http_, HttpServer::Start(std::move(http), [this](RequestPtr request, ResponderPtr responder) {
          Handle(request, responder);
        }));
    ticker_ = std::thread([this] { Tick(); });
    return absl::OkStatus();
  }

  uint16_t port() const override { return http_->port(); }

  bool Drain(std::chrono::milliseconds patience) override {
    draining_ = true;
    if (http_->Drain(patience)) return true;
    FailAll();
    http_->Drain(kFarewell);
    return false;
  }

 private:
  using Route = std::function<void(const HttpRequest&, const ResponderPtr&)>;

  void AddRoutes();
  void Handle(const RequestPtr& request, ResponderPtr responder);
  void Call(const Protocol& protocol, const HttpRequest& request, const ResponderPtr& responder);
  absl::StatusOr<OrderedJson> Body(const HttpRequest& request) const;
  HttpResponse Models(const HttpRequest& request) const;
  absl::StatusOr<OrderedJson> Tokenize(const HttpRequest& request) const;
  absl::StatusOr<OrderedJson> Detokenize(const HttpRequest& request) const;
  absl::StatusOr<OrderedJson> CountTokens(const HttpRequest& request) const;
  void Access(const AccessRecord& record);
  int RetryAfter() const;
  void Tick();
  void FailAll();
  void WaitForRuns();
  std::vector<std::shared_ptr<Run>> Runs();

  Engine& engine_;
  const ServerOptions options_;
  const Keys keys_;
  const Origins origins_;
  const ModelDescription model_;
  Metrics metrics_;
  ModelFacts facts_;
  RunHost host_;
  std::map<std::string, std::map<std::string, Route>> routes_;  // path, method
  std::atomic<bool> draining_{false};

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::vector<std::weak_ptr<Run>> runs_;
  std::thread ticker_;

  std::unique_ptr<HttpServer> http_;
  Workers workers_;  // ends first: what it still has to do uses the rest
};

HttpResponse JsonResponse(const OrderedJson& json) { return {.body = DumpJson(json)}; }

bool IsAnthropic(const HttpRequest& request) { return request.path.rfind("/v1/messages", 0) == 0; }

HttpResponse Refusal(const HttpRequest& request, const absl::Status& status, int http_status = 0) {
  HttpResponse response =
      ErrorResponse(IsAnthropic(request) ? Messages() : ChatCompletions(), status, request.id);
  if (http_status != 0) response.status = http_status;
  return response;
}

void ServerImpl::AddRoutes() {
  const auto get = [this](const char* path, std::function<HttpResponse(const HttpRequest&)> make) {
    routes_[path]["GET"] = [make = std::move(make)](const HttpRequest& request,
                                                    const ResponderPtr& responder) {
      responder->Send(make(request));
    };
  };
  const auto post = [this](const char* path,
                           std::function<absl::StatusOr<OrderedJson>(const HttpRequest&)> make) {
    routes_[path]["POST"] = [make = std::move(make)](const HttpRequest& request,
                                                     const ResponderPtr& responder) {
      absl::StatusOr<OrderedJson> json = make(request);
      responder->Send(json.ok() ? JsonResponse(*json) : Refusal(request, json.status()));
    };
  };
  const auto call = [this](const char* path, const Protocol& protocol) {
    routes_[path]["POST"] = [this, &protocol](const HttpRequest& request, const ResponderPtr& responder) {
      Call(protocol, request, responder);
    };
  };
  get("/health", [this](const HttpRequest&) {
    HttpResponse response = JsonResponse({{"status", draining_ ? "draining" : "ok"}});
    if (draining_) response.status = 503;
    return response;
  });
  get("/metrics", [this](const HttpRequest&) {
    return HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                        .body = metrics_.Text(engine_.stats(), engine_.device(), http_->counters())};
  });
  get("/v1/stats", [this](const HttpRequest&) {
    const EngineStats stats = engine_.stats();
    return JsonResponse(StatsJson(facts_, model_, stats, metrics_.RatesNow(stats), http_->counters()));
  });
  get("/v1/models", [this](const HttpRequest& request) { return Models(request); });
  call("/v1/chat/completions", ChatCompletions());
  call("/v1/completions", Completions());
  call("/v1/responses", Responses());
  call("/v1/messages", Messages());
  post("/v1/messages/count_tokens", [this](const HttpRequest& request) { return CountTokens(request); });
  post("/tokenize", [this](const HttpRequest& request) { return Tokenize(request); });
  post("/detokenize", [this](const HttpRequest& request) { return Detokenize(request); });
  if (!options_.page) return;
  for (const PageFile& file : PageFiles()) {
    const auto send = [&file](const HttpRequest& request) {
      HttpResponse response{.content_type = std::string(file.content_type), .body = std::string(file.body)};
      response.headers = {{"ETag", std::string(file.etag)},
                          {"Cache-Control", "no-cache"},
                          {"Content-Security-Policy",
                           "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
                           "frame-ancestors 'none'"}};
      if (request.Header("if-none-match") == file.etag) response.status = 304, response.body.clear();
      return response;
    };
    if (file.name == "index.html") {
      get("/", send);
    } else {
      get(("/page/" + std::string(file.name)).c_str(), send);
    }
  }
}

void ServerImpl::Handle(const RequestPtr& request, ResponderPtr responder) {
  const std::string& path = request->path;
  if (const absl::Status status = origins_.Check(*request); !status.ok()) {
    return responder->Send(Refusal(*request, status));
  }
  if (const auto preflight = origins_.Preflight(*request)) return responder->Send(*preflight);
  responder = origins_.Wrap(*request, std::move(responder));
  // Anthropic's clients look for the id under this name.
  if (IsAnthropic(*request)) responder = WithHeaders(std::move(responder), {{"request-id", request->id}});
  auto found = routes_.find(path);
  if (found == routes_.end() && path.rfind("/v1/models/", 0) == 0) found = routes_.find("/v1/models");
  if (path != "/health" && !keys_.Admit(*request)) {
    HttpResponse response = Refusal(
        *request,
        WithErrorCode(absl::UnauthenticatedError("this server asks for an API key: send \"Authorization: "
                                                 "Bearer KEY\" or \"x-api-key: KEY\""),
                      "invalid_api_key"));
    // A browser asks for a password then; programs that call the API must not be answered by a dialog.
    response.headers.emplace_back("WWW-Authenticate",
                                  path == "/" ? "Basic realm=\"qiao\", charset=\"UTF-8\"" : "Bearer");
    responder->Send(std::move(response));
    return;
  }
  if (found == routes_.end()) {
    responder->Send(Refusal(*request, NotFound("there is no %s here", path.substr(0, 200))));
    return;
  }
  std::string_view method = request->method;
  if (method == "HEAD") method = "GET";  // the transport drops the body
  const auto route = found->second.find(std::string(method));
  if (route == found->second.end()) {
    std::string allowed;
    for (const auto& [name, unused] : found->second) allowed += (allowed.empty() ? "" : ", ") + name;
    HttpResponse response =
        Refusal(*request, InvalidArgument("%s takes %s, not %s", path, allowed, request->method), 405);
    response.headers.emplace_back("Allow", allowed);
    responder->Send(std::move(response));
    return;
  }
  route->second(*request, responder);
}

absl::StatusOr<OrderedJson> ServerImpl::Body(const HttpRequest& request) const {
  if (request.body.empty()) return InvalidArgument("the body is empty; it must be a JSON object");
  absl::StatusOr<OrderedJson> json =
      ParseOrderedJson(request.body, "the body",
                       {.max_bytes = static_cast<size_t>(options_.http.body_bytes),
                        .max_depth = options_.api.json_depth,
                        .max_values = static_cast<size_t>(options_.api.json_values)});
  if (!json.ok()) return WithErrorCode(json.status(), "invalid_json");
  return json;
}

void ServerImpl::Call(const Protocol& protocol, const HttpRequest& request, const ResponderPtr& responder) {
  const auto refuse = [&](const absl::Status& status) {
    responder->Send(ErrorResponse(protocol, status, request.id));
  };
  if (draining_) return refuse(Unavailable("the server is shutting down"));
  absl::StatusOr<OrderedJson> body = Body(request);
  if (!body.ok()) return refuse(body.status());
  absl::StatusOr<serve::Call> call = protocol.Parse(*body, facts_, options_.api);
  if (!call.ok()) return refuse(call.status());
  body = OrderedJson();  // the run may take long, and the call has all of it
  const std::shared_ptr<Run> run = StartRun(host_, protocol, *std::move(call), request.id, responder);
  if (run == nullptr) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  std::erase_if(runs_, [](const std::weak_ptr<Run>& old) { return old.expired(); });
  runs_.push_back(run);
}

HttpResponse ServerImpl::Models(const HttpRequest& request) const {
  const OrderedJson model = {{"id", options_.model_id},
                             {"object", "model"},
                             {"created", 0},
                             {"owned_by", "qiao"},
                             {"max_model_len", facts_.context},
                             {"context_length", facts_.context},
                             {"vocab_size", facts_.vocab}};
  if (request.path == "/v1/models") {
    return JsonResponse({{"object", "list"}, {"data", OrderedJson::array({model})}});
  }
  const std::string asked = request.path.substr(std::string_view("/v1/models/").size());
  if (asked == options_.model_id) return JsonResponse(model);
  return Refusal(request, ModelNotServed(asked, options_.model_id));
}

// {"prompt" or "content": text, "add_special_tokens": true} -> {"tokens", "count", "max_model_len"}: the spellings of
// vLLM and llama.cpp.
absl::StatusOr<OrderedJson> ServerImpl::Tokenize(const HttpRequest& request) const {
  QIAO_ASSIGN_OR_RETURN(const OrderedJson json, Body(request));
  QIAO_ASSIGN_OR_RETURN(const Fields body, Fields::Of(json, ""));
  QIAO_ASSIGN_OR_RETURN(std::optional<std::string> text, body.String("prompt"));
  if (!text) {
    QIAO_ASSIGN_OR_RETURN(text, body.String("content"));
  }
  if (!text) return BadParam("prompt", "is missing; it must be a string");
  if (static_cast<int64_t>(text->size()) > options_.api.tokenize_bytes) {
    return BadParam("prompt", absl::StrFormat("has %d bytes; at most %d are allowed", text->size(),
                                              options_.api.tokenize_bytes));
  }
  QIAO_ASSIGN_OR_RETURN(const std::optional<bool> special, body.Bool("add_special_tokens"));
  const Result<std::vector<int32_t>> ids = engine_.Tokenize(*text, special.value_or(true));
  if (!ids.ok()) return FromPublic(ids.status());
  return OrderedJson{{"tokens", *ids}, {"count", ids->size()}, {"max_model_len", facts_.context}};
}

absl::StatusOr<OrderedJson> ServerImpl::Detokenize(const HttpRequest& request) const {
  QIAO_ASSIGN_OR_RETURN(const OrderedJson json, Body(request));
  QIAO_ASSIGN_OR_RETURN(const Fields body, Fields::Of(json, ""));
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* tokens, body.NeedArray("tokens", options_.api.json_values));
  std::vector<int32_t> ids;
  for (const OrderedJson& id : *tokens) {
    if (!IsTokenId(id, facts_.vocab)) {
      return BadParam("tokens", absl::StrFormat("must be token ids of 0..%d", facts_.vocab - 1));
    }
    ids.push_back(id.get<int32_t>());
  }
  const Result<std::string> text = engine_.Detokenize(ids);
  if (!text.ok()) return FromPublic(text.status());
  return OrderedJson{{"prompt", *text}, {"content", *text}};
}

absl::StatusOr<OrderedJson> ServerImpl::CountTokens(const HttpRequest& request) const {
  QIAO_ASSIGN_OR_RETURN(const OrderedJson body, Body(request));
  QIAO_ASSIGN_OR_RETURN(const serve::Call call, ParseCountTokens(body, facts_, options_.api));
  QIAO_ASSIGN_OR_RETURN(const ComposedPrompt prompt, ComposeChat(engine_, call, host_.format));
  QIAO_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, ChatTokens(engine_, prompt.text));
  return CountedTokens(static_cast<int64_t>(ids.size()));
}

// The transport has told the handler's answers; here is what is counted and logged of all.
void ServerImpl::Access(const AccessRecord& record) {
  const std::string path(record.path);
  metrics_.Request(routes_.count(path) ? path : "other", record.status);
  if (!options_.log) return;
  options_.log(LogLevel::kInfo,
               absl::StrFormat("%s %s %s %s %d %d bytes %.3f s", record.id, record.peer, record.method, path,
                               record.status, record.bytes, record.seconds));
}

// As long as the requests that wait have taken until now, one after another where they do not fit together.
int ServerImpl::RetryAfter() const {
  const EngineStats stats = engine_.stats();
  const double done = static_cast<double>(std::max<int64_t>(1, stats.finished));
  const double seconds = stats.step_seconds / done * static_cast<double>(stats.waiting);
  return static_cast<int>(std::clamp(seconds, 1.0, static_cast<double>(kLongestWait)));
}

std::vector<std::shared_ptr<Run>> ServerImpl::Runs() {
  std::vector<std::shared_ptr<Run>> runs;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const std::weak_ptr<Run>& weak : runs_) {
    if (std::shared_ptr<Run> run = weak.lock()) runs.push_back(std::move(run));
  }
  return runs;
}

void ServerImpl::Tick() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!changed_.wait_for(lock, kSilence, [this] { return stopping_; })) {
    lock.unlock();
    for (const std::shared_ptr<Run>& run : Runs()) run->Ping();
    lock.lock();
  }
}

void ServerImpl::FailAll() {
  for (const std::shared_ptr<Run>& run : Runs()) run->Fail(Unavailable("the server is shutting down"));
}

// The engine still calls back those that were cancelled, within a step.
void ServerImpl::WaitForRuns() {
  while (!Runs().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(Engine& engine, ServerOptions options) {
  auto server = std::make_unique<ServerImpl>(engine, std::move(options));
  QIAO_RETURN_IF_ERROR(server->Listen());
  return server;
}

}  // namespace qiao::serve
