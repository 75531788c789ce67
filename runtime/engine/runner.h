// Steps of a model over sequences: the layer between a program, which knows rows and pages, and whoever
// decides what to generate. It keeps the caches' pages, cuts prompts into chunks and picks the bucket of each
// step.
//
//   QIAO_ASSIGN_OR_RETURN(auto runner, Runner::Plan(model, source, options));
//   QIAO_RETURN_IF_ERROR(runner->Load(progress));
//   Sequence sequence = runner->NewSequence();
//   QIAO_RETURN_IF_ERROR(runner->Prefill(sequence, prompt_ids));
//   int32_t next = runner->Argmax(0);
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "models/model.h"
#include "runtime/base/progress.h"
#include "runtime/base/status.h"
#include "runtime/engine/page_pool.h"
#include "runtime/hal/device.h"
#include "runtime/program/program.h"

namespace qiao::engine {

// "f32": activations and cache in f32, the debugging mode that matches the reference implementation. "bf16":
// both in bf16, sums in f32. "w8a8": as bf16, and what meets an FP8 weight is quantised to E4M3, a scale a
// token and 128 channels, as DeepSeek's inference code does; "w8a8-f32" the same over f32. INVALID_ARGUMENT
// lists them.
absl::StatusOr<program::Numerics> ParseNumerics(std::string_view name);

// `numerics` with a cache by name. "auto": the one they have; "bf16"; "fp8": MLA's latent in E4M3 with an f32
// scale for each 128 channels, its rope key in bf16: 656 bytes for a token and layer of DeepSeek-V3 where bf16
// has 1152. INVALID_ARGUMENT lists them.
absl::StatusOr<program::Numerics> WithKvDtype(program::Numerics numerics, std::string_view name);

// How the weights get to a device that shares the host's memory; devices with their own always store them.
enum class LoadMode {
  // kCopy where the weights are at most kCopyShare of what the device has free and everything fits the memory
  // budget, else kMap. Unknown free memory: kMap.
  kAuto,
  // They stay in the files. Loading reads nothing; pages come as they are needed, in the file system's small
  // pages.
  kMap,
  // They are copied into the device's memory, on huge pages where it has them; the files' pages are let go
  // meanwhile.
  kCopy,
};
// "auto", "map", "copy". INVALID_ARGUMENT lists them.
absl::StatusOr<LoadMode> ParseLoadMode(std::string_view name);

struct RunnerOptions {
  std::string backend = "cpu";  // NAME or NAME:INDEX
  bool allow_fallback = false;
  std::string fallback = "cpu";        // the host's plugin that takes what `backend` does not
  hal::DeviceOptions device;           // of `backend`: options and hooks
  hal::DeviceOptions fallback_device;  // of the fallback
  program::Numerics numerics;
  bool fast_math_order = false;  // `backend` gets the option order = fast (qiao/backend.h)
  int64_t context = 0;           // tokens a sequence may hold; 0: the model's, at most kDefaultContext
  int64_t page_tokens = 0;       // 0: what the device prefers, else 64
  int32_t sequences = 1;         // at once
  int64_t cache_tokens = 0;      // that the cache holds, of all sequences; 0: `context` for each
  int32_t chunk = 512;           // rows of a step at most
  int32_t logits_each = 1;       // rows of a sequence in a step whose logits may be wanted
  int32_t score_rows = 0;        // and so many more of all sequences together
  // Drafts at most that the model's MTP layer makes for a sequence after a step; 0: the layer is not loaded.
  // logits_each becomes 1 + draft_tokens at least, so that a step can check them. FAILED_PRECONDITION for a
  // model without such a layer.
  int32_t draft_tokens = 0;
  bool all_logits = false;  // every row's logits, not only the last of each sequence
  // Bytes for everything that is allocated; mapped weights do not count. 0: all, mapped weights included,
  // must fit what the device has free.
  uint64_t memory_budget = 0;
  LoadMode load = LoadMode::kAuto;
  bool meta = false;  // plan on a meta device like `backend`: nothing is allocated, nothing can run
  static constexpr int64_t kDefaultContext = 4096;
  static constexpr double kCopyShare = 0.6;
};

// The context that a runner gets: what was asked for, else the model's, at most kDefaultContext.
int64_t ContextOf(int64_t asked, const models::ModelInfo& info);

class Runner;

// The tokens that a sequence has in the cache. Move-only; its pages are given back when it dies. Must not
// outlive the runner.
class Sequence {
 public:
  Sequence() = default;
  Sequence(Sequence&& other) noexcept;
  Sequence& operator=(Sequence&& other) noexcept;
  ~Sequence();
  int64_t length() const { return length_; }
  absl::Span<const int32_t> pages() const { return pages_; }
  // Forgets the tokens from `length` on.
  void Truncate(int64_t length);

