// Runner::Draft: the model's MTP layer behind a step, and the drafts that it makes.
#include <algorithm>
#include <cstring>

#include "runtime/base/checked.h"
#include "runtime/engine/runner.h"

namespace qiao::engine {

void Sequence::TruncateDrafts() {
  if (length_ < draft_end_) draft_rows_ = std::max<int64_t>(draft_rows_ - (draft_end_ - length_), 0);
  draft_end_ = std::min(draft_end_, length_);
  const int64_t page = runner_->page_tokens();
  while (!draft_pages_.empty() && (draft_pages_.back() >= static_cast<int32_t>(pages_.size()) ||
                                   static_cast<int64_t>(draft_pages_.size()) > CeilDiv(draft_rows_, page))) {
    draft_pages_.pop_back();
  }
  draft_rows_ = std::min(draft_rows_, static_cast<int64_t>(draft_pages_.size()) * page);
}

// Of pages that others may hold: the full ones, and what the last has, which is copied before it is written.
void Runner::FindDraftRows(Sequence& sequence) const {
  if (draft_filled_.empty()) return;
  sequence.draft_pages_.clear();
  sequence.draft_rows_ = 0;
  sequence.draft_end_ = sequence.length_;
  for (size_t i = 0; i < sequence.pages_.size(); ++i) {
    const int64_t tokens = sequence.length_ - static_cast<int64_t>(i) * page_tokens();
    const int64_t rows = std::min<int64_t>(draft_filled_[static_cast<size_t>(sequence.pages_[i])], tokens);
    if (rows == 0 || (rows < page_tokens() && tokens >= page_tokens())) continue;
    sequence.draft_pages_.push_back(static_cast<int32_t>(i));
    sequence.draft_rows_ += rows;
  }
}

void Runner::CopyDraftRows(int32_t from, int32_t to) {
  if (draft_filled_.empty()) return;
  draft_filled_[static_cast<size_t>(to)] = draft_filled_[static_cast<size_t>(from)];
}

// The next rows are those of the positions from `begin` on, and no page is written that others hold: those from
// that of `begin` on are the sequence's own.
void Runner::MakeRoomForDrafts(Sequence& sequence, int64_t begin) {
  if (begin < sequence.draft_end_) {
    sequence.draft_rows_ = std::max<int64_t>(sequence.draft_rows_ - (sequence.draft_end_ - begin), 0);
    sequence.draft_end_ = begin;
  }
  std::vector<int32_t>& pages = sequence.draft_pages_;
  pages.resize(static_cast<size_t>(CeilDiv(sequence.draft_rows_, page_tokens())));
  if (const int64_t last = sequence.draft_rows_ % page_tokens();
      last > 0 && pages_->holders(sequence.pages_[static_cast<size_t>(pages.back())]) > 1) {
    pages.pop_back();
    sequence.draft_rows_ -= last;
  }
}

// The page of the layer's row `row`, the next one or one behind those that were asked for. The row never lies behind
// the place of its position.
int64_t Runner::DraftPage(Sequence& sequence, int64_t row) {
  std::vector<int32_t>& pages = sequence.draft_pages_;
  const auto at = static_cast<size_t>(row / page_tokens());
  if (at == pages.size()) {
    int32_t next = pages.empty() ? 0 : pages.back() + 1;
    while (pages_->holders(sequence.pages_[static_cast<size_t>(next)]) > 1) ++next;
    pages.push_back(next);
  }
  return sequence.pages_[static_cast<size_t>(pages[at])];
}

// So many rows were added, those of the sequence's last tokens.
void Runner::KeepDraftRows(Sequence& sequence, int64_t rows) {
  const int64_t first = sequence.draft_rows_ / page_tokens();
  sequence.draft_rows_ += rows;
  sequence.draft_end_ = sequence.length_;
  for (int64_t i = first; i * page_tokens() < sequence.draft_rows_; ++i) {
    const int32_t page = sequence.pages_[static_cast<size_t>(sequence.draft_pages_[static_cast<size_t>(i)])];
    draft_filled_[static_cast<size_t>(page)] =
        static_cast<int32_t>(std::min(page_tokens(), sequence.draft_rows_ - i * page_tokens()));
  }
}

absl::Status Runner::CheckDraft(absl::Span<const DraftWork> work) const {
  if (pages_ == nullptr) return FailedPrecondition("Load has not been called");
  if (options_.draft_tokens == 0)
    return FailedPrecondition("the MTP layer is not loaded: draft_tokens was 0 when the runner was planned");
  for (const DraftWork& w : work) {
    if (w.sequence == nullptr || w.sequence->runner_ != this || w.next.empty())
      return InvalidArgument("a draft needs sequences of this runner, with at least one token each");
    if (w.work < 0 || w.work >= static_cast<int32_t>(last_work_.size()))
      return InvalidArgument("the last step had %d works, not a work %d", last_work_.size(), w.work);
    const StepRows& rows = last_work_[static_cast<size_t>(w.work)];
    const int64_t end = w.sequence->length_, begin = end - static_cast<int64_t>(w.next.size());
    if (begin < rows.position || end > rows.position + rows.rows) {
      return InvalidArgument(
          "a draft from tokens %d..%d of a sequence, but work %d of the last step appended %d..%d", begin,
          end, w.work, rows.position, rows.position + rows.rows);
    }
    if (w.drafts < 0 || w.drafts > options_.draft_tokens || (w.drafts > 0 && w.out == nullptr)) {
      return InvalidArgument("%d drafts were asked for; draft_tokens allows %d, and they need a place to go",
                             w.drafts, options_.draft_tokens);
    }
    QIAO_RETURN_IF_ERROR(CheckIds(w.next));
  }
  return absl::OkStatus();
}

// Decides how many drafts each work gets, and makes room for the rows that they leave: each draft but the last
// has one, behind those that stay.
absl::Status Runner::PrepareDraft(absl::Span<const DraftWork> work) {
  draft_rows_.assign(work.size(), 0);
  draft_counts_.clear();
  for (const DraftWork& w : work) {
    Sequence& sequence = *w.sequence;
    const int64_t begin = sequence.length_ - static_cast<int64_t>(w.next.size());
    QIAO_RETURN_IF_ERROR(OwnPages(sequence, begin));
    MakeRoomForDrafts(sequence, begin);
    auto count = static_cast<int32_t>(std::clamp<int64_t>(context_ - sequence.length_ - 1, 0, w.drafts));
    while (count > 1 && !Grow(sequence, count - 1).ok()) --count;
    draft_counts_.push_back(count);
    if (w.out != nullptr) w.out->clear();
  }
  return absl::OkStatus();
}

// One run of the layer. The first, with `made` 0, takes the rows of the last step, the others the draft that
// the run before made, for the works that want more.
absl::Status Runner::RunDraft(absl::Span<const DraftWork> work, int32_t made,
                              program::StepObserver* observer) {
  int64_t rows = 0, sequences = 0, wanted = 0;
  const auto takes_part = [&](size_t i) { return made == 0 || draft_counts_[i] > made; };
  const auto rows_of = [&](size_t i) { return made == 0 ? static_cast<int64_t>(work[i].next.size()) : 1; };
  const auto logits_of = [&](size_t i) {
    return options_.all_logits ? rows_of(i) : int64_t{draft_counts_[i] > made};
  };
  for (size_t i = 0; i < work.size(); ++i) {
    if (!takes_part(i)) continue;
    ++sequences;
    rows += rows_of(i);
    wanted += logits_of(i);
  }
  if (rows == 0) return absl::OkStatus();
  QIAO_ASSIGN_OR_RETURN(const int32_t bucket, PickBucket(rows, sequences, wanted));

  BeginRows(bucket);
  const std::byte* drafted = made > 0 ? programs_->Output<std::byte>("hidden").data() : nullptr;
  for (size_t i = 0; i < work.size(); ++i) {
    if (!takes_part(i)) continue;
    const DraftWork& w = work[i];
    const StepRows& step = last_work_[static_cast<size_t>(w.work)];
    const int64_t n = rows_of(i), end = w.sequence->length_ + made;
    // The rows of the first run are kept, those of the drafts so far follow them.
    const int64_t before = w.sequence->draft_rows_ + (made > 0 ? made - 1 : 0);
    for (int64_t t = 0; t < n; ++t) {
      const int64_t position = end - n + t;
      const std::byte* from =
          made > 0
              ? drafted + draft_rows_[i] * hidden_bytes_
              : hidden_.data() + static_cast<uint64_t>(step.row + position - step.position) * hidden_bytes_;
      std::memcpy(draft_hidden_.data() + ids_.size() * hidden_bytes_, from, hidden_bytes_);
      if (n - t <= logits_of(i)) {
        draft_rows_[i] = logit_index_.size();
        logit_index_.push_back(static_cast<int32_t>(ids_.size()));
      }
      const int64_t row = before + t;
      AddRow(made > 0 ? w.out->back() : w.next[static_cast<size_t>(t)], position, DraftPage(*w.sequence, row),
             row % page_tokens());
    }
    for (const int32_t page : w.sequence->draft_pages_)
      table_.push_back(w.sequence->pages_[static_cast<size_t>(page)]);
    EndRows(before + n);
  }
  program::Step step = Inputs();
  step.graph = program::GraphKind::kDraft;
  step.hidden = absl::MakeConstSpan(draft_hidden_).first(ids_.size() * hidden_bytes_);
  QIAO_RETURN_IF_ERROR(programs_->Run(step, observer));
  const absl::Span<const int32_t> argmax = programs_->Output<int32_t>("argmax");
  for (size_t i = 0; i < work.size(); ++i) {
    if (made == 0) KeepDraftRows(*work[i].sequence, rows_of(i));
    if (draft_counts_[i] <= made) continue;
    const int32_t draft = argmax[draft_rows_[i]];
    if (draft >= 0) {
      work[i].out->push_back(draft);
    } else {
      draft_counts_[i] = made;  // no number is the largest
    }
  }
  return absl::OkStatus();
}

absl::Status Runner::Draft(absl::Span<const DraftWork> work, program::StepObserver* observer) {
  QIAO_RETURN_IF_ERROR(CheckDraft(work));
  absl::Status status = PrepareDraft(work);
  if (status.ok()) logit_rows_ = 0;
  for (int32_t made = 0; status.ok(); ++made) {
    const bool more =
        std::any_of(draft_counts_.begin(), draft_counts_.end(), [&](int32_t count) { return count > made; });
    if (made > 0 && !more) break;
    status = RunDraft(work, made, observer);
  }
  // The pages behind the sequences' ends held rows of drafts, which nothing reads again.
  for (const DraftWork& w : work) w.sequence->Truncate(w.sequence->length_);
  return status;
}

}  // namespace qiao::engine
