// The public API over the runner: text in, text out, one request at a time.
#include <qiao/engine.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>

#include "runtime/base/json.h"
#include "runtime/engine/model_folder.h"
#include "runtime/engine/parameter_count.h"
#include "runtime/engine/runner.h"
#include "runtime/engine/sampler.h"
#include "runtime/program/launch_cost.h"
#include "runtime/text/detokenizer.h"

namespace qiao {
namespace {

using Clock = std::chrono::steady_clock;

double Since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// The codes of engine.h are a subset; the rest is kUnknown.
Status Public(const absl::Status& status) {
  if (status.ok()) return {};
  const auto code = static_cast<Code>(status.raw_code());
  switch (code) {
    case Code::kCancelled:
    case Code::kInvalidArgument:
    case Code::kNotFound:
    case Code::kPermissionDenied:
    case Code::kResourceExhausted:
    case Code::kFailedPrecondition:
    case Code::kOutOfRange:
    case Code::kUnimplemented:
    case Code::kInternal:
    case Code::kUnavailable:
    case Code::kDataLoss:
      return Status(code, std::string(Message(status)));
    default:
      return Status(Code::kUnknown, std::string(Message(status)));
  }
}

// Nothing throws across the boundary: what a standard container or a caller's hook throws becomes a Status.
template <typename F>
auto Guarded(F&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Status(Code::kResourceExhausted, "no host memory left");
  } catch (const std::exception& e) {
    return Status(Code::kInternal, e.what());
  } catch (...) {
    return Status(Code::kInternal, "an exception of unknown type");
  }
}

engine::SamplingOptions ToInternal(const SamplingParams& p) {
  engine::SamplingOptions o;
  o.temperature = p.temperature;
  o.top_k = p.top_k;
  o.top_p = p.top_p;
  o.min_p = p.min_p;
  o.repetition_penalty = p.repetition_penalty;
  o.seed = p.seed;
  return o;
}

// Launches as reports for GenerateRequest::on_operation.
class OperationObserver : public program::StepObserver {
 public:
  explicit OperationObserver(const std::function<void(const OperationReport&)>& report) : report_(report) {}
  // What a step gets: nothing where nobody listens.
  program::StepObserver* get() { return report_ ? this : nullptr; }
  bool prefill = true;

  absl::Status OnLaunch(const program::LaunchEvent& event) override {
    QIAO_ASSIGN_OR_RETURN(const program::LaunchCost cost, program::CostOf(event));
    const std::string kernel = event.plan->kernel();
    report_({.prefill = prefill,
             .operation = ops::OpName(event.call->op),
             .node = event.node->name,
             .kernel = kernel,
             .seconds = event.seconds,
             .flops = cost.cost.flops,
             .bytes = cost.cost.bytes,
             .arithmetic = program::Name(cost.arithmetic)});
    return absl::OkStatus();
  }

 private:
  const std::function<void(const OperationReport&)>& report_;
};

}  // namespace

CancelToken::CancelToken() : flag_(std::make_shared<std::atomic<bool>>(false)) {}
void CancelToken::Cancel() const { static_cast<std::atomic<bool>*>(flag_.get())->store(true); }
bool CancelToken::cancelled() const { return static_cast<const std::atomic<bool>*>(flag_.get())->load(); }

std::string Version() { return QIAO_VERSION; }

struct Engine::Impl {
  std::unique_ptr<engine::ModelFolder> folder;
  std::unique_ptr<program::CheckpointSource> source;
  std::unique_ptr<engine::Runner> runner;
  std::mutex busy;  // one Generate at a time
  std::function<void(LogLevel, std::string_view)> log;

  absl::StatusOr<std::vector<int32_t>> PromptIds(const GenerateRequest& request) const;
  absl::StatusOr<GenerateResult> Generate(const GenerateRequest& request, const TokenCallback& on_token);
};

