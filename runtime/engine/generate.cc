// The public API's requests: what is checked before they run, and waiting for them.
#include <qiao/engine.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

#include "runtime/engine/engine_impl.h"

namespace qiao {
namespace {

constexpr size_t kMostStops = 256, kMostStopBytes = 64 << 10;

engine::SamplingOptions ToInternal(const SamplingParams& p) {
  engine::SamplingOptions o;
  o.temperature = p.temperature;
  o.top_k = p.top_k;
  o.top_p = p.top_p;
  o.min_p = p.min_p;
  o.repetition_penalty = p.repetition_penalty;
  o.presence_penalty = p.presence_penalty;
  o.frequency_penalty = p.frequency_penalty;
  o.logit_bias = p.logit_bias;
  o.seed = p.seed;
  return o;
}

absl::Status CheckStops(const GenerateRequest& request) {
  size_t bytes = 0;
  for (const std::string& stop : request.stop) bytes += stop.size();
  const size_t count = request.stop.size() + request.stop_tokens.size();
  if (count <= kMostStops && bytes <= kMostStopBytes) return absl::OkStatus();
  return InvalidArgument("%d stop strings and tokens, %d bytes; at most %d and %d are allowed", count, bytes,
                         kMostStops, kMostStopBytes);
}

// What comes of a request on the engine's thread, for the one that waits for it.
struct Mailbox {
  struct Item {
    Token token;
    std::string text;
    std::vector<TokenLogprob> top;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Item> items;
  int64_t prefilled = -1;
  std::optional<absl::StatusOr<GenerateResult>> result;
};

// What the caller has seen of a choice.
struct Seen {
  size_t ids = 0, bytes = 0;
};

void CutTo(Choice& choice, const Seen& seen) {
  choice.ids.resize(std::min(choice.ids.size(), seen.ids));
  choice.text.resize(std::min(choice.text.size(), seen.bytes));
  choice.logprobs.resize(std::min(choice.logprobs.size(), seen.ids));
  choice.top_logprobs.resize(std::min(choice.top_logprobs.size(), seen.ids));
  choice.finish = Finish::kCancelled;
  choice.stop.clear();
  choice.stop_token = -1;
}

}  // namespace

CancelToken::CancelToken() : flag_(std::make_shared<std::atomic<bool>>(false)) {}
void CancelToken::Cancel() const { static_cast<std::atomic<bool>*>(flag_.get())->store(true); }
bool CancelToken::cancelled() const { return static_cast<const std::atomic<bool>*>(flag_.get())->load(); }

// A context of the longest token, and as much again for what a normaliser may take away.
uint64_t Engine::Impl::MostPromptBytes() const {
  if (tokenizer() == nullptr) return 0;
  size_t longest = 1;
  for (int32_t id = 0; id < tokenizer()->vocab_size(); ++id)
    longest = std::max(longest, tokenizer()->PieceOf(id).size());
  return 2 * static_cast<uint64_t>(runner->context()) * longest;
}

absl::StatusOr<std::vector<int32_t>> Engine::Impl::PromptIds(const GenerateRequest& request) const {
  std::vector<int32_t> ids = request.ids;
  if (ids.empty()) {
    if (!folder->tokenizer) {
      return FailedPrecondition("%s: has no tokenizer.json, so a prompt must be given as token ids",
                                folder->path);
    }
    // Else whoever sends megabytes would have them cut into tokens to hear that.
    if (request.prompt.size() > most_prompt_bytes) {
      return InvalidArgument(
          "the prompt has %d bytes, more than the context of %d tokens can hold (%d); shorten it",
          request.prompt.size(), runner->context(), most_prompt_bytes);
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
  const int64_t answer = request.max_tokens > 0 || request.prompt_logprobs < 0 ? 1 : 0;
  const int64_t tokens = static_cast<int64_t>(ids.size()), context = runner->context();
  const int64_t cache = runner->pages()->size() * runner->page_tokens();
  if (tokens + answer > context) {
    return InvalidArgument(
        "the prompt has %d tokens%s, more than the context of %d; shorten it, or run the model with more "
        "context (it was made for %d)",
        tokens, answer > 0 ? " and an answer one at least" : "", context, folder->model->info().context);
  }
  if (tokens + answer > cache) {
    return InvalidArgument(
        "the prompt has %d tokens%s, more than the cache's %d; shorten it, or run the model with a larger "
        "cache",
        tokens, answer > 0 ? " and an answer one at least" : "", cache);
  }
  return ids;
}

absl::Status Engine::Impl::Constrain(const Constraint& constraint, engine::Request& request) const {
  using Kind = text::ConstraintSpec::Kind;
  if (constraint.kind == Constraint::Kind::kNone) return absl::OkStatus();
  if (tokenizer() == nullptr) {
    return FailedPrecondition("%s: has no tokenizer.json, so an answer's text cannot be constrained",
                              folder->path);
  }
  text::ConstraintSpec spec{.text = constraint.text, .choices = constraint.choices};
  switch (constraint.kind) {
    case Constraint::Kind::kNone:
    case Constraint::Kind::kJsonObject:
      spec.kind = Kind::kJsonObject;
      break;
    case Constraint::Kind::kJsonSchema:
      spec.kind = Kind::kJsonSchema;
      break;
    case Constraint::Kind::kRegex:
      spec.kind = Kind::kRegex;
      break;
    case Constraint::Kind::kChoice:
      spec.kind = Kind::kChoice;
      break;
  }
  absl::StatusOr<std::shared_ptr<const text::Constraint>> compiled = constraints.Get(spec);
  if (absl::IsResourceExhausted(compiled.status())) {
    // Asking again later would not help: it is the request that asks for too much.
    return InvalidArgument("%s", Message(compiled.status()));
  }
  QIAO_RETURN_IF_ERROR(compiled.status());
  request.constraint = *std::move(compiled);
  const std::lock_guard<std::mutex> lock(trie_mutex);
  if (trie == nullptr) {
    QIAO_ASSIGN_OR_RETURN(trie, text::TokenTrie::FromTokenizer(
                                    *tokenizer(), static_cast<int32_t>(runner->model().info().vocab)));
  }
  request.trie = trie;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<engine::Request>> Engine::Impl::MakeRequest(
    const GenerateRequest& spec) const {
  if (spec.max_tokens < 0) return InvalidArgument("max_tokens is %d, must not be negative", spec.max_tokens);
  if (spec.n < 1 || spec.n > sequences) {
    return InvalidArgument("n is %d, must be 1..%d, the sequences that may run at once", spec.n, sequences);
  }
  if (spec.prompt_logprobs < -1 || spec.prompt_logprobs > engine::kMaxTopLogprobs) {
    return InvalidArgument("prompt_logprobs is %d, must be in 0..%d, or -1 for none", spec.prompt_logprobs,
                           engine::kMaxTopLogprobs);
  }
  QIAO_RETURN_IF_ERROR(CheckStops(spec));
  auto request = std::make_unique<engine::Request>();
  request->sampling = ToInternal(spec.sampling);
  request->sampling.top_logprobs = spec.logprobs;
  QIAO_RETURN_IF_ERROR(request->sampling.Check(runner->model().info().vocab));
  QIAO_RETURN_IF_ERROR(Constrain(spec.constraint, *request));
  request->spec = spec;
  QIAO_ASSIGN_OR_RETURN(request->spec.ids, PromptIds(spec));
  QIAO_RETURN_IF_ERROR(runner->CheckIds(request->spec.ids));
  if (!spec.ignore_end) request->ends = folder->EndOfText();
  request->dropped = std::make_shared<std::atomic<bool>>(false);
  return request;
}

Status Engine::Submit(const GenerateRequest& spec, TokenCallback on_token, DoneCallback on_done) {
  return Guarded([&]() -> Status {
    if (!on_done) return Status(Code::kInvalidArgument, "on_done must be given");
    absl::StatusOr<std::unique_ptr<engine::Request>> request = impl_->MakeRequest(spec);
    if (!request.ok()) return Public(request.status());
    (*request)->on_token = std::move(on_token);
    (*request)->on_done = [done = std::move(on_done)](absl::StatusOr<GenerateResult> result) {
      if (result.ok()) {
        done(*std::move(result));
      } else {
        done(Public(result.status()));
      }
    };
    return Public(impl_->service->Submit(*std::move(request)));
  });
}

Result<GenerateResult> Engine::Generate(const GenerateRequest& spec, const TokenCallback& on_token) {
  return Guarded([&]() -> Result<GenerateResult> {
    absl::StatusOr<std::unique_ptr<engine::Request>> made = impl_->MakeRequest(spec);
    if (!made.ok()) return Public(made.status());
    engine::Request& request = **made;
    const auto box = std::make_shared<Mailbox>();
    const std::shared_ptr<std::atomic<bool>> dropped = request.dropped;
    if (on_token) {
      request.on_token = [box](const Token& token) {
        const std::lock_guard<std::mutex> lock(box->mutex);
        box->items.push_back({token, std::string(token.text), {token.top.begin(), token.top.end()}});
        box->changed.notify_one();
        return true;
      };
    }
    if (spec.prefill_progress) {
      request.spec.prefill_progress = [box](int64_t done, int64_t) {
        const std::lock_guard<std::mutex> lock(box->mutex);
        box->prefilled = done;
        box->changed.notify_one();
      };
    }
    request.on_done = [box](absl::StatusOr<GenerateResult> result) {
      const std::lock_guard<std::mutex> lock(box->mutex);
      box->result = std::move(result);
      box->changed.notify_one();
    };
    const auto prompt_tokens = static_cast<int64_t>(request.spec.ids.size());
    std::vector<Seen> seen(static_cast<size_t>(spec.n));
    if (absl::Status taken = impl_->service->Submit(*std::move(made)); !taken.ok()) return Public(taken);

    std::vector<Mailbox::Item> items;
    bool stopped = false;
    std::exception_ptr thrown;
    for (bool ended = false; !ended;) {
      int64_t prefilled = -1;
      {
        std::unique_lock<std::mutex> lock(box->mutex);
        box->changed.wait(
            lock, [&] { return !box->items.empty() || box->prefilled >= 0 || box->result.has_value(); });
        items.swap(box->items);
        prefilled = std::exchange(box->prefilled, -1);
        ended = box->result.has_value();
      }
      try {
        if (prefilled >= 0 && !stopped) spec.prefill_progress(prefilled, prompt_tokens);
        for (Mailbox::Item& item : items) {
          if (stopped) break;
          item.token.text = item.text;
          item.token.top = item.top;
          Seen& of_choice = seen[static_cast<size_t>(item.token.choice)];
          of_choice.ids += item.token.id >= 0 ? 1 : 0;
          of_choice.bytes += item.text.size();
          stopped = !on_token(item.token);
        }
      } catch (...) {
        // The request goes on using what is shared with it until it has ended.
        thrown = std::current_exception();
        stopped = true;
      }
      if (stopped) dropped->store(true);
      items.clear();
    }
    if (thrown) std::rethrow_exception(thrown);
    if (!box->result->ok()) return Public(box->result->status());
    GenerateResult result = **std::move(box->result);
    if (stopped) {
      CutTo(result, seen[0]);
      for (size_t i = 0; i < result.more.size(); ++i) CutTo(result.more[i], seen[i + 1]);
    }
    return result;
  });
}

}  // namespace qiao
