// Runner::Draft: the model's MTP layer behind a step, and the drafts that it makes.
#include <algorithm>
#include <cstring>

#include "runtime/engine/runner.h"

namespace qiao::engine {

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
// has one, at the position that it would have.
absl::Status Runner::PrepareDraft(absl::Span<const DraftWork> work) {
  draft_rows_.assign(work.size(), 0);
  draft_counts_.clear();
  for (const DraftWork& w : work) {
    Sequence& sequence = *w.sequence;
    QIAO_RETURN_IF_ERROR(OwnPages(sequence, sequence.length_ - static_cast<int64_t>(w.next.size())));
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
      AddRow(*w.sequence, position, made > 0 ? w.out->back() : w.next[static_cast<size_t>(t)]);
    }
    EndRows(*w.sequence, end);
  }
  program::Step step = Inputs();
  step.graph = program::GraphKind::kDraft;
  step.hidden = absl::MakeConstSpan(draft_hidden_).first(ids_.size() * hidden_bytes_);
  QIAO_RETURN_IF_ERROR(programs_->Run(step, observer));
  const absl::Span<const int32_t> argmax = programs_->Output<int32_t>("argmax");
  for (size_t i = 0; i < work.size(); ++i) {
    if (draft_counts_[i] > made) work[i].out->push_back(argmax[draft_rows_[i]]);
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
