// Who runs and who waits: the scheduler's dealings with cache pages.
#include <algorithm>
#include <utility>

#include "runtime/base/checked.h"
#include "runtime/engine/no_throw.h"
#include "runtime/engine/scheduler.h"

namespace qiao::engine {
namespace {

// The first that waits for pages may be passed so often by others that need fewer, and so many are looked at.
constexpr int32_t kMostPassed = 32;
constexpr size_t kMostLookedAt = 64;

}  // namespace

void Scheduler::Admit() {
  if (waiting_.empty() || running_.size() >= static_cast<size_t>(options_.sequences)) return;
  // What those that run will still need counts as gone: the rest of their prompts, and a page to go on.
  int64_t available = runner_.pages()->free() + (prefixes_ == nullptr ? 0 : prefixes_->evictable());
  for (const ActivePtr& active : running_) {
    if (active->forks) continue;
    available -= 1 + runner_.PagesToGrow(active->sequence, active->remaining());
  }
  for (size_t i = 0; i < std::min(waiting_.size(), kMostLookedAt);) {
    if (Above(*waiting_.front(), *waiting_[i])) break;
    if (i > 0 && passed_ >= kMostPassed) break;
    const absl::StatusOr<bool> admitted = NoThrow([&] { return TryAdmit(*waiting_[i], available); });
    waiting_[i]->failure = admitted.status();  // one that fails runs, and is retired
    if (admitted.ok() && !*admitted) {
      ++i;
      continue;
    }
    passed_ = i == 0 ? 0 : passed_ + 1;
    ActivePtr active = std::move(waiting_[i]);
    waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i));
    InsertInOrder(running_, std::move(active));
    if (running_.size() >= static_cast<size_t>(options_.sequences)) break;
  }
}

absl::StatusOr<bool> Scheduler::TryAdmit(Active& active, int64_t& available) {
  Request& request = active.request();
  const bool first_time = request.started == Clock::time_point();
  const int32_t choices = first_time ? request.spec.n : 1;
  if (running_.size() + static_cast<size_t>(choices) > static_cast<size_t>(options_.sequences)) return false;

  const absl::Span<const int32_t> tokens = active.stream->tokens();
  PrefixTree::Match match;
  // The last token is always computed: its logits are wanted. So is every one of a prompt that is to be scored,
  // once.
  int64_t useful = static_cast<int64_t>(tokens.size()) - 1;
  if (active.scores()) useful = std::min(useful, request.scored);
  if (prefixes_ != nullptr) match = prefixes_->Find(tokens.first(static_cast<size_t>(useful)));
  if (prefixes_ != nullptr && !active.scores() && WillBeKnown(active, match.length)) return false;
  const int64_t page_tokens = runner_.page_tokens();
  const auto length = static_cast<int64_t>(tokens.size());
  int64_t need = CeilDiv(length + 1, page_tokens) - match.length / page_tokens;
  // Cached pages that it takes over can no longer be given up.
  for (int32_t page : match.pages) need += runner_.pages()->holders(page) == 1 ? 1 : 0;
  if (need > available && !running_.empty()) return false;

  QIAO_ASSIGN_OR_RETURN(active.sequence, runner_.Share(match.pages, match.length));
  available -= need;
  if (!first_time) return true;
  request.started = Clock::now();
  request.result.cached_tokens = match.length;
  stats_.cached_tokens += match.length;
  for (int32_t choice = 1; choice < choices; ++choice) {
    auto fork = std::make_unique<Active>();
    fork->stream = std::make_unique<Stream>(request, choice, tokenizer_);
    fork->forks = true;
    InsertInOrder(running_, std::move(fork));
  }
  return true;
}

// Whether somebody is just reading more of the same prompt than the first `known` tokens, by a page at least: then
// it is better to wait for him than to read it too.
bool Scheduler::WillBeKnown(const Active& active, int64_t known) const {
  absl::Span<const int32_t> mine = active.stream->tokens();
  mine.remove_suffix(1);
  for (const ActivePtr& other : running_) {
    if (!other->ready() || other->decodes()) continue;
    const int64_t common = CommonBeginning(mine, other->stream->tokens());
    if (common - common % runner_.page_tokens() > known) return true;
  }
  return false;
}

// Whether the step can have the pages that running_[index] takes beside `pages` that others take. Where there
// are too few: cached prefixes go first, then those that came later, then a part of its own prompt.
bool Scheduler::FindPages(size_t index, int64_t pages) {
  Active& active = *running_[index];
  for (;;) {
    const int64_t room = runner_.pages()->free() - pages;
    if (runner_.PagesToGrow(active.sequence, active.planned) <= room) return true;
    if (prefixes_ != nullptr && prefixes_->Evict()) continue;
    if (active.decodes() && active.planned > 1) {
      active.planned = 1;  // drafts are not worth anybody's pages
      continue;
    }
    size_t victim = running_.size() - 1;
    while (victim > index && running_[victim]->sequence.pages().empty()) --victim;
    if (victim > index) {
      Preempt(victim);
      continue;
    }
    while (active.planned > 0 && runner_.PagesToGrow(active.sequence, active.planned) > room)
      --active.planned;
    if (active.planned > 0) return true;
    const bool alone = std::none_of(running_.begin(), running_.begin() + static_cast<ptrdiff_t>(index),
                                    [](const ActivePtr& a) { return !a->sequence.pages().empty(); });
    if (!alone) return false;  // those before it will end
    // What the tree shares with it, it would have to copy.
    if (prefixes_ != nullptr && prefixes_->pages() > 0) {
      prefixes_->Clear();
      active.planned = 1;
      continue;
    }
    if (active.stream->generated() > 0) {
      active.failure = active.stream->End(qiao::Finish::kContext);
    } else {
      active.failure =
          ResourceExhausted("a prompt of %d tokens does not fit the cache's %d pages of %d tokens",
                            active.stream->tokens().size(), runner_.pages()->size(), runner_.page_tokens());
    }
    return false;
  }
}

void Scheduler::Preempt(size_t index) {
  ActivePtr active = std::move(running_[index]);
  running_.erase(running_.begin() + static_cast<ptrdiff_t>(index));
  Remember(*active, /*whole=*/true);
  active->sequence = Sequence();
  active->planned = 0;
  ++active->request().result.preemptions;
  ++stats_.preemptions;
  InsertInOrder(waiting_, std::move(active));
}

}  // namespace qiao::engine
