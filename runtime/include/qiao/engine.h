// qiao/engine.h: running a model from C++. Standard types only; link qiao::engine (find_package(qiao)).
//
//   #include <qiao/engine.h>
//
//   qiao::EngineOptions options;
//   options.model = "models/demo";
//   qiao::Result<std::unique_ptr<qiao::Engine>> engine = qiao::Engine::Load(options);
//   if (!engine.ok()) { std::cerr << engine.status().message() << "\n"; return 1; }
//   qiao::GenerateRequest request;
//   request.prompt = "SQLite is a";
//   request.max_tokens = 64;
//   auto result = (*engine)->Generate(request, [](const qiao::Token& token) {
//     std::cout << token.text << std::flush;
//     return true;  // false stops
//   });
//
// There are no globals: any number of engines live in one process, each with its own devices, threads, memory
// budget, logger and allocator. Nothing throws, aborts or prints.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if defined(_WIN32)
#define QIAO_API
#else
#define QIAO_API __attribute__((visibility("default")))
#endif

namespace qiao {

// The numbers are those of absl::StatusCode and of gRPC.
enum class Code {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kNotFound = 5,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
};

// What went wrong, where, and what to do about it.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// A value or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor)
  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  // Only when ok().
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return std::move(*value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

enum class LogLevel { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };

struct EngineOptions {
  std::string model;            // a folder (config.json, *.safetensors, tokenizer.json) or a .qiao file
  std::string backend = "cpu";  // NAME or NAME:INDEX
  bool allow_fallback =
      false;  // operations that the backend lacks run on the host; otherwise loading fails and lists them
  std::string fallback = "cpu";
  std::string numerics = "bf16";  // or "f32", "w8a8", "w8a8-f32"
  std::string kv_dtype = "auto";  // the cache: as the numerics have it, or "bf16", "fp8" (latents in E4M3)
  // Sums may run in whatever order is fastest. Where that is another one, a request's tokens depend on what else
  // is being served, and DeviceReport::row_invariant is false. INVALID_ARGUMENT for a backend that has one order
  // only.
  bool fast_math_order = false;
  int threads = 0;  // of host backends; 0: all CPUs this process may use
  // The plugin's own options; an unknown key is an error that lists the known ones.
  std::map<std::string, std::string> backend_options;
  int64_t context = 0;      // tokens of one sequence; 0: the model's, at most 4096
  int64_t page_tokens = 0;  // tokens a cache page; 0: what the device prefers

  // Serving. A request is one sequence, or `n`; requests beyond what fits wait.
  int32_t sequences = 8;     // that run at once
  int64_t cache_tokens = 0;  // that the cache holds, of all sequences; 0: a context each, of four at most
  int32_t chunk = 512;       // tokens of a step at most
  // Tokens of prompts in a step that also makes tokens for others: what a long prompt adds to their waiting.
  int32_t mixed_chunk = 64;
  // Rows of a step whose logits are there for GenerateRequest::prompt_logprobs, of all such prompts together;
  // each takes 4 bytes for each token of the vocabulary.
  int32_t score_rows = 64;
  int32_t waiting = 4096;  // requests that wait at most; Submit then says RESOURCE_EXHAUSTED
  // Where guesses at the next tokens come from, which a step then checks: "off"; "mtp", the model's own layer
  // (FAILED_PRECONDITION where it has none); "lookup", what followed the last tokens earlier in the text; "auto",
  // the first of these that there is. Guesses cost time, so that they are only made where they win some. The
  // text is the same with and without.
  std::string draft = "off";
  int32_t draft_tokens = 2;  // guesses in a step for each sequence at most
  bool prefix_cache = true;  // keep the cache's pages of what was computed, for prompts that begin alike
  // Bytes for all that is allocated: stored weights, caches, intermediate values; weights that stay mapped do
  // not count. 0: all of it, mapped weights included, must fit what the device has free. Loading fails with
  // RESOURCE_EXHAUSTED and the numbers, before any weight is read, where it does not fit.
  uint64_t memory_budget = 0;

  // Of devices that share the host's memory. "map": weights stay in their files; loading reads nothing, and
  // they are read in the file system's small pages. "copy": into the device's memory, on huge pages where
  // there are any; the files' pages are let go meanwhile. "auto": copy where the weights are at most 60 % of
  // what the device has free, and a budget that is given allows it; else map. MemoryReport tells which.
  std::string load = "auto";
  // Which tensors of a .qiao file are compared with their checksums before anything else: "all", "header"
  // (none; names, shapes and texts always are), or "auto": all in a file of at most 32 GiB. A difference is
  // DATA_LOSS.
  std::string verify = "auto";

  // Hooks; all optional, called from any thread, must outlive the engine.
  std::function<void(LogLevel, std::string_view message)> log;
  std::function<void*(uint64_t bytes, uint64_t alignment)>
      allocate;  // host memory of the devices; null refuses
  std::function<void(void* pointer, uint64_t bytes)> deallocate;
  // While loading; returning false cancels it.
  std::function<bool(std::string_view what, uint64_t done, uint64_t total)> progress;
};

struct SamplingParams {
  double temperature = 0;  // 0: greedy
  int64_t top_k = 0;       // 0: off
  double top_p = 1;
  double min_p = 0;
  double repetition_penalty = 1;  // over prompt and answer: logits are divided by it, or multiplied below 0
  double presence_penalty = 0;    // -2..2, over the answer: subtracted once from what occurs in it
  double frequency_penalty = 0;   // -2..2, over the answer: subtracted for each time it occurs
  std::vector<std::pair<int32_t, float>> logit_bias;  // (token, -100..100), at most 1024; -100 bans
  uint64_t seed = 0;  // the same seed, prompt and model give the same tokens, whatever else is being served
};

// What an answer must look like. It is a promise: tokens that would break it are never chosen, and where an
// answer ends by itself it is complete. (One that ends by max_tokens, stop or cancel may not be.)
struct Constraint {
  enum class Kind { kNone, kJsonObject, kJsonSchema, kRegex, kChoice };
  Kind kind = Kind::kNone;
  std::string text;                  // the schema, or the regular expression
  std::vector<std::string> choices;  // of kChoice
};

// What a chat template takes beside the messages. Texts are JSON; empty: none.
struct ChatOptions {
  bool add_generation_prompt = true;  // end where the assistant's answer begins
  // [{"type": "function", "function": {"name": .., "parameters": ..}}, ..]
  std::string tools_json = {};
  std::string documents_json = {};        // [{"title": .., "text": ..}, ..]
  std::string template_kwargs_json = {};  // {"enable_thinking": false, ..}: more variables of the template
};

// Stops a running Generate from another thread. Copies share one flag.
class QIAO_API CancelToken {
 public:
  CancelToken();
  void Cancel() const;
  bool cancelled() const;

 private:
  std::shared_ptr<void> flag_;
};

// One operation of a step, after it has run. Texts are valid during the call.
struct OperationReport {
  bool prefill = false;        // while the prompt is read; else while a token is made
  std::string_view operation;  // "grouped_linear"
  std::string_view node;       // "layers.3.moe.gate_up"
  std::string_view kernel;     // as the backend calls it
  double seconds = 0;
  // What it had to do at least: operations (a product and a sum are two), and bytes read and written.
  double flops = 0, bytes = 0;
  std::string_view arithmetic;  // of its products: "f32", "bf16" or "int8"
};

struct GenerateRequest {
  // The prompt: token ids if there are any, else text. Text gets the tokenizer's beginning-of-text token.
  std::string prompt;
  std::vector<int32_t> ids;
  // The text is a rendered chat (special tokens in it are tokens, nothing is put before it).
  bool rendered = false;
  int64_t max_tokens = 256;
  SamplingParams sampling;
  Constraint constraint;
  int32_t n = 1;                     // answers to the one prompt; the i-th has a seed of its own
  std::vector<std::string> stop;     // the text ends before the first of these
  std::vector<int32_t> stop_tokens;  // the answer ends before any of these
  bool ignore_end = false;           // go on after the end-of-text token
  // Special tokens are written out in the text, all but the one that ends it: marks of tool calls and thinking
  // may be among them. Stop strings see them too.
  bool special_text = false;
  // -1: none; 0: each token's own log-probability; k <= 20: and those of the k likeliest. All are the
  // model's, before temperature, penalties, bias and constraint.
  int32_t logprobs = -1;
  // The same for the prompt's own tokens, each given those before it. Such a prompt is read whole, whatever is
  // cached, and at most EngineOptions::score_rows of its tokens in a step. Then max_tokens may be 0 to no other
  // end, and the prompt as long as the context.
  int32_t prompt_logprobs = -1;
  int32_t priority = 0;  // higher ones go first, and are the last to give up their pages
  CancelToken cancel;
  // While the prompt is read: tokens done and in all.
  std::function<void(int64_t done, int64_t total)> prefill_progress;
  // For profiles, on the engine's thread. With it, the device is synchronised around every operation: right
  // for looking, wrong for speed.
  std::function<void(const OperationReport&)> on_operation;
};

struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;
};

// What is valid during the call only: text, top.
struct Token {
  int32_t choice = 0;                 // of GenerateRequest::n
  int32_t id = 0;                     // -1: text that was held back until the end and came with no token
  std::string_view text;              // what this token adds; whole UTF-8 characters, so it may be empty
  float logprob = 0;                  // 0 unless asked for
  std::span<const TokenLogprob> top;  // the likeliest first
};
// Returning false ends the request.
using TokenCallback = std::function<bool(const Token&)>;

enum class Finish { kLength, kEndOfText, kStop, kCancelled, kContext };

struct Choice {
  std::string text;
  std::vector<int32_t> ids;
  Finish finish = Finish::kLength;
  // What ended it and is not part of it: of kStop the stop string, or else, as of kEndOfText, the token (-1 where
  // a constraint was complete without one).
  std::string stop;
  int32_t stop_token = -1;
  // Where logprobs were asked for: one for each id.
  std::vector<float> logprobs;
  std::vector<std::vector<TokenLogprob>> top_logprobs;
};

// The first choice, and what belongs to all.
struct GenerateResult : Choice {
  std::vector<Choice> more;  // the choices 1 .. n - 1
  int64_t prompt_tokens = 0;
  // With GenerateRequest::prompt_logprobs: the prompt, and one for each of its tokens (fewer after kCancelled).
  // The first has none: 0, and no likeliest ones.
  std::vector<int32_t> prompt_ids;
  std::vector<float> prompt_logprobs;
  std::vector<std::vector<TokenLogprob>> prompt_top_logprobs;
  int64_t cached_tokens = 0;          // of the prompt, that were in the prefix cache
  int64_t drafted = 0, accepted = 0;  // speculative tokens: tried, and right
  int32_t preemptions = 0;            // how often it gave its pages to others and began again
  double queue_seconds = 0;           // until its first step
  double prefill_seconds = 0;         // from then to the first token
  double decode_seconds = 0;          // from the first token on
};
// Exactly once for every request that Submit took.
using DoneCallback = std::function<void(Result<GenerateResult>)>;

struct ModelDescription {
  std::string family, architecture, weight_format;
  int64_t vocab = 0, context = 0, layers = 0, hidden = 0;
  uint64_t parameters = 0, active_parameters = 0;  // active: of one token, embedding and head whole, no MTP
  // Of a layer: routed ones, how many of them a token chooses, and those that every token uses. 0: none.
  int64_t experts = 0, experts_per_token = 0, shared_experts = 0;
  bool mtp = false;  // the checkpoint has a layer to draft tokens with
  // Bytes that a token takes in the caches of all layers: as allocated, and what the same layers would keep of it
  // as full keys and values of all heads in bf16.
  uint64_t cache_bytes_per_token = 0, cache_bytes_per_token_expanded = 0;
  // Bytes of the tensors that the model has a use for, scales included, as the files store them, and if all were
  // bf16; and of those what a step of one token reads (its experts, one row of the embedding, no MTP).
  uint64_t weight_bytes = 0, weight_bytes_bf16 = 0;
  uint64_t active_weight_bytes = 0, active_weight_bytes_bf16 = 0;
  // Operations that the weights' products take for one token, a product and a sum being two: twice the parameters
  // that it is multiplied by; and if every routed expert ran. What attention does with the cache comes on top.
  uint64_t flops_per_token = 0, flops_per_token_dense = 0;
};

struct MemoryReport {
  uint64_t mapped_weights = 0, stored_weights = 0, cache = 0, intermediate = 0;
  uint64_t cache_bytes_per_token = 0;
  std::string load, load_reason;  // "copy" or "map", and one line that says why
};

struct DeviceReport {
  std::string name, description;
  bool row_invariant = false;  // a request's tokens do not depend on how its prompt was cut or what else runs
  uint64_t fallback_launches = 0;  // operations that ran on the host instead, since loading
  uint64_t copied_bytes = 0;       // between host and device, since loading
};

// Since loading, but for what is marked "now".
struct EngineStats {
  int32_t running = 0, waiting = 0;                     // now: sequences, requests
  int64_t pages = 0, pages_free = 0, pages_cached = 0;  // now: of the cache; cached: in the prefix tree
  int64_t steps = 0, rows = 0;                          // of the model, and tokens in them
  int64_t step_sequences = 0;                           // in all steps: over `steps`, the mean batch
  int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  int64_t drafted = 0, accepted = 0;  // speculative tokens: tried, and right
  bool drafting = false;              // now: whether it pays
  int64_t finished = 0, failed = 0, cancelled = 0, preemptions = 0;
  double step_seconds = 0;  // the model at work
};

// One model on one device, serving any number of requests at once: prompts are read in chunks beside the
// tokens that others wait for, sequences share the cache's pages, and what does not fit waits. A request's
// tokens and log-probabilities are the same bits alone and in company (where DeviceReport::row_invariant). Any
// method may be called from any thread, but not from the callbacks of Submit.
class QIAO_API Engine {
 public:
  // Reads the headers, plans the memory, then loads.
  static Result<std::unique_ptr<Engine>> Load(const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Waits for the answer; calls `on_token` (may be null) on this thread for every token, in order. A prompt
  // that does not fit the context is INVALID_ARGUMENT with the numbers: nothing is cut silently. So is whatever else
  // is wrong with the request, by the name of the field; the messages can be shown to whoever asked.
  Result<GenerateResult> Generate(const GenerateRequest& request, const TokenCallback& on_token);
  // Returns at once, with what is wrong with the request (a constraint beyond the compiler's limits is
  // INVALID_ARGUMENT too) or RESOURCE_EXHAUSTED where too many wait; then nothing is called. Else `on_token` (may be
  // null) and at the end `on_done` are called on the engine's own thread, where they hold up everybody: hand the
  // work to another thread. A destroyed engine ends its requests with kCancelled.
  Status Submit(const GenerateRequest& request, TokenCallback on_token, DoneCallback on_done);

  Result<std::vector<int32_t>> Tokenize(std::string_view text, bool add_special) const;
  // A prompt of more bytes has more tokens than the context; Submit and Generate refuse it without cutting it into
  // tokens. 0 without a tokenizer.
  int64_t MostPromptBytes() const;
  // Special tokens are left out unless `special_text`. Ids outside the vocabulary add nothing.
  Result<std::string> Detokenize(const std::vector<int32_t>& ids, bool special_text = false) const;
  // The bytes that a token adds to a text, special ones as they are spelled; they need not be whole characters.
  // INVALID_ARGUMENT for an id outside the vocabulary.
  Result<std::string> TokenBytes(int32_t id) const;
  // `messages_json`: [{"role": .., "content": ..}, ..]; for GenerateRequest::prompt with `rendered`.
  // INVALID_ARGUMENT for what is no JSON of that shape, and where the template itself refuses (its own words are
  // in the message); RESOURCE_EXHAUSTED for a conversation beyond the limits of rendering; FAILED_PRECONDITION
  // without a chat template.
  Result<std::string> RenderChat(std::string_view messages_json, const ChatOptions& options) const;
  Result<std::string> RenderChat(std::string_view messages_json, bool add_generation_prompt) const;
  bool HasChatTemplate() const;
  // The template's own text (Jinja), the one that is taken with tools, or without: by what it says of tool calls
  // and thinking one knows how this model writes them. Empty where there is none.
  std::string ChatTemplateSource(bool tools) const;
  // The sampling that the model's authors ask for (generation_config.json), greedy where they do not say.
  SamplingParams RecommendedSampling() const;

  ModelDescription model() const;
  MemoryReport memory() const;
  DeviceReport device() const;
  EngineStats stats() const;
  int64_t context() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The library's version, "0.1.0".
QIAO_API std::string Version();

}  // namespace qiao
