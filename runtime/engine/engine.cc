// The public API: loading a model, and what it says of itself. Requests are in generate.cc.
#include <qiao/engine.h>

#include <algorithm>
#include <atomic>

#include "runtime/base/json.h"
#include "runtime/engine/engine_impl.h"
#include "runtime/engine/model_description.h"

namespace qiao {

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

std::string Version() { return QIAO_VERSION; }

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

namespace {

constexpr int32_t kMostDrafts = 16;

absl::StatusOr<engine::Drafter> ParseDraft(std::string_view name, const models::Model& model) {
  if (name == "off") return engine::Drafter::kNone;
  if (name == "mtp" || (name == "auto" && model.drafts())) return engine::Drafter::kMtp;
  if (name == "lookup" || name == "auto") return engine::Drafter::kLookup;
  return InvalidArgument("draft \"%s\" is not known; there are off, mtp, lookup and auto", name);
}

absl::Status CheckServing(const EngineOptions& o) {
  if (o.chunk < o.sequences) {
    return InvalidArgument(
        "chunk is %d, but a step must have a token for each of %d sequences; allow fewer sequences or a "
        "larger "
        "chunk",
        o.chunk, o.sequences);
  }
  if (o.mixed_chunk < 1) return InvalidArgument("mixed_chunk is %d, must be 1 or more", o.mixed_chunk);
  if (o.draft_tokens < 1 || o.draft_tokens > kMostDrafts)
    return InvalidArgument("draft_tokens is %d, must be 1..%d", o.draft_tokens, kMostDrafts);
  if (o.score_rows < 1 || o.score_rows > 65536)
    return InvalidArgument("score_rows is %d, must be 1..65536", o.score_rows);
  if (o.waiting < 1) return InvalidArgument("waiting is %d, must be 1 or more", o.waiting);
  return absl::OkStatus();
}

std::function<void(std::string_view)> Logger(const std::function<void(LogLevel, std::string_view)>& log) {
  if (!log) return nullptr;
  return [log](std::string_view message) { log(LogLevel::kInfo, message); };
}

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

absl::StatusOr<OrderedJson> ParseOfType(std::string_view text, std::string_view name,
                                        OrderedJson::value_t type) {
  QIAO_ASSIGN_OR_RETURN(OrderedJson json, ParseOrderedJson(text, name));
  if (json.type() == type) return json;
  return InvalidArgument("%s: must be an %s, not %s", name,
                         type == OrderedJson::value_t::array ? "array" : "object", json.type_name());
}

absl::StatusOr<text::ChatRequest> ToChatRequest(std::string_view messages, const ChatOptions& options) {
  constexpr auto kArray = OrderedJson::value_t::array, kObject = OrderedJson::value_t::object;
  text::ChatRequest request;
  request.add_generation_prompt = options.add_generation_prompt;
  QIAO_ASSIGN_OR_RETURN(request.messages, ParseOfType(messages, "messages", kArray));
  if (!options.tools_json.empty()) {
    QIAO_ASSIGN_OR_RETURN(request.tools, ParseOfType(options.tools_json, "tools", kArray));
  }
  if (!options.documents_json.empty()) {
    QIAO_ASSIGN_OR_RETURN(request.documents, ParseOfType(options.documents_json, "documents", kArray));
  }
  if (!options.template_kwargs_json.empty()) {
    QIAO_ASSIGN_OR_RETURN(request.kwargs,
                          ParseOfType(options.template_kwargs_json, "chat_template_kwargs", kObject));
  }
  return request;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Load(const EngineOptions& options) {
  return Guarded([&]() -> Result<std::unique_ptr<Engine>> {
    auto impl = std::make_unique<Impl>();
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
    if (absl::Status serving = CheckServing(options); !serving.ok()) return Public(serving);
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
    absl::StatusOr<engine::Drafter> drafter = ParseDraft(options.draft, *impl->folder->model);
    if (!drafter.ok()) return Public(drafter.status());
    if (*drafter == engine::Drafter::kMtp) runner.draft_tokens = options.draft_tokens;
    if (*drafter == engine::Drafter::kLookup) runner.logits_each = 1 + options.draft_tokens;
    runner.backend = options.backend;
    runner.allow_fallback = options.allow_fallback;
    runner.fallback = options.fallback;
    runner.context = options.context;
    runner.page_tokens = options.page_tokens;
    runner.chunk = options.chunk;
    runner.sequences = options.sequences;
    runner.score_rows = options.score_rows;
    const int64_t context = engine::ContextOf(options.context, impl->folder->model->info());
    runner.cache_tokens =
        options.cache_tokens != 0 ? options.cache_tokens : context * std::clamp(options.sequences, 1, 4);
    runner.memory_budget = options.memory_budget;
    runner.fast_math_order = options.fast_math_order;
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
    impl->description = engine::Describe(*impl->folder->model, *impl->folder->checkpoint);
    impl->sequences = options.sequences;
    impl->most_prompt_bytes = impl->MostPromptBytes();
    impl->service =
        std::make_unique<engine::Service>(*impl->runner, impl->tokenizer(),
                                          engine::SchedulerOptions{.sequences = options.sequences,
                                                                   .mixed_chunk = options.mixed_chunk,
                                                                   .prefix_cache = options.prefix_cache,
                                                                   .drafter = *drafter,
                                                                   .draft_tokens = options.draft_tokens,
                                                                   .log = Logger(options.log)},
                                          options.waiting);
    return std::unique_ptr<Engine>(new Engine(std::move(impl)));
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

int64_t Engine::MostPromptBytes() const { return static_cast<int64_t>(impl_->most_prompt_bytes); }

Result<std::string> Engine::Detokenize(const std::vector<int32_t>& ids, bool special_text) const {
  return Guarded([&]() -> Result<std::string> {
    if (!impl_->folder->tokenizer)
      return Status(Code::kFailedPrecondition, "the model has no tokenizer.json");
    return impl_->folder->tokenizer->Decode(ids, /*skip_special=*/!special_text);
  });
}

Result<std::string> Engine::TokenBytes(int32_t id) const {
  return Guarded([&]() -> Result<std::string> {
    if (!impl_->folder->tokenizer)
      return Status(Code::kFailedPrecondition, "the model has no tokenizer.json");
    if (absl::Status known = impl_->runner->CheckIds({&id, 1}); !known.ok()) return Public(known);
    return impl_->folder->tokenizer->TokenBytes(id);
  });
}

Result<std::string> Engine::RenderChat(std::string_view messages_json, bool add_generation_prompt) const {
  return RenderChat(messages_json, ChatOptions{.add_generation_prompt = add_generation_prompt});
}

Result<std::string> Engine::RenderChat(std::string_view messages_json, const ChatOptions& options) const {
  return Guarded([&]() -> Result<std::string> {
    if (!impl_->folder->chat_template)
      return Status(Code::kFailedPrecondition, "the model has no chat template");
    absl::StatusOr<text::ChatRequest> request = ToChatRequest(messages_json, options);
    if (!request.ok()) return Public(request.status());
    absl::StatusOr<std::string> rendered = impl_->folder->chat_template->Render(*request);
    if (!rendered.ok()) return Public(rendered.status());
    return *std::move(rendered);
  });
}

bool Engine::HasChatTemplate() const { return impl_->folder->chat_template.has_value(); }

std::string Engine::ChatTemplateSource(bool tools) const {
  if (!HasChatTemplate()) return {};
  return std::string(impl_->folder->chat_template->Source(tools));
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
  ModelDescription d = impl_->description;
  d.cache_bytes_per_token = impl_->runner->cache_bytes_per_token();
  d.cache_bytes_per_token_expanded = impl_->runner->expanded_cache_bytes_per_token();
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

EngineStats Engine::stats() const { return impl_->service->stats(); }

int64_t Engine::context() const { return impl_->runner->context(); }

}  // namespace qiao
