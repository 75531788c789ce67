// Drafts without a model: text that repeats itself is proposed to go on as it did before ("Prompt Lookup
// Decoding", Apoorv Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding).
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace qiao::engine {

// The index of one sequence's text. Not thread-safe. For each token of the text and each length of n-gram it
// keeps sixteen bytes at most; a token costs amortised constant time, and memory is only allocated when the
// text has doubled.
class PromptLookup {
 public:
  static constexpr int kMaxNgram = 8;

  // Looks for the last `max_ngram` tokens, then for fewer, down to one. Clamped to 1..kMaxNgram.
  explicit PromptLookup(int max_ngram = 3);

  // Sets `out` to at most `drafts` tokens that may follow `history`, prompt and answer so far: those that
  // followed the most recent earlier occurrence of its end, the longest n-gram that has one. Where that
  // occurrence is near the end, what follows it runs into the proposal itself, so that "a b a b a" goes on
  // with "b a b a". None where not even the last token occurred before. `history` must begin with that of the
  // call before; only what is new in it is read, besides candidates.
  void Propose(absl::Span<const int32_t> history, int drafts, std::vector<int32_t>& out);

  // Another text follows. Memory is kept.
  void Clear();

 private:
  // Where each n-gram of one length ends, the last time it occurred: an open-addressed hash table of
  // positions, -1 for none. The n-grams themselves are read from the history.
  struct Table {
    int n = 1;
    std::vector<int32_t> slots;
    size_t used = 0;
    int32_t earlier = -1;  // of the history's last n-gram: the occurrence before
  };
  static void Add(Table& table, absl::Span<const int32_t> history, int32_t end);
  static void Grow(Table& table, absl::Span<const int32_t> history);

  std::vector<Table> tables_;  // by length, the longest first
  size_t indexed_ = 0;         // tokens
};

}  // namespace qiao::engine