 private:
  friend class Runner;
  void TruncateDrafts();
  Runner* runner_ = nullptr;
  int64_t length_ = 0;
  std::vector<int32_t> pages_;
  // The MTP layer's rows lie one behind the other in these of the pages, all but the last of them full; the last row
  // is that of position draft_end_ - 1.
  std::vector<int32_t> draft_pages_;
  int64_t draft_rows_ = 0, draft_end_ = 0;
};

// One sequence's part of a step.
struct Work {
  Sequence* sequence = nullptr;
  absl::Span<const int32_t> tokens;  // at least one; appended to the sequence
  int32_t logits = 1;                // of so many of the last tokens (of every token with all_logits)
};

// What Draft does for one sequence, which the last Step appended to, or which was forked from such a one.
struct DraftWork {
  Sequence* sequence = nullptr;
  // The index, in that Step, of the work whose tokens these are. Tokens of it that turned out wrong must have
  // been truncated: what stays of them are the last ones of `sequence`.
  int32_t work = 0;
  // The tokens that follow each of the last next.size() tokens of the sequence; the last of them is the one
  // that was just chosen and is not in the sequence yet. At least one; leave none out that stays, or later
  // drafts get worse.
  absl::Span<const int32_t> next;
  // Tokens wanted that may come after the last of `next`; at most RunnerOptions::draft_tokens. `out` is set to
  // them, the likeliest first one, then the likeliest after that, and so on. Fewer where the context ends (a
  // step over next.back() and the drafts fits it) or the cache has no page left. May be null for 0.
  int32_t drafts = 0;
  std::vector<int32_t>* out = nullptr;
};

// One step at a time; not thread-safe.
class Runner {
 public:
  // Opens the devices, builds and places the programs of all buckets and plans the memory, reading no weight.
  // RESOURCE_EXHAUSTED, with the numbers, where it does not fit the budget. `model` and `source` must outlive
  // the runner.
  static absl::StatusOr<std::unique_ptr<Runner>> Plan(const models::Model& model,
                                                      const program::TensorSource& source,
                                                      RunnerOptions options);
  ~Runner();
  absl::Status Load(const Progress& progress = nullptr);

  Sequence NewSequence();
  // The same tokens in another sequence, sharing the pages; a page that both would write is copied.
  absl::StatusOr<Sequence> Fork(const Sequence& sequence);

  // INVALID_ARGUMENT for ids outside the vocabulary.
  absl::Status CheckIds(absl::Span<const int32_t> ids) const;

  // A sequence of `length` tokens that already lie in these pages, which others may hold too. INVALID_ARGUMENT
  // unless the pages are just enough.
  absl::StatusOr<Sequence> Share(absl::Span<const int32_t> pages, int64_t length);
  // The pages that a step with so many tokens of the sequence takes from the pool.
  int64_t PagesToGrow(const Sequence& sequence, int64_t tokens) const;
  // Null before Load.
  PagePool* pages() { return pages_.get(); }

  // Makes the sequence `length` tokens long by copying its pages over and over, into pages of its own: a deep
  // cache in no time, for measuring. INVALID_ARGUMENT unless it consists of whole pages and is shorter,
  // RESOURCE_EXHAUSTED as for Step.
  absl::Status Repeat(Sequence& sequence, int64_t length);

  // One step. INVALID_ARGUMENT for ids outside the vocabulary, RESOURCE_EXHAUSTED when context or pages are
  // used up, and then no sequence has changed.
  absl::Status Step(absl::Span<const Work> work, program::StepObserver* observer = nullptr);
  // Appends any number of tokens in chunks. The last step's logits are those of the last chunk, which is the
  // one that is left to Draft where draft_tokens asks for it (its tokens are step_rows(0)); with
  // all_logits, `each` (may be null) is called after every chunk with the index of its first token.
  using ChunkFn = std::function<absl::Status(int64_t first_token)>;
  absl::Status Prefill(Sequence& sequence, absl::Span<const int32_t> tokens, const ChunkFn& each = nullptr,
                       program::StepObserver* observer = nullptr);

  // Speculative decoding with the model's own MTP layer. Runs the rows of the last Step that stay through the
  // layer, each with the token that follows it, which fills the layer's cache, and then makes drafts. Call it
  // after every Step for every sequence that goes on, for chunks of a prompt too, with any number of works,
  // once or several times. Afterwards there are no logits of the Step any more.
  //
  // The layer's cache is one more layer in the pages of the sequences, so that shared prefixes, forks and
  // copies on write hold it too. The row of a position depends on the token after it: the last row of a prefix
  // that was shared comes from the text that made it. After a Step without Draft its rows are missing, and the
  // layer sees only those that there are: they lie one behind the other, and of pages that were shared only full
  // ones are read. All that costs accepted drafts at most; what is generated never depends on drafts. A page that is shared is copied before a row of it is
  // written, as in Step, so call Draft before sharing what a Step appended.
  //
  // FAILED_PRECONDITION without draft_tokens, INVALID_ARGUMENT for tokens that the last Step did not append,
  // more rows than a step takes or ids outside the vocabulary, RESOURCE_EXHAUSTED where a shared page must be
  // copied and there is none; the tokens of no sequence change.
  absl::Status Draft(absl::Span<const DraftWork> work, program::StepObserver* observer = nullptr);

