// Where the scheduler's drafts come from.
#include "absl/strings/str_format.h"
#include "runtime/engine/no_throw.h"
#include "runtime/engine/scheduler.h"

namespace qiao::engine {

// Without drafts everything is right, only slower: what fails here is said and forgotten.
void Scheduler::Draft(absl::Span<Active* const> actives) {
  if (options_.drafter == Drafter::kNone) return;
  for (Active* active : actives) active->drafts.clear();
  const absl::Status status = NoThrow([&]() -> absl::Status {
    if (options_.drafter == Drafter::kMtp) return DraftByMtp(actives);
    for (Active* active : actives) {
      if (guesses_ == 0 || active->stream->finished() || !active->decodes()) continue;
      if (!active->lookup) active->lookup.emplace();
      active->lookup->Propose(active->stream->tokens(), guesses_, active->drafts);
    }
    return absl::OkStatus();
  });
  if (status.ok()) return;
  for (Active* active : actives) active->drafts.clear();
  if (options_.log) options_.log(absl::StrFormat("no drafts in this step: %s", Message(status)));
}

// Prompts fill the layer's cache in any case; while drafting does not pay, answers do not.
absl::Status Scheduler::DraftByMtp(absl::Span<Active* const> actives) {
  draft_work_.clear();
  for (size_t i = 0; i < actives.size(); ++i) {
    Active& active = *actives[i];
    if (active.stream->finished() || !active.failure.ok() || (active.answers && guesses_ == 0)) continue;
    const absl::Span<const int32_t> tokens = active.stream->tokens();
    const auto length = static_cast<size_t>(active.sequence.length());
    const auto begin = static_cast<size_t>(runner_.step_position(static_cast<int32_t>(i)));
    DraftWork work;
    work.sequence = &active.sequence;
    work.work = static_cast<int32_t>(i);
    work.next = tokens.subspan(begin + 1, length - begin);
    work.drafts = active.decodes() ? guesses_ : 0;
    work.out = &active.drafts;
    draft_work_.push_back(work);
  }
  return draft_work_.empty() ? absl::OkStatus() : runner_.Draft(draft_work_);
}

}  // namespace qiao::engine
