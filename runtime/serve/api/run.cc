#include "runtime/serve/api/run.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/serve/api/efficiency.h"
#include "runtime/serve/api/errors.h"
#include "runtime/serve/api/lanes.h"
#include "runtime/serve/api/requests.h"
#include "runtime/serve/api/scored.h"

namespace qiao::serve {
namespace {

// Progress of a prompt is told no more often.
constexpr std::chrono::milliseconds kProgressPause{250};

uint64_t RandomSeed() {
  static std::mutex mutex;
  static std::mt19937_64 generator{std::random_device{}()};
  const std::lock_guard<std::mutex> lock(mutex);
  return generator();
}

// What the engine's thread tells, for a worker to write out.
struct Event {
  enum class Kind { kToken, kPrefill, kDone };
  Kind kind = Kind::kToken;
  size_t part = 0;
  int32_t choice = 0, id = -1;  // of the part
  std::string text = {};
  float logprob = 0;
  std::vector<TokenLogprob> top = {};
  int64_t done = 0, total = 0;
  std::optional<Result<GenerateResult>> result = {};
};

class RunImpl : public Run, public std::enable_shared_from_this<RunImpl> {
 public:
  RunImpl(const RunHost& host, const Protocol& protocol, Call call, const std::string& request_id,
          std::shared_ptr<Responder> responder)
      : host_(host), protocol_(protocol), call_(std::move(call)), responder_(std::move(responder)) {
    header_.request_id = request_id;
    header_.suffix = request_id.substr(request_id.find('_') + 1);
    header_.model = host_.model_id;
    header_.created =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    seed_ = call_.seed.value_or(RandomSeed());
  }

  // False where it ended at once.
  bool Start();
  void Fail(absl::Status status) override;
  void Ping() override;

 private:
  absl::Status Prepare(std::vector<GenerateRequest>& requests);
  absl::Status Submit(size_t part, GenerateRequest request);
  void Gone();

  void Push(Event event);
  void Process();
  void Handle(Event& event, std::string& out);
  void HandleToken(Event& event, std::string& out);
  absl::Status HandleDone(Event& event, std::string& out);
  absl::Status CallNamed(size_t part, const std::string& name, std::string& out);
  void Count(const Part& part, const GenerateResult& result);
  void Complete(std::string& out);
  void FinishWith(const absl::Status& status, std::string& out);
  void Write(std::string out);

  const RunHost& host_;
  const Protocol& protocol_;
  Call call_;
  const std::shared_ptr<Responder> responder_;
  AnswerHeader header_;
  uint64_t seed_ = 0;
  ComposedPrompt prompt_;  // of a chat
  CancelToken cancel_;
  const Clock::time_point began_ = Clock::now();

  // Of whoever processes; that is one at a time.
  std::vector<Part> parts_;
  std::optional<Lanes> lanes_;
  std::unique_ptr<AnswerStream> stream_;  // null: the answer goes out as a whole
  AnswerTotals totals_;
  size_t open_parts_ = 0;
  bool finished_ = false;

  Clock::time_point told_{};  // of the engine's thread: when the last progress went out

