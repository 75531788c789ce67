#include "runtime/engine/scheduler.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/base/checked.h"
#include "runtime/engine/no_throw.h"
#include "runtime/engine/operation_observer.h"

namespace qiao::engine {

Scheduler::Scheduler(Runner& runner, const text::Tokenizer* tokenizer, SchedulerOptions options)
    : runner_(runner),
      tokenizer_(tokenizer),
      options_(options),
      gain_(options.draft_tokens),
      right_(static_cast<size_t>(std::max(options.draft_tokens, 1)) + 1) {
  if (options_.prefix_cache)
    prefixes_ = std::make_unique<PrefixTree>(*runner_.pages(), runner_.page_tokens());
  // A step allocates nothing for itself.
  const auto most = static_cast<size_t>(options_.sequences);
  running_.reserve(most);
  planned_.reserve(most);
  prompts_.reserve(most);
  work_.reserve(most);
  draft_work_.reserve(most);
  static_cast<void>(OutOfHostMemory());
}

void Scheduler::Stop() {
  for (const std::unique_ptr<Request>& request : requests_) request->dropped->store(true);
  EndCancelled();
  Deliver();
}

bool Scheduler::Above(const Active& a, const Active& b) {
  return a.request().spec.priority > b.request().spec.priority;
}

bool Scheduler::Before(const Active& a, const Active& b) {
  if (Above(a, b) || Above(b, a)) return Above(a, b);
  if (a.request().arrival != b.request().arrival) return a.request().arrival < b.request().arrival;
  return a.stream->choice() < b.stream->choice();
}

void Scheduler::InsertInOrder(std::vector<ActivePtr>& into, ActivePtr active) {
  const auto at = std::upper_bound(into.begin(), into.end(), active,
                                   [](const ActivePtr& a, const ActivePtr& b) { return Before(*a, *b); });
  into.insert(at, std::move(active));
}

bool Scheduler::NeedsTheModel(const Request& request) {
  return request.spec.max_tokens > 0 || request.spec.prompt_logprobs >= 0;
}

// Room for the request, wherever it will stand, is made here; later nothing that could fail is in the way.
void Scheduler::Add(std::unique_ptr<Request> request) {
  const absl::Status status = NoThrow([&] {
    request->arrival = arrivals_++;
    const GenerateRequest& spec = request->spec;
    request->result.prompt_tokens = static_cast<int64_t>(spec.ids.size());
    if (spec.prompt_logprobs >= 0) {
      request->result.prompt_ids = spec.ids;
      request->result.prompt_logprobs.reserve(spec.ids.size());
      request->result.prompt_logprobs.push_back(0);
      request->result.prompt_top_logprobs.resize(1);
    }
    request->open = request->spec.n;
    request->result.more.resize(static_cast<size_t>(request->spec.n - 1));
    if (spec.max_tokens > 0) {
      for (Choice& choice : request->result.more)
        choice.finish = qiao::Finish::kCancelled;  // unless it begins
    }
    requests_.reserve(requests_.size() + 1);
    over_.reserve(over_.size() + requests_.size() + 1);
    choices_ += static_cast<size_t>(request->spec.n);
    waiting_.reserve(choices_);
    auto active = std::make_unique<Active>();
    active->stream = std::make_unique<Stream>(*request, 0, tokenizer_);
    if (NeedsTheModel(*request)) InsertInOrder(waiting_, std::move(active));
  });
  if (!status.ok()) {
    request->failure = status;
    ++stats_.failed;
    request->Done();
    return;
  }
  requests_.push_back(std::move(request));
  if (!NeedsTheModel(*requests_.back())) Finish(*requests_.back());  // the choices are as they are
}

bool Scheduler::Step() {
  Deliver();
  EndCancelled();
  Admit();
  if (!running_.empty()) {
    Plan();
    Run();
    Retire(running_);
  }
  return !requests_.empty() || !over_.empty();
}

// Drafts of the next step: not more than the answer, the context and the step have room for.
int64_t Scheduler::Drafts(const Active& active) const {
  const Stream& stream = *active.stream;
  const int64_t answer = active.request().spec.max_tokens - stream.generated() - 1;
  const int64_t context = runner_.context() - active.sequence.length() - 1;
  return std::max<int64_t>(0, std::min({static_cast<int64_t>(active.drafts.size()), answer, context}));
}

void Scheduler::Plan() {
  int64_t rows = 0;
  for (const ActivePtr& active : running_) {
    active->planned = active->ready() && active->decodes() ? 1 : 0;
    rows += active->planned;
  }
  made_ = std::exchange(guesses_, 0);
  if (options_.drafter != Drafter::kNone)
    guesses_ = gain_.Guesses(rows > 0 ? rows : static_cast<int64_t>(running_.size()));
  for (const ActivePtr& active : running_) {
    if (active->planned == 0) continue;
    const int64_t drafts = std::min(Drafts(*active), runner_.max_rows() - rows);
    active->planned += drafts;
    rows += drafts;
  }
  PlanPrompts(rows);
  planned_.clear();
  int64_t pages = 0;
  for (size_t i = 0; i < running_.size(); ++i) {
    Active& active = *running_[i];
    if (active.planned == 0 || !FindPages(i, pages)) continue;
    pages += runner_.PagesToGrow(active.sequence, active.planned);
    planned_.push_back(&active);
  }
}

void Scheduler::PlanPrompts(int64_t rows) {
  int64_t budget = runner_.max_rows() - rows;
  if (rows > 0) budget = std::min<int64_t>(budget, options_.mixed_chunk);
  prompts_.clear();
  for (const ActivePtr& active : running_) {
    if (active->ready() && active->planned == 0) prompts_.push_back(active.get());
  }
  if (prompts_.empty() || budget <= 0) return;
  // The first has half at least, and what its equals cannot use: of the step's rows, and of those that have
  // logits to look at.
  int64_t scores = std::max(1, runner_.options().score_rows), equals = 0, equal_scores = 0;
  for (size_t i = 1; i < prompts_.size() && !Above(*prompts_[0], *prompts_[i]); ++i) {
    equals += prompts_[i]->remaining();
    equal_scores += prompts_[i]->remaining() - prompts_[i]->unscored();
  }
  PlanPrompt(*prompts_.front(), std::max(CeilDiv(budget, 2), budget - equals),
             std::max(CeilDiv(scores, 2), scores - equal_scores), budget, scores);
  std::sort(prompts_.begin() + 1, prompts_.end(), [](const Active* a, const Active* b) {
    if (Above(*a, *b) || Above(*b, *a)) return Above(*a, *b);
    if (a->remaining() != b->remaining()) return a->remaining() < b->remaining();
    return Before(*a, *b);
  });
  for (size_t i = 1; i < prompts_.size() && budget > 0; ++i) {
    PlanPrompt(*prompts_[i], budget, scores, budget, scores);
  }
}

// Of the prompt at most `rows`, and of those at most `scores` whose logits are to be looked at.
void Scheduler::PlanPrompt(Active& active, int64_t rows, int64_t scores, int64_t& rows_left,
                           int64_t& scores_left) {
  active.planned = std::min({active.remaining(), rows, active.unscored() + (active.scores() ? scores : 0)});
  rows_left -= active.planned;
  scores_left -= std::max<int64_t>(0, active.planned - active.unscored());
}

void Scheduler::Run() {
  if (planned_.empty()) return;
  const Clock::time_point start = Clock::now();
  std::fill(right_.begin(), right_.end(), 0);
  const absl::Status status = Execute(planned_);
  if (status.ok()) return Measure(Since(start));
  // Whoever is to blame fails again; for the others nothing has changed yet.
  for (Active* active : planned_) active->failure = Execute({&active, 1});
}

// Steps that answer only, and make as many guesses as they check.
void Scheduler::Measure(double seconds) {
  if (options_.drafter == Drafter::kNone || made_ != guesses_) return;
  const bool answers =
      std::all_of(planned_.begin(), planned_.end(), [](const Active* a) { return a->answers; });
  const bool checked =
      std::any_of(planned_.begin(), planned_.end(), [](const Active* a) { return a->planned > 1; });
  if (!answers || checked != (guesses_ > 0)) return;
  const auto sequences = static_cast<int64_t>(planned_.size());
  gain_.Record({sequences, guesses_, right_, seconds});
  const double gain = gain_.Gain(sequences);
  const bool close = told_.has_value() && std::abs(gain - 1) < 0.03;  // says nothing new
  if (gain == 0 || close || told_ == (gain >= 1)) return;
  told_ = gain >= 1;
  if (options_.log) {
    options_.log(absl::StrFormat("drafting %s at %d sequences: %.2f times the tokens a second",
                                 *told_ ? "pays" : "does not pay", sequences, gain));
  }
}

absl::Status Scheduler::Execute(absl::Span<Active* const> actives) {
  work_.clear();
  OperationObserver* observer = nullptr;
  int64_t rows = 0;
  for (Active* active : actives) {
    const absl::Span<const int32_t> all = active->stream->tokens();
    const auto from = static_cast<size_t>(active->sequence.length());
    active->answers = active->decodes();
    if (active->answers && active->planned > 1) {
      const absl::Span<const int32_t> drafts = active->drafts;
      active->tokens.assign(1, all.back());
      active->tokens.insert(active->tokens.end(), drafts.begin(), drafts.begin() + active->planned - 1);
      work_.push_back({&active->sequence, active->tokens, static_cast<int32_t>(active->planned)});
    } else {
      const absl::Span<const int32_t> tokens = all.subspan(from, static_cast<size_t>(active->planned));
      const int64_t last = from + tokens.size() == all.size() ? 1 : 0;
      const int64_t scores = std::max<int64_t>(0, active->planned - active->unscored());
      work_.push_back({&active->sequence, tokens, static_cast<int32_t>(std::max(last, scores))});
    }
    rows += active->planned;
    if (observer == nullptr) observer = active->request().observer(active->stream->generated() == 0);
  }
  const Clock::time_point start = Clock::now();
  const absl::Status status = NoThrow([&] { return runner_.Step(work_, observer); });
  if (status.ok()) {
    ++stats_.steps;
    stats_.rows += rows;
    stats_.step_sequences += static_cast<int64_t>(actives.size());
    Harvest(actives);
  }
  stats_.step_seconds += Since(start);
  return status;
}

// Logits are there until the next run of the model, pages are the sequence's own until they are remembered.
void Scheduler::Harvest(absl::Span<Active* const> actives) {
  int64_t row = 0;
  for (size_t i = 0; i < actives.size(); ++i) {
    Active& active = *actives[i];
    if (active.stream->generated() > 0) {
      TakeRows(active, row);
    } else {
      stats_.prompt_tokens += active.planned;
      active.failure = active.request().Progress(active.sequence.length());
      const int64_t logits = work_[i].logits;
      if (active.failure.ok() && active.scores()) active.failure = ScoreRows(active, row, logits);
      if (active.failure.ok() && active.remaining() == 0)
        active.failure = TakeFirst(active, row + logits - 1);
    }
    row += work_[i].logits;
  }
  Draft(actives);
  for (Active* active : actives) {
    if (!active->answers) Remember(*active, /*whole=*/false);
    if (active->request().spec.n > 1) ForkChoices(*active);
  }
}

// The token after each row, as long as the next row's was guessed right. What comes after is forgotten.
void Scheduler::TakeRows(Active& active, int64_t row) {
  const int64_t drafts = active.answers ? active.planned - 1 : 0;
  const int64_t before = active.sequence.length() - 1 - drafts;
  if (before + 1 < static_cast<int64_t>(active.stream->tokens().size())) return;  // it reads itself again
  int64_t taken = 0;
  bool right = true;
  while (right && taken <= drafts) {
    active.failure = Take(active, row + taken, before + 1 + taken);
    ++taken;
    right = active.failure.ok() && !active.stream->finished() && taken <= drafts &&
            active.stream->tokens().back() == active.tokens[static_cast<size_t>(taken)];
  }
  if (taken > 0) ++right_[static_cast<size_t>(taken - 1)];
  if (drafts == 0) return;
  active.sequence.Truncate(before + taken);
  GenerateResult& result = active.request().result;
  stats_.drafted += drafts;
  stats_.accepted += taken - 1;
  result.drafted += drafts;
  result.accepted += taken - 1;
}

absl::Status Scheduler::ScoreRows(Active& active, int64_t row, int64_t rows) {
  for (int64_t i = 0; i < rows; ++i)
    QIAO_RETURN_IF_ERROR(active.request().Score(runner_.Logits(row + i), scratch_));
  return absl::OkStatus();
}

// The first token of every choice comes from the same row.
absl::Status Scheduler::TakeFirst(Active& first, int64_t row) {
  first.request().first_token = Clock::now();
  QIAO_RETURN_IF_ERROR(TakeAs(first, first, row));
  if (first.request().spec.n == 1) return absl::OkStatus();
  for (const ActivePtr& active : running_) {
    if (!active->forks || &active->request() != &first.request()) continue;
    QIAO_RETURN_IF_ERROR(TakeAs(*active, first, row));
  }
  return absl::OkStatus();
}

// Where no token is wanted, reading the prompt was all.
absl::Status Scheduler::TakeAs(Active& active, Active& first, int64_t row) {
  if (active.request().spec.max_tokens == 0) return active.stream->End(qiao::Finish::kLength);
  return Take(active, row, first.sequence.length());
}

// `length`: tokens in the cache, that of the row included.
absl::Status Scheduler::Take(Active& active, int64_t row, int64_t length) {
  QIAO_RETURN_IF_ERROR(active.stream->Take(runner_.Logits(row), runner_.Argmax(row), scratch_));
  ++stats_.generated_tokens;
  if (!active.stream->finished() && length >= runner_.context())
    return active.stream->End(qiao::Finish::kContext);
  return absl::OkStatus();
}

void Scheduler::ForkChoices(Active& first) {
  if (first.stream->generated() == 0 || !first.failure.ok()) return;  // also where none is wanted
  for (const ActivePtr& active : running_) {
    if (!active->forks || &active->request() != &first.request()) continue;
    absl::StatusOr<Sequence> forked = NoThrow([&] { return runner_.Fork(first.sequence); });
    active->failure = forked.status();
    if (forked.ok()) active->sequence = *std::move(forked);
    active->forks = false;
  }
}

void Scheduler::Remember(const Active& active, bool whole) {
  if (prefixes_ == nullptr) return;
  const auto length = static_cast<size_t>(active.sequence.length());
  const auto page = static_cast<size_t>(runner_.page_tokens());
  const size_t pages = whole ? CeilDiv(length, page) : length / page;
  const absl::Span<const int32_t> tokens = active.stream->tokens();
  // Without memory for it, it is forgotten.
  static_cast<void>(NoThrow([&] {
    prefixes_->Insert(tokens.first(std::min(length, pages * page)), active.sequence.pages().first(pages));
  }));
}

void Scheduler::EndCancelled() {
  bool any = false;
  for (std::vector<ActivePtr>* actives : {&running_, &waiting_}) {
    for (const ActivePtr& active : *actives) {
      Request& request = active->request();
      if (!request.cancelled()) continue;
      any = true;
      if (active->stream->finished()) continue;
      if (absl::Status status = active->stream->End(qiao::Finish::kCancelled); !status.ok())
        active->failure = std::move(status);
      request.open = 1;  // choices that have not begun never will
    }
  }
  if (!any) return;
  Retire(running_);
  Retire(waiting_);
}

// What has ended or failed gives its pages back; a request ends with the last of its choices, or with the first
// that fails.
void Scheduler::Retire(std::vector<ActivePtr>& actives) {
  for (size_t i = 0; i < actives.size();) {
    Active& active = *actives[i];
    Request& request = active.request();
    if (!active.failure.ok() && request.failure.ok()) request.failure = active.failure;
    if (active.failure.ok() && !active.stream->finished()) {
      ++i;
      continue;
    }
    if (active.failure.ok()) {
      Remember(active, /*whole=*/true);
      --request.open;
    }
    const bool over = request.open == 0 || !request.failure.ok();
    actives.erase(actives.begin() + static_cast<ptrdiff_t>(i));
    if (!over) continue;
    Finish(request);
    i = 0;  // others of it may have gone too
  }
}

void Scheduler::Finish(Request& request) {
  for (std::vector<ActivePtr>* actives : {&running_, &waiting_})
    std::erase_if(*actives, [&](const ActivePtr& active) { return &active->request() == &request; });
  const Clock::time_point now = Clock::now();
  GenerateResult& result = request.result;
  const auto or_now = [&](Clock::time_point t) { return t == Clock::time_point() ? now : t; };
  result.queue_seconds = Seconds(or_now(request.started) - request.submitted);
  result.prefill_seconds = Seconds(or_now(request.first_token) - or_now(request.started));
  result.decode_seconds = Seconds(now - or_now(request.first_token));
  ++(!request.failure.ok() ? stats_.failed : request.cancelled() ? stats_.cancelled : stats_.finished);
  const auto it = std::find_if(requests_.begin(), requests_.end(),
                               [&](const std::unique_ptr<Request>& r) { return r.get() == &request; });
  choices_ -= static_cast<size_t>(request.spec.n);
  over_.push_back(std::move(*it));
  requests_.erase(it);
}

void Scheduler::Deliver() {
  for (const std::unique_ptr<Request>& request : over_) request->Done();
  over_.clear();
}

const EngineStats& Scheduler::stats() {
  const PagePool& pool = *runner_.pages();
  stats_.running = static_cast<int32_t>(running_.size());
  stats_.waiting = static_cast<int32_t>(waiting_.size());
  stats_.pages = pool.size();
  stats_.pages_free = pool.free();
  stats_.drafting = guesses_ > 0;
  stats_.pages_cached = prefixes_ == nullptr ? 0 : prefixes_->pages();
  return stats_;
}

}  // namespace qiao::engine
