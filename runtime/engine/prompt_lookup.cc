#include "runtime/engine/prompt_lookup.h"

#include <algorithm>
#include <utility>

#include "runtime/base/split_mix.h"

namespace qiao::engine {
namespace {

constexpr size_t kFirstSlots = 64;

absl::Span<const int32_t> Ngram(absl::Span<const int32_t> history, int32_t end, int n) {
  return history.subspan(static_cast<size_t>(end - n + 1), static_cast<size_t>(n));
}

// Ids are small numbers and need spreading.
size_t Hash(absl::Span<const int32_t> ngram) {
  uint64_t h = 0;
  for (int32_t id : ngram) h = SplitMix64(h + static_cast<uint32_t>(id));
  return static_cast<size_t>(h);
}

// The slot of the n-gram that ends at `end`: the one that holds it, or the free one where it belongs.
int32_t& Slot(std::vector<int32_t>& slots, absl::Span<const int32_t> history, int32_t end, int n) {
  const absl::Span<const int32_t> ngram = Ngram(history, end, n);
  const size_t mask = slots.size() - 1;
  for (size_t i = Hash(ngram) & mask;; i = (i + 1) & mask) {
    if (slots[i] < 0 || Ngram(history, slots[i], n) == ngram) return slots[i];
  }
}

}  // namespace

PromptLookup::PromptLookup(int max_ngram) {
  for (int n = std::clamp(max_ngram, 1, kMaxNgram); n >= 1; --n) {
    Table& table = tables_.emplace_back();
    table.n = n;
    table.slots.assign(kFirstSlots, -1);
  }
}

void PromptLookup::Clear() {
  indexed_ = 0;
  for (Table& table : tables_) {
    std::fill(table.slots.begin(), table.slots.end(), -1);
    table.used = 0;
    table.earlier = -1;
  }
}

void PromptLookup::Grow(Table& table, absl::Span<const int32_t> history) {
  std::vector<int32_t> old(table.slots.size() * 2, -1);
  old.swap(table.slots);
  for (int32_t end : old) {
    if (end >= 0) Slot(table.slots, history, end, table.n) = end;
  }
}

void PromptLookup::Add(Table& table, absl::Span<const int32_t> history, int32_t end) {
  if (end + 1 < table.n) return;
  if (table.used * 2 >= table.slots.size()) Grow(table, history);
  int32_t& slot = Slot(table.slots, history, end, table.n);
  table.earlier = std::exchange(slot, end);
  if (table.earlier < 0) ++table.used;
}

void PromptLookup::Propose(absl::Span<const int32_t> history, int drafts, std::vector<int32_t>& out) {
  out.clear();
  for (; indexed_ < history.size(); ++indexed_) {
    for (Table& table : tables_) Add(table, history, static_cast<int32_t>(indexed_));
  }
  const auto found =
      std::find_if(tables_.begin(), tables_.end(), [](const Table& table) { return table.earlier >= 0; });
  if (found == tables_.end()) return;
  for (auto from = static_cast<size_t>(found->earlier) + 1; static_cast<int>(out.size()) < drafts; ++from) {
    out.push_back(from < history.size() ? history[from] : out[from - history.size()]);
  }
}

}  // namespace qiao::engine