  std::mutex mutex_;
  std::vector<Event> events_;
  std::optional<absl::Status> failure_;
  bool ping_ = false;
  bool processing_ = true;  // by Start, at first
};

bool RunImpl::Start() {
  std::vector<GenerateRequest> requests;
  absl::Status status = Prepare(requests);
  responder_->OnGone([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Gone();
  });
  for (size_t i = 0; status.ok() && i < requests.size(); ++i) {
    status = Submit(i, std::move(requests[i]));
  }
  if (!status.ok()) {
    cancel_.Cancel();
    finished_ = true;
    responder_->Send(ErrorResponse(protocol_, status, header_.request_id));
    const std::lock_guard<std::mutex> lock(mutex_);
    processing_ = false;
    return false;
  }
  if (call_.stream) {
    stream_ = protocol_.Stream(call_, header_);
    lanes_->SetStream(stream_.get());
    HttpResponse head;
    head.content_type = "text/event-stream; charset=utf-8";
    head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
    stream_->Begin(head.body);
    responder_->StartStream(std::move(head));
  }
  std::string out;
  for (int64_t i = 0; i < header_.choices; ++i) {
    if (!prompt_.forced.name.empty()) lanes_->BeginCall(i, prompt_.forced.name, out);
    if (call_.echo && call_.stream) {
      lanes_->Content(i, call_.prompts[static_cast<size_t>(i / call_.spec.n)].text, out);
    }
  }
  Write(std::move(out));
  Process();
  return true;
}

absl::Status RunImpl::Prepare(std::vector<GenerateRequest>& requests) {
  if (!call_.model.empty() && call_.model != host_.model_id) {
    return ModelNotServed(call_.model, host_.model_id);
  }
  if (!call_.has_max_tokens) call_.spec.max_tokens = host_.engine->context();
  call_.spec.sampling.seed = seed_;
  call_.spec.cancel = cancel_;
  QIAO_ASSIGN_OR_RETURN(EngineRequests made, MakeRequests(*host_.engine, host_.format, call_));
  prompt_ = std::move(made.prompt);
  parts_ = std::move(made.parts);
  requests = std::move(made.requests);
  header_.prompt_tokens = made.prompt_tokens;
  for (const Part& part : parts_)
    header_.choices = std::max(header_.choices, part.first_choice + part.choices);
  Lanes::Options options{.format = prompt_.format,
                         .tools = call_.tool_choice.kind == ToolChoice::Kind::kNone
                                      ? nullptr
                                      : std::make_shared<const ToolList>(call_.tools),
                         .single_call = !call_.parallel_tool_calls || call_.tool_choice.single,
                         .id_seed = seed_};
  if (prompt_.forced.needed) {
    options.reads = Lanes::Reads::kArguments;
  } else if (call_.chat && prompt_.format != AnswerFormat()) {
    options.reads = Lanes::Reads::kAnswer;
  }
  lanes_.emplace(header_.choices, options);
  open_parts_ = parts_.size();
  return absl::OkStatus();
}

absl::Status RunImpl::Submit(size_t part, GenerateRequest request) {
  const std::shared_ptr<RunImpl> self = shared_from_this();
  if (call_.stream) {
    request.prefill_progress = [self, part](int64_t done, int64_t total) {
      const Clock::time_point now = Clock::now();
      if (done >= total || now - self->told_ < kProgressPause) return;
      self->told_ = now;
      self->Push({.kind = Event::Kind::kPrefill, .part = part, .done = done, .total = total});
    };
  }
  const Status status = host_.engine->Submit(
      request,
      [self, part](const Token& token) {
        if (self->cancel_.cancelled()) return false;
        self->Push({.kind = Event::Kind::kToken,
                    .part = part,
                    .choice = token.choice,
                    .id = token.id,
                    .text = std::string(token.text),
                    .logprob = token.logprob,
                    .top = {token.top.begin(), token.top.end()}});
        return true;
      },
      [self, part](Result<GenerateResult> result) {
        self->Push({.kind = Event::Kind::kDone, .part = part, .result = std::move(result)});
      });
  if (status.code() == Code::kResourceExhausted) return Busy(status.message(), host_.retry_after());
  return FromPublic(status);
}

// The pages of a client that has gone are free within a step.
void RunImpl::Gone() { cancel_.Cancel(); }

void RunImpl::Fail(absl::Status status) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!failure_) failure_ = std::move(status);
    // What the engine makes of it must come after the reason.
    cancel_.Cancel();
    if (std::exchange(processing_, true)) return;
  }
  host_.workers->Add([self = shared_from_this()] { self->Process(); });
}

void RunImpl::Ping() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ping_ = true;
    if (std::exchange(processing_, true)) return;
  }
  host_.workers->Add([self = shared_from_this()] { self->Process(); });
}

void RunImpl::Push(Event event) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    events_.push_back(std::move(event));
    if (std::exchange(processing_, true)) return;
  }
  host_.workers->Add([self = shared_from_this()] { self->Process(); });
}

// What has come meanwhile goes out together: a client that reads slowly, or a machine that is busy, gets fewer and
// larger pieces.
void RunImpl::Process() {
  std::vector<Event> events;
  for (;;) {
    std::optional<absl::Status> failure;
    bool ping = false;
    events.clear();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (events_.empty() && !failure_ && !ping_) {
        processing_ = false;
        return;
      }
      events.swap(events_);
      failure.swap(failure_);
      ping = std::exchange(ping_, false);
    }
    std::string out;
    if (failure && !finished_) FinishWith(*failure, out);
    for (Event& event : events) {
      if (!finished_) Handle(event, out);
    }
    if (ping && !finished_ && stream_ != nullptr && out.empty()) stream_->Ping(out);
    Write(std::move(out));
  }
}

void RunImpl::Write(std::string out) {
  if (stream_ == nullptr || out.empty()) return;
  if (!responder_->Write(std::move(out))) cancel_.Cancel();
  if (finished_) responder_->EndStream();
}

void RunImpl::Handle(Event& event, std::string& out) {
  switch (event.kind) {
    case Event::Kind::kPrefill:
      if (stream_ != nullptr) out += absl::StrFormat(": prefill %d/%d\n\n", event.done, event.total);
      return;
    case Event::Kind::kToken:
      HandleToken(event, out);
      return;
    case Event::Kind::kDone:
      if (const absl::Status status = HandleDone(event, out); !status.ok()) FinishWith(status, out);
      return;
  }
}

