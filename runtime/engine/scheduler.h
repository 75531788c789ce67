// Which sequences take part in the next step of the model, with how many tokens: continuous batching with
// prompts read in chunks beside the tokens that others wait for (Sarathi-Serve, Agrawal et al. 2024), over
// cache pages that are shared by prefix.
//
// - Everybody who generates gets a row in every step. What the step has left over goes to prompts: half to the
//   one that came first, the rest to those that have least to go, so that a short request passes a prompt of
//   100,000 tokens and the long one still advances.
// - A request is admitted when the pages of its prompt are free or can be freed by giving up cached prefixes,
//   and nobody is just reading the same.
// - When pages run out, the one that came last (of the lowest priority) gives up its own and begins again
//   later, from what is still cached of it. Its tokens do not change by that: a row's bits depend on nothing
//   else in the step, and the samplers survive.
// - Where there is a drafter, a sequence's next tokens are guessed and the guesses checked in one step, as long
//   as that brings more tokens a second than it costs, and as many as bring the most (DraftGain). A guess counts where the sampler chooses the
//   same token, so that the text is the one without guesses, bit for bit.
// - A step that fails is repeated for each sequence alone; those that fail then are the only ones to end with
//   the error. So it is with what the host's memory is too small for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/engine/draft_gain.h"
#include "runtime/engine/prefix_tree.h"
#include "runtime/engine/prompt_lookup.h"
#include "runtime/engine/request.h"
#include "runtime/engine/runner.h"

namespace qiao::engine {

// Where drafts come from.
enum class Drafter {
  kNone,
  kMtp,     // the model's own layer (Runner::Draft)
  kLookup,  // the text's own repetitions (PromptLookup)
};

struct SchedulerOptions {
  int32_t sequences = 8;  // at once; not more than the runner's
  int32_t mixed_chunk = 64;
  bool prefix_cache = true;
  Drafter drafter = Drafter::kNone;
  int32_t draft_tokens = 0;  // for each sequence in a step, at most; the runner's logits_each is one more
  std::function<void(std::string_view)> log = nullptr;  // may be null
};

// For one thread. The runner must be loaded, and outlive it, as must the tokenizer (may be null).
class Scheduler {
 public:
  Scheduler(Runner& runner, const text::Tokenizer* tokenizer, SchedulerOptions options);
  // Ends everything as cancelled.
  void Stop();
  ~Scheduler() { Stop(); }

  // Its on_done is called once, in Deliver, Step or the destructor. Everything that can be wrong with it by itself
  // has been checked.
  void Add(std::unique_ptr<Request> request);
  // Lets time pass: ends what was cancelled, admits, runs one step of the model, hands out tokens. False when
  // there is nothing left to do.
  bool Step();
  // Calls the on_done of what has ended; else the next step does.
  void Deliver();

  // Counters, and what is held now.
  const EngineStats& stats();

 private:
  // A choice that is being worked on, or that waits for its turn (again).
  struct Active {
    std::unique_ptr<Stream> stream;
    Sequence sequence;
    bool forks = false;           // choices beyond the first wait for the prompt to be read
    int64_t planned = 0;          // tokens of the next step
    bool answers = false;         // in the step: all it has to read is its last token
    std::vector<int32_t> drafts;  // that may follow the last token
    std::vector<int32_t> tokens;  // of a step with drafts: the last token and they
    std::optional<PromptLookup> lookup;
    absl::Status failure;

    Request& request() const { return stream->request(); }
    int64_t remaining() const { return static_cast<int64_t>(stream->tokens().size()) - sequence.length(); }
    bool ready() const { return !forks && failure.ok(); }
    // The prompt's log-probabilities are the first choice's business.
    bool scores() const { return stream->choice() == 0 && request().scores(); }
    // Tokens that it may read before the first whose logits are to be looked at.
    int64_t unscored() const {
      return scores() ? std::max<int64_t>(0, request().scored - sequence.length()) : remaining();
    }
    bool decodes() const { return stream->generated() > 0 && remaining() == 1; }
  };
  using ActivePtr = std::unique_ptr<Active>;

  int64_t Drafts(const Active& active) const;
  static bool Above(const Active& a, const Active& b);  // by priority
  static bool NeedsTheModel(const Request& request);
  static bool Before(const Active& a, const Active& b);
  static void InsertInOrder(std::vector<ActivePtr>& into, ActivePtr active);
  void EndCancelled();
  void Admit();
  absl::StatusOr<bool> TryAdmit(Active& active, int64_t& available);
  bool WillBeKnown(const Active& active, int64_t known) const;
  void Plan();
  void PlanPrompts(int64_t rows);
  void PlanPrompt(Active& active, int64_t rows, int64_t scores, int64_t& rows_left, int64_t& scores_left);
  bool FindPages(size_t index, int64_t pages);
  void Preempt(size_t index);
  void Run();
  absl::Status Execute(absl::Span<Active* const> actives);
  void Harvest(absl::Span<Active* const> actives);
  void TakeRows(Active& active, int64_t row);
  absl::Status ScoreRows(Active& active, int64_t row, int64_t rows);
  absl::Status TakeFirst(Active& first, int64_t row);
  absl::Status TakeAs(Active& active, Active& first, int64_t row);
  absl::Status Take(Active& active, int64_t row, int64_t length);
  void Draft(absl::Span<Active* const> actives);
  absl::Status DraftByMtp(absl::Span<Active* const> actives);
  void ForkChoices(Active& first);
  void Measure(double seconds);
  void Remember(const Active& active, bool whole);
  void Retire(std::vector<ActivePtr>& actives);
  void Finish(Request& request);

  Runner& runner_;
  const text::Tokenizer* const tokenizer_;
  const SchedulerOptions options_;
  std::unique_ptr<PrefixTree> prefixes_;
  std::vector<std::unique_ptr<Request>> requests_, over_;  // over_: to be delivered
  std::vector<ActivePtr> running_, waiting_;               // in order of Before
  size_t choices_ = 0;                                     // of all requests
  uint64_t arrivals_ = 0;
  int32_t passed_ = 0;  // admissions that went past the first that waits
  EngineStats stats_;
  // Reused by every step.
  std::vector<Active*> planned_, prompts_;
  std::vector<Work> work_;
  std::vector<DraftWork> draft_work_;
  int32_t guesses_ = 0;  // for each sequence, that this step makes
  int32_t made_ = 0;     // that the last step made, and this one checks
  DraftGain gain_;
  std::vector<int64_t> right_;  // of this step's sequences by how many of their first guesses were right
  std::optional<bool> told_;    // whether it pays
  SamplerScratch scratch_;
};

}  // namespace qiao::engine
