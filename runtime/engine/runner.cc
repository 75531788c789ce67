#include "runtime/engine/runner.h"

#include <algorithm>
#include <utility>

#include "runtime/base/checked.h"

namespace qiao::engine {

Sequence::Sequence(Sequence&& other) noexcept { *this = std::move(other); }

Sequence& Sequence::operator=(Sequence&& other) noexcept {
  if (this == &other) return *this;
  Truncate(0);
  runner_ = std::exchange(other.runner_, nullptr);
  length_ = std::exchange(other.length_, 0);
  pages_ = std::exchange(other.pages_, {});
  draft_pages_ = std::exchange(other.draft_pages_, {});
  draft_rows_ = std::exchange(other.draft_rows_, 0);
  draft_end_ = std::exchange(other.draft_end_, 0);
  return *this;
}

Sequence::~Sequence() { Truncate(0); }

void Sequence::Truncate(int64_t length) {
  if (runner_ == nullptr || length > length_) return;
  length_ = std::max<int64_t>(length, 0);
  const auto keep = static_cast<size_t>(CeilDiv(length_, runner_->page_tokens()));
  while (pages_.size() > keep) {
    runner_->pages_->Release(pages_.back());
    pages_.pop_back();
  }
  TruncateDrafts();
}

Runner::~Runner() = default;

absl::Status Runner::Load(const Progress& progress) {
  if (options_.meta) return FailedPrecondition("a runner on the meta device only plans");
  if (options_.device.hooks.log) {
    options_.device.hooks.log(QIAO_LOG_INFO, absl::StrFormat("load %s: %s", load(), load_reason_));
  }
  QIAO_RETURN_IF_ERROR(programs_->Load(progress));
  pages_ = std::make_unique<PagePool>(programs_->cache().pages);
  if (options_.draft_tokens > 0) {
    const auto rows = static_cast<size_t>(programs_->buckets().back().rows);
    hidden_bytes_ = static_cast<uint64_t>(model_.info().hidden) * SizeOf(options_.numerics.activation);
    hidden_.resize(rows * hidden_bytes_);
    draft_hidden_.resize(rows * hidden_bytes_);
    draft_filled_.resize(static_cast<size_t>(pages_->size()));
  }
  return absl::OkStatus();
}

Sequence Runner::NewSequence() {
  Sequence sequence;
  sequence.runner_ = this;
  const auto most = static_cast<size_t>(CeilDiv(context_, page_tokens()));
  sequence.pages_.reserve(most);  // growing allocates nothing
  if (hidden_bytes_ > 0) sequence.draft_pages_.reserve(most);
  return sequence;
}

absl::Status Runner::CheckIds(absl::Span<const int32_t> ids) const {
  for (int32_t id : ids) {
    if (id < 0 || id >= model_.info().vocab)
      return InvalidArgument("token id %d is outside the vocabulary of %d", id, model_.info().vocab);
  }
  return absl::OkStatus();
}

absl::StatusOr<Sequence> Runner::Fork(const Sequence& sequence) {
  return Share(sequence.pages(), sequence.length());
}

absl::StatusOr<Sequence> Runner::Share(absl::Span<const int32_t> pages, int64_t length) {
  if (length < 0 || CeilDiv(length, page_tokens()) != static_cast<int64_t>(pages.size())) {
    return InvalidArgument("%d tokens do not lie in %d pages of %d", length, pages.size(), page_tokens());
  }
  Sequence shared = NewSequence();
  shared.length_ = length;
  shared.pages_.insert(shared.pages_.end(), pages.begin(), pages.end());
  for (int32_t page : pages) pages_->Hold(page);
  FindDraftRows(shared);
  return shared;
}

int64_t Runner::PagesToGrow(const Sequence& sequence, int64_t tokens) const {
  const int64_t have = static_cast<int64_t>(sequence.pages_.size());
  const bool own_copy =
      sequence.length_ % page_tokens() != 0 &&
      pages_->holders(sequence.pages_[static_cast<size_t>(sequence.length_ / page_tokens())]) > 1;
  return std::max<int64_t>(CeilDiv(sequence.length_ + tokens, page_tokens()) - have, 0) + (own_copy ? 1 : 0);
}

absl::Status Runner::Repeat(Sequence& sequence, int64_t length) {
  if (pages_ == nullptr) return FailedPrecondition("Load has not been called");
  if (sequence.runner_ != this || sequence.length_ == 0 || sequence.length_ % page_tokens() != 0 ||
      sequence.length_ > length) {
    return InvalidArgument("a sequence of %d tokens cannot be repeated to %d: it must be whole pages of %d",
                           sequence.length_, length, page_tokens());
  }
  const size_t have = sequence.pages_.size();
  QIAO_RETURN_IF_ERROR(Grow(sequence, length - sequence.length_));
  for (size_t i = have; i < sequence.pages_.size(); ++i) {
    if (absl::Status copied = programs_->CopyPage(sequence.pages_[i % have], sequence.pages_[i]);
        !copied.ok()) {
      sequence.Truncate(sequence.length_);
      return copied;
    }
    CopyDraftRows(sequence.pages_[i % have], sequence.pages_[i]);
  }
  sequence.length_ = length;
  FindDraftRows(sequence);
  return absl::OkStatus();
}

// Makes the pages from position `from` on the sequence's own.
absl::Status Runner::OwnPages(Sequence& sequence, int64_t from) {
  for (auto i = static_cast<size_t>(from / page_tokens()); i < sequence.pages_.size(); ++i) {
    int32_t& page = sequence.pages_[i];
    if (pages_->holders(page) == 1) continue;
    QIAO_ASSIGN_OR_RETURN(const int32_t own, pages_->Acquire());
    if (absl::Status copied = programs_->CopyPage(page, own); !copied.ok()) {
      pages_->Release(own);
      return copied;
    }
    CopyDraftRows(page, own);
    pages_->Release(std::exchange(page, own));
  }
  return absl::OkStatus();
}

// Makes room for `tokens` more, all of it or none: pages for the new tokens, and an own copy of a last page
// that is shared and would be written.
absl::Status Runner::Grow(Sequence& sequence, int64_t tokens) {
  if (sequence.length_ + tokens > context_) {
    return ResourceExhausted("%d tokens and %d more do not fit the context of %d; allow more with --ctx",
                             sequence.length_, tokens, context_);
  }
  if (const int64_t need = PagesToGrow(sequence, tokens); need > pages_->free()) {
    return ResourceExhausted(
        "%d more tokens take %d pages of the KV cache, and %d of its %d are free; allow more context (--ctx)",
        tokens, need, pages_->free(), pages_->size());
  }
  QIAO_RETURN_IF_ERROR(OwnPages(sequence, sequence.length_));
  const int64_t want = CeilDiv(sequence.length_ + tokens, page_tokens());
  while (static_cast<int64_t>(sequence.pages_.size()) < want) {
    QIAO_ASSIGN_OR_RETURN(const int32_t page, pages_->Acquire());
    sequence.pages_.push_back(page);
    if (!draft_filled_.empty()) draft_filled_[static_cast<size_t>(page)] = 0;
  }
  return absl::OkStatus();
}

absl::StatusOr<int32_t> Runner::PickBucket(int64_t rows, int64_t seqs, int64_t logit_rows) const {
  const auto buckets = programs_->buckets();
  for (size_t i = 0; i < buckets.size(); ++i) {
    if (rows <= buckets[i].rows && seqs <= buckets[i].seqs && logit_rows <= buckets[i].logit_rows) {
      return static_cast<int32_t>(i);
    }
  }
  return InvalidArgument(
      "a step of %d rows of %d sequences is more than the largest program takes (%d rows, %d sequences)",
      rows, seqs, buckets.back().rows, buckets.back().seqs);
}

int64_t Runner::LogitRows(const Work& work) const {
  const auto tokens = static_cast<int64_t>(work.tokens.size());
  return options_.all_logits && work.logits > 0 ? tokens : std::clamp<int64_t>(work.logits, 0, tokens);
}

absl::Status Runner::Step(absl::Span<const Work> work, program::StepObserver* observer) {
  if (pages_ == nullptr) return FailedPrecondition("Load has not been called");
  int64_t rows = 0, wanted = 0;
  for (const Work& w : work) {
    if (w.sequence == nullptr || w.sequence->runner_ != this || w.tokens.empty()) {
      return InvalidArgument("a step needs sequences of this runner, with at least one token each");
    }
    QIAO_RETURN_IF_ERROR(CheckIds(w.tokens));
    rows += static_cast<int64_t>(w.tokens.size());
    wanted += LogitRows(w);
  }
  QIAO_ASSIGN_OR_RETURN(int32_t bucket, PickBucket(rows, static_cast<int64_t>(work.size()), wanted));

  // Sequences that grew give their pages back when a later one cannot, or when the step fails.
  size_t grown = 0;
  absl::Status status;
  for (; grown < work.size() && status.ok(); ++grown) {
    status = Grow(*work[grown].sequence, static_cast<int64_t>(work[grown].tokens.size()));
  }
  auto shrink = [&] {
    for (size_t i = 0; i < grown; ++i) work[i].sequence->Truncate(work[i].sequence->length_);
  };
  if (!status.ok()) {
    shrink();
    return status;
  }

  BeginRows(bucket);
  for (const Work& w : work) {
    const Sequence& sequence = *w.sequence;
    const auto tokens = static_cast<int64_t>(w.tokens.size());
    for (int64_t t = 0; t < tokens; ++t) {
      if (tokens - t <= LogitRows(w)) logit_index_.push_back(static_cast<int32_t>(ids_.size()));
      const int64_t position = sequence.length_ + t;
      AddRow(w.tokens[static_cast<size_t>(t)], position,
             sequence.pages_[static_cast<size_t>(position / page_tokens())], position % page_tokens());
    }
    table_.insert(table_.end(), sequence.pages_.begin(), sequence.pages_.end());
    EndRows(sequence.length_ + tokens);
  }
  last_work_.clear();
  status = programs_->Run(Inputs(), observer);
  if (!status.ok()) {
    shrink();
    return status;
  }
  int32_t row = 0;
  for (const Work& w : work) {
    const auto tokens = static_cast<int32_t>(w.tokens.size());
    last_work_.push_back({w.sequence->length_, row, tokens});
    row += tokens;
    w.sequence->length_ += tokens;
  }
  if (hidden_bytes_ > 0) {
    const absl::Span<const std::byte> hidden = programs_->Output<std::byte>("hidden");
    std::copy(hidden.begin(), hidden.end(), hidden_.begin());
  }
  logit_rows_ = wanted;
  return absl::OkStatus();
}

void Runner::BeginRows(int32_t bucket) {
  bucket_ = bucket;
  for (auto* v : {&ids_, &positions_, &slots_, &q_start_, &kv_len_, &table_, &logit_index_}) v->clear();
  q_start_.push_back(0);
}

void Runner::AddRow(int32_t id, int64_t position, int64_t page, int64_t row) {
  ids_.push_back(id);
  positions_.push_back(static_cast<int32_t>(position));
  slots_.push_back(static_cast<int32_t>(page * page_tokens() + row));
}

void Runner::EndRows(int64_t length) {
  q_start_.push_back(static_cast<int32_t>(ids_.size()));
  kv_len_.push_back(static_cast<int32_t>(length));
  const auto width = static_cast<size_t>(programs_->buckets()[static_cast<size_t>(bucket_)].table_width);
  table_.resize(kv_len_.size() * width, 0);
}

program::Step Runner::Inputs() const {
  return {.bucket = bucket_,
          .ids = ids_,
          .positions = positions_,
          .slots = slots_,
          .q_start = q_start_,
          .kv_len = kv_len_,
          .table = table_,
          .logit_index = logit_index_};
}

absl::Status Runner::Prefill(Sequence& sequence, absl::Span<const int32_t> tokens, const ChunkFn& each,
                             program::StepObserver* observer) {
  if (sequence.length() + static_cast<int64_t>(tokens.size()) > context_) {
    return InvalidArgument("%d tokens do not fit: the context is %d and %d are in use; allow more with --ctx",
                           tokens.size(), context_, sequence.length());
  }
  const auto chunk = static_cast<size_t>(programs_->buckets().back().rows);
  for (size_t at = 0; at < tokens.size(); at += chunk) {
    const size_t n = std::min(chunk, tokens.size() - at);
    const Work work{&sequence, tokens.subspan(at, n), options_.all_logits || at + n == tokens.size() ? 1 : 0};
    QIAO_RETURN_IF_ERROR(Step({&work, 1}, observer));
    if (each) QIAO_RETURN_IF_ERROR(each(static_cast<int64_t>(at)));
    if (options_.draft_tokens > 0 && at + n < tokens.size()) {
      const DraftWork draft{.sequence = &sequence, .next = tokens.subspan(at + 1, n)};
      QIAO_RETURN_IF_ERROR(Draft({&draft, 1}, observer));
    }
  }
  return absl::OkStatus();
}

absl::Span<const float> Runner::Logits(int64_t i) const {
  const auto vocab = static_cast<size_t>(model_.info().vocab);
  return programs_->Output<float>("logits").subspan(static_cast<size_t>(i) * vocab, vocab);
}

int32_t Runner::Argmax(int64_t i) const {
  return programs_->Output<int32_t>("argmax")[static_cast<size_t>(i)];
}

}  // namespace qiao::engine