  // Of the last step: f32 [V] and the greedy choice, of row i of those whose logits were wanted, in the order
  // of work.
  int64_t logit_rows() const { return logit_rows_; }
  // Tokens that work i of the last step appended.
  // The position of the first of them.
  int64_t step_position(int32_t i) const { return last_work_[static_cast<size_t>(i)].position; }
  int32_t step_rows(int32_t i) const { return last_work_[static_cast<size_t>(i)].rows; }
  absl::Span<const float> Logits(int64_t i) const;
  int32_t Argmax(int64_t i) const;

  const RunnerOptions& options() const { return options_; }
  int64_t context() const { return context_; }
  // Of a step at most.
  int64_t max_rows() const { return programs_->buckets().back().rows; }
  int64_t page_tokens() const { return programs_->cache().page_tokens; }
  const models::Model& model() const { return model_; }
  const program::ProgramSet& programs() const { return *programs_; }
  const hal::Device& device() const { return *devices_.front(); }
  // "copy" or "map", and one line that says why.
  std::string_view load() const { return programs_->copies_weights() ? "copy" : "map"; }
  const std::string& load_reason() const { return load_reason_; }
  // Bytes that one token takes in the caches of all layers.
  uint64_t cache_bytes_per_token() const { return cache_bytes_per_token_; }
  // And what full keys and values of all heads, in bf16, would take in the same layers.
  uint64_t expanded_cache_bytes_per_token() const {
    return programs_->cache().layers.size() * static_cast<uint64_t>(model_.info().mha_cache_width) *
           SizeOf(DType::kBF16);
  }

 private:
  friend class Sequence;
  Runner(const models::Model& model, RunnerOptions options) : model_(model), options_(std::move(options)) {}
  absl::Status OpenDevices();
  absl::Status PlanPrograms(const program::TensorSource& source, program::ProgramOptions options);
  absl::Status CheckBudget() const;
  absl::Status Grow(Sequence& sequence, int64_t tokens);
  absl::Status OwnPages(Sequence& sequence, int64_t from);
  // The inputs of a step: BeginRows, then for each sequence AddRow for each of its rows, with their places in the
  // cache, its pages in the table, and EndRows with the rows that it has there with them.
  void BeginRows(int32_t bucket);
  void AddRow(int32_t id, int64_t position, int64_t page, int64_t row);
  void EndRows(int64_t length);
  program::Step Inputs() const;
  void FindDraftRows(Sequence& sequence) const;
  void CopyDraftRows(int32_t from, int32_t to);
  void MakeRoomForDrafts(Sequence& sequence, int64_t begin);
  int64_t DraftPage(Sequence& sequence, int64_t row);
  void KeepDraftRows(Sequence& sequence, int64_t rows);
  absl::Status CheckDraft(absl::Span<const DraftWork> work) const;
  absl::Status PrepareDraft(absl::Span<const DraftWork> work);
  absl::Status RunDraft(absl::Span<const DraftWork> work, int32_t made, program::StepObserver* observer);
  int64_t LogitRows(const Work& work) const;
  absl::StatusOr<int32_t> PickBucket(int64_t rows, int64_t seqs, int64_t logit_rows) const;

  const models::Model& model_;
  RunnerOptions options_;
  std::vector<std::shared_ptr<const hal::Device>> devices_;
  std::unique_ptr<program::Parameters> parameters_;
  std::unique_ptr<program::ProgramSet> programs_;
  std::unique_ptr<PagePool> pages_;
  uint64_t free_bytes_ = 0;  // that the device shares with the host; 0: unknown, or it has its own memory
  std::string load_reason_;
  int64_t context_ = 0;
  uint64_t cache_bytes_per_token_ = 0;
  int64_t logit_rows_ = 0;
  // Of the last step, by work: the position of its first token, its first row and their number.
  struct StepRows {
    int64_t position = 0;
    int32_t row = 0, rows = 0;
  };
  std::vector<StepRows> last_work_;
  uint64_t hidden_bytes_ = 0;      // of a row of `hidden_`; 0 without drafting
  std::vector<std::byte> hidden_;  // of the last step's rows, after the model's last norm
  // Reused by every draft: the hidden rows that go in; for each work how many drafts it gets, and which row of
  // the last run's logits is the one to go on from.
  std::vector<std::byte> draft_hidden_;
  std::vector<int32_t> draft_counts_;
  std::vector<size_t> draft_rows_;
  std::vector<int32_t> draft_filled_;  // by page: the layer's rows in it; empty without drafting
  // Reused by every step.
  int32_t bucket_ = 0;
  std::vector<int32_t> ids_, positions_, slots_, q_start_, kv_len_, table_, logit_index_;
};

}  // namespace qiao::engine