absl::StatusOr<std::vector<int32_t>> Engine::Impl::PromptIds(const GenerateRequest& request) const {
  std::vector<int32_t> ids = request.ids;
  if (ids.empty()) {
    if (!folder->tokenizer) {
      return FailedPrecondition("%s: has no tokenizer.json, so a prompt must be given as token ids",
                                folder->path);
    }
    QIAO_ASSIGN_OR_RETURN(ids, folder->tokenizer->Encode(request.prompt, !request.rendered));
    // DeepSeek's tokenizer.json puts nothing before a text and leaves that to add_bos_token.
    const std::optional<int32_t> bos = folder->tokenizer->bos_id();
    if (!request.rendered && folder->tokenizer->add_bos_token() && bos &&
        (ids.empty() || ids.front() != *bos)) {
      ids.insert(ids.begin(), *bos);
    }
  }
  // A model needs something to continue: an empty prompt begins a text.
  if (ids.empty()) {
    if (!folder->BeginOfText())
      return InvalidArgument("the prompt is empty and the model has no beginning-of-text token");
    ids.push_back(*folder->BeginOfText());
  }
  if (static_cast<int64_t>(ids.size()) >= runner->context()) {
    return InvalidArgument(
        "the prompt is %d tokens, and with one to generate that is more than the context of %d; shorten it, "
        "or allow more context (--ctx, the model was made for %d)",
        ids.size(), runner->context(), folder->model->info().context);
  }
  return ids;
}