void RunImpl::HandleToken(Event& event, std::string& out) {
  const Part& part = parts_[event.part];
  if (event.id >= 0 && totals_.ttft_seconds == 0) totals_.ttft_seconds = Seconds(Clock::now() - began_);
  if (part.naming) return;
  std::optional<ScoredToken> scored;
  if (event.id >= 0 && call_.spec.logprobs >= 0 && !lanes_->arguments()) {
    scored = Score(*host_.engine, event.id, event.logprob, event.top);
  }
  lanes_->Token(part.first_choice + event.choice, std::move(event.text), std::move(scored), out);
  // The one call that it may make is made, and nobody else is writing.
  if (header_.choices == 1 && lanes_->closed(0)) cancel_.Cancel();
}

absl::Status RunImpl::HandleDone(Event& event, std::string& out) {
  Part& part = parts_[event.part];
  Result<GenerateResult>& result = *event.result;
  if (!result.ok()) return FromPublic(result.status());
  Count(part, *result);
  if (result->finish == Finish::kCancelled && !lanes_->closed(part.first_choice)) {
    // Nobody but the client, or Fail, cancels.
    return Cancelled("the request was cancelled");
  }
  if (part.naming) {
    part.naming = false;
    return CallNamed(event.part, result->text, out);
  }
  std::vector<ScoredToken> prompt;
  if (call_.spec.logprobs >= 0) prompt = ScorePrompt(*host_.engine, *result);
  for (int64_t i = 0; i < part.choices; ++i) {
    // The prompt before what was written after it; of a stream it has gone out.
    if (call_.echo && stream_ == nullptr) {
      lanes_->Prepend(part.first_choice + i, call_.prompts[event.part].text, prompt);
    }
    lanes_->End(part.first_choice + i, i == 0 ? *result : result->more[static_cast<size_t>(i - 1)], out);
  }
  if (--open_parts_ == 0) Complete(out);
  return absl::OkStatus();
}

// The model has chosen the tool; now its arguments.
absl::Status RunImpl::CallNamed(size_t part, const std::string& name, std::string& out) {
  if (std::find(prompt_.forced.names.begin(), prompt_.forced.names.end(), name) ==
      prompt_.forced.names.end()) {
    return Internal("the model was to name one of the tools and wrote \"%s\"", name.substr(0, 100));
  }
  QIAO_ASSIGN_OR_RETURN(GenerateRequest request, ForcedRequest(call_, prompt_, name));
  request.sampling.seed += part;
  lanes_->BeginCall(parts_[part].first_choice, name, out);
  return Submit(part, std::move(request));
}

void RunImpl::Count(const Part& part, const GenerateResult& result) {
  if (part.counts_prompt && !part.naming) {
    totals_.prompt_tokens += result.prompt_tokens;
    totals_.cached_tokens += result.cached_tokens;
  }
  totals_.completion_tokens += static_cast<int64_t>(result.ids.size());
  for (const Choice& more : result.more) totals_.completion_tokens += static_cast<int64_t>(more.ids.size());
  totals_.drafted += result.drafted;
  totals_.accepted += result.accepted;
  totals_.queue_seconds = std::max(totals_.queue_seconds, result.queue_seconds);
  totals_.prefill_seconds = std::max(totals_.prefill_seconds, result.prefill_seconds);
  totals_.decode_seconds = std::max(totals_.decode_seconds, result.decode_seconds);
}

void RunImpl::Complete(std::string& out) {
  finished_ = true;
  totals_.reasoning_tokens = lanes_->reasoning_tokens();
  if (call_.efficiency) totals_.efficiency = Efficiency(host_.model, totals_, host_.prefill_rate());
  if (host_.answered) host_.answered(totals_);
  if (stream_ != nullptr) {
    stream_->Done(totals_, out);
    return;
  }
  Answer answer;
  answer.choices = lanes_->TakeAll();
  answer.totals = totals_;
  responder_->Send({.body = DumpJson(protocol_.Whole(call_, header_, answer))});
}

void RunImpl::FinishWith(const absl::Status& status, std::string& out) {
  finished_ = true;
  cancel_.Cancel();
  if (host_.log && status.code() == absl::StatusCode::kInternal) {
    host_.log(LogLevel::kError, absl::StrFormat("%s: %s", header_.request_id, Message(status)));
  }
  if (stream_ != nullptr) {
    stream_->Failed(status, out);
  } else {
    responder_->Send(ErrorResponse(protocol_, status, header_.request_id));
  }
}

}  // namespace

HttpResponse ErrorResponse(const Protocol& protocol, const absl::Status& status,
                           std::string_view request_id) {
  const ApiError error = Describe(status);
  HttpResponse response;
  response.status = error.http_status;
  response.body = DumpJson(protocol.Error(error, request_id));
  if (error.retry_after > 0) response.headers.emplace_back("Retry-After", std::to_string(error.retry_after));
  return response;
}

std::shared_ptr<Run> StartRun(const RunHost& host, const Protocol& protocol, Call call,
                              const std::string& request_id, std::shared_ptr<Responder> responder) {
  auto run = std::make_shared<RunImpl>(host, protocol, std::move(call), request_id, std::move(responder));
  return run->Start() ? run : nullptr;
}

}  // namespace qiao::serve