absl::StatusOr<GenerateResult> Engine::Impl::Generate(const GenerateRequest& request,
                                                      const TokenCallback& on_token) {
  if (request.max_tokens < 0)
    return InvalidArgument("max_tokens is %d, must not be negative", request.max_tokens);
  const engine::SamplingOptions sampling = ToInternal(request.sampling);
  QIAO_RETURN_IF_ERROR(sampling.Check());
  QIAO_ASSIGN_OR_RETURN(std::vector<int32_t> history, PromptIds(request));

  GenerateResult result;
  result.prompt_tokens = static_cast<int64_t>(history.size());
  if (request.max_tokens == 0) return result;
  std::lock_guard<std::mutex> lock(busy);
  engine::Sequence sequence = runner->NewSequence();
  engine::Sampler sampler(sampling);
  std::optional<text::Detokenizer> detokenizer;
  if (folder->tokenizer) detokenizer.emplace(&*folder->tokenizer, /*skip_special=*/true);
  text::StopMatcher stops(request.stop);
  const std::vector<int32_t> ends = request.ignore_end ? std::vector<int32_t>() : folder->EndOfText();

  const Clock::time_point start = Clock::now();
  OperationObserver observer(request.on_operation);
  const auto progress = [&](int64_t) -> absl::Status {
    if (request.prefill_progress) request.prefill_progress(sequence.length(), result.prompt_tokens);
    return request.cancel.cancelled() ? Cancelled("cancelled") : absl::OkStatus();
  };
  const absl::Status prefill = runner->Prefill(sequence, history, progress, observer.get());
  result.prefill_seconds = Since(start);
  observer.prefill = false;
  if (request.cancel.cancelled()) {
    result.finish = Finish::kCancelled;
    return result;
  }
  QIAO_RETURN_IF_ERROR(prefill);

  const Clock::time_point decode = Clock::now();
  bool stopped_by_caller = false;
  for (;;) {
    QIAO_ASSIGN_OR_RETURN(engine::Sampled sampled, sampler.Sample(runner->Logits(0), history));
    const bool end = std::find(ends.begin(), ends.end(), sampled.id) != ends.end();
    std::string piece;
    if (end) {
      result.finish = Finish::kEndOfText;
    } else {
      result.ids.push_back(sampled.id);
      history.push_back(sampled.id);
      if (detokenizer) piece = stops.Push(detokenizer->Push(sampled.id));
      result.text += piece;
      if (on_token && !on_token(Token{sampled.id, piece, sampled.logprob})) stopped_by_caller = true;
      if (stops.stopped()) result.finish = Finish::kStop;
    }
    if (end || stops.stopped()) break;
    if (stopped_by_caller || request.cancel.cancelled()) {
      result.finish = Finish::kCancelled;
      break;
    }
    if (static_cast<int64_t>(result.ids.size()) >= request.max_tokens) {
      result.finish = Finish::kLength;
      break;
    }
    if (sequence.length() >= runner->context()) {
      result.finish = Finish::kContext;
      break;
    }
    const engine::Work work{&sequence, {&history.back(), 1}, true};
    QIAO_RETURN_IF_ERROR(runner->Step({&work, 1}, observer.get()));
  }
  result.decode_seconds = Since(decode);
  // What was held back: an unfinished character, the beginning of a stop string that did not come.
  if (detokenizer && !stops.stopped()) {
    std::string rest = stops.Push(detokenizer->Finish());
    if (!stops.stopped()) rest += stops.Finish();
    if (stops.stopped()) result.finish = Finish::kStop;
    result.text += rest;
    if (!rest.empty() && on_token && !stopped_by_caller) on_token(Token{-1, rest, 0});
  }
  return result;
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

namespace {

hal::HostHooks Hooks(const EngineOptions& options) {
  hal::HostHooks hooks;
  if (options.log) {
    hooks.log = [log = options.log](int level, std::string_view message) {
      log(static_cast<LogLevel>(std::clamp(level, 0, 3)), message);
    };
  }
  hooks.allocate = options.allocate;
  hooks.deallocate = options.deallocate;
  if (options.memory_budget > 0) {
    // The plan is checked against the budget before; this holds the backend's own needs to it as well.
    auto used = std::make_shared<std::atomic<uint64_t>>(0);
    hooks.reserve = [used, budget = options.memory_budget](uint64_t bytes) {
      uint64_t now = used->load();
      do {
        if (bytes > budget || now > budget - bytes) return false;
      } while (!used->compare_exchange_weak(now, now + bytes));
      return true;
    };
    hooks.release = [used](uint64_t bytes) { used->fetch_sub(bytes); };
  }
  return hooks;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Load(const EngineOptions& options) {
  return Guarded([&]() -> Result<std::unique_ptr<Engine>> {
    auto impl = std::make_unique<Impl>();
    impl->log = options.log;
    // What is wrong with the options is said before anything large is read.
    engine::OpenOptions open;
    open.progress = options.progress;
    absl::StatusOr<formats::Verify> verify = formats::ParseVerify(options.verify);
    if (!verify.ok()) return Public(verify.status());
    open.verify = *verify;
    engine::RunnerOptions runner;
    absl::StatusOr<program::Numerics> numerics = engine::ParseNumerics(options.numerics);
    if (!numerics.ok()) return Public(numerics.status());
    numerics = engine::WithKvDtype(*numerics, options.kv_dtype);
    if (!numerics.ok()) return Public(numerics.status());
    runner.numerics = *numerics;
    absl::StatusOr<engine::LoadMode> load = engine::ParseLoadMode(options.load);
    if (!load.ok()) return Public(load.status());
    runner.load = *load;
    absl::StatusOr<std::unique_ptr<engine::ModelFolder>> folder =
        engine::OpenModelFolder(options.model, open);
    if (!folder.ok()) return Public(folder.status());
    impl->folder = *std::move(folder);
    if (options.log) {
      if (impl->folder->qiao_file != nullptr) {
        options.log(LogLevel::kInfo,
                    absl::StrFormat("%s: the checksums of its tensors were %s", options.model,
                                    impl->folder->verified ? "verified" : "not compared"));
      }
      for (const std::string& note : impl->folder->model->notes()) options.log(LogLevel::kInfo, note);
      for (const std::string& key : impl->folder->unread_keys) {
        options.log(LogLevel::kInfo,
                    absl::StrFormat("config.json: %s is not known to Qiao and was ignored", key));
      }
    }
    runner.backend = options.backend;
    runner.allow_fallback = options.allow_fallback;
    runner.fallback = options.fallback;
    runner.context = options.context;
    runner.page_tokens = options.page_tokens;
    runner.chunk = options.chunk;
    runner.memory_budget = options.memory_budget;
    if (options.threads > 0) runner.device.options["threads"] = std::to_string(options.threads);
    runner.device.hooks = Hooks(options);
    runner.fallback_device = runner.device;
    runner.device.options.insert(options.backend_options.begin(), options.backend_options.end());
    impl->source = std::make_unique<program::CheckpointSource>(*impl->folder->checkpoint);
    absl::StatusOr<std::unique_ptr<engine::Runner>> planned =
        engine::Runner::Plan(*impl->folder->model, *impl->source, std::move(runner));
    if (!planned.ok()) return Public(planned.status());
    impl->runner = *std::move(planned);
    if (absl::Status loaded = impl->runner->Load(options.progress); !loaded.ok()) return Public(loaded);
    return std::unique_ptr<Engine>(new Engine(std::move(impl)));
  });
}

Result<GenerateResult> Engine::Generate(const GenerateRequest& request, const TokenCallback& on_token) {
  return Guarded([&]() -> Result<GenerateResult> {
    absl::StatusOr<GenerateResult> result = impl_->Generate(request, on_token);
    if (!result.ok()) return Public(result.status());
    return *std::move(result);
  });
}

Result<std::vector<int32_t>> Engine::Tokenize(std::string_view text, bool add_special) const {
  return Guarded([&]() -> Result<std::vector<int32_t>> {
    if (!impl_->folder->tokenizer)
      return Status(Code::kFailedPrecondition, "the model has no tokenizer.json");
    absl::StatusOr<std::vector<int32_t>> ids = impl_->folder->tokenizer->Encode(text, add_special);
    if (!ids.ok()) return Public(ids.status());
    return *std::move(ids);
  });
}

Result<std::string> Engine::Detokenize(const std::vector<int32_t>& ids) const {
  return Guarded([&]() -> Result<std::string> {
    if (!impl_->folder->tokenizer)
      return Status(Code::kFailedPrecondition, "the model has no tokenizer.json");
    return impl_->folder->tokenizer->Decode(ids, /*skip_special=*/true);
  });
}

Result<std::string> Engine::RenderChat(std::string_view messages_json, bool add_generation_prompt) const {
  return Guarded([&]() -> Result<std::string> {
    if (!impl_->folder->chat_template)
      return Status(Code::kFailedPrecondition, "the model has no chat template");
    absl::StatusOr<OrderedJson> messages = ParseOrderedJson(messages_json, "messages");
    if (!messages.ok()) return Public(messages.status());
    text::ChatRequest request;
    request.messages = *std::move(messages);
    request.add_generation_prompt = add_generation_prompt;
    absl::StatusOr<std::string> rendered = impl_->folder->chat_template->Render(request);
    if (!rendered.ok()) return Public(rendered.status());
    return *std::move(rendered);
  });
}

SamplingParams Engine::RecommendedSampling() const {
  const formats::GenerationConfig& g = impl_->folder->generation;
  SamplingParams p;
  if (!g.do_sample.value_or(false)) return p;
  p.temperature = g.temperature.value_or(1.0);
  p.top_k = g.top_k.value_or(0);
  p.top_p = g.top_p.value_or(1.0);
  p.min_p = g.min_p.value_or(0.0);
  p.repetition_penalty = g.repetition_penalty.value_or(1.0);
  return p;
}

ModelDescription Engine::model() const {
  const models::ModelInfo& info = impl_->folder->model->info();
  const engine::ParameterCount count = engine::CountParameters(*impl_->folder->model);
  ModelDescription d;
  d.family = info.family;
  d.architecture = info.architecture;
  d.weight_format = info.weight_format;
  d.vocab = info.vocab;
  d.context = info.context;
  d.layers = info.layers;
  d.hidden = info.hidden;
  d.parameters = count.stored;
  d.active_parameters = count.active;
  return d;
}

MemoryReport Engine::memory() const {
  const program::MemoryNeeds& needs = impl_->runner->programs().memory();
  MemoryReport r;
  r.mapped_weights = needs.mapped_weights;
  r.stored_weights = needs.stored_weights;
  r.cache = needs.cache;
  r.intermediate = needs.arena + needs.inputs + needs.vectors;
  r.cache_bytes_per_token = impl_->runner->cache_bytes_per_token();
  r.load = impl_->runner->load();
  r.load_reason = impl_->runner->load_reason();
  return r;
}

DeviceReport Engine::device() const {
  const hal::Device& device = impl_->runner->device();
  const program::ProgramSet& programs = impl_->runner->programs();
  DeviceReport r;
  r.name = device.properties().name;
  r.description = device.properties().description;
  r.row_invariant = programs.row_invariant();
  r.fallback_launches = programs.fallback().launches;
  r.copied_bytes = programs.fallback().bytes;
  return r;
}

int64_t Engine::context() const { return impl_->runner->context(); }

}  // namespace qiao
