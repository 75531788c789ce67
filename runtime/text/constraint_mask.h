// Token masks: which tokens of a vocabulary a place in a constraint's automaton allows.
//
// A set of configurations allows what any of them allows, so masks are kept for single states, whatever stack
// is under them: the tokens that stay within the state's rule, and the trie's nodes at which the rule may
// return. Below those, the walk goes on with the stack at hand. The states of one JSON string thus share one
// mask, however deep the string lies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "runtime/text/constraint_automaton.h"
#include "runtime/text/constraint_machine.h"
#include "runtime/text/token_trie.h"

namespace qiao::text {

// Walks a trie along an automaton, which it makes deterministic on the way; the sets found are kept in a
// table of bounded size. One thread at a time; what it is given must outlive it.
class TrieWalker {
 public:
  TrieWalker(const Automaton& automaton, const TokenTrie& trie, int max_stack, StackArena arena = {})
      : trie_(trie), machine_(automaton, max_stack, std::move(arena)) {}

  // Calls visit(node, ended) for each node strictly below one of `roots` whose bytes from its root the set
  // allows; `ended`: the bottom rule may end there. `start` is of machine(), and void once forgot() is true.
  template <typename Visit>
  void Walk(const ConfigurationSet& start, std::span<const uint32_t> roots, Visit visit) {
    path_.assign(1, Intern(start));
    for (const uint32_t root : roots) {
      const size_t base = trie_.nodes()[root].depth;
      for (uint32_t n = root + 1; n < trie_.nodes()[root].end;) {
        const TokenTrie::Node& node = trie_.nodes()[n];
        path_.resize(node.depth - base);
        const uint32_t next = Next(path_.back(), node.byte);
        if (next == kDead) {
          n = node.end;
          continue;
        }
        path_.push_back(next);
        visit(n, sets_[next]->set.ended);
        ++n;
      }
      path_.resize(1);
    }
  }

  Machine& machine() { return machine_; }
  // The table was full and has been cleared, and the stacks were renumbered.
  bool forgot() const { return forgot_; }

 private:
  static constexpr uint32_t kUnknown = UINT32_MAX, kDead = UINT32_MAX - 1;
  struct Known {
    ConfigurationSet set;
    Machine::Expansion expansion;
    bool expanded = false;
    uint32_t next[256];
  };

  uint32_t Next(uint32_t from, uint8_t byte) {
    const uint32_t next = sets_[from]->next[byte];
    return next == kUnknown ? Find(from, byte) : next;
  }
  uint32_t Find(uint32_t from, uint8_t byte);
  uint32_t Intern(const ConfigurationSet& set);
  void Forget();

  const TokenTrie& trie_;
  Machine machine_;
  std::vector<std::unique_ptr<Known>> sets_;
  absl::flat_hash_map<ConfigurationSet, uint32_t> ids_;
  std::vector<uint32_t> path_;  // the sets of the nodes from the root to the one at hand
  bool forgot_ = false;
};

// What one state allows. Immutable.
struct StateMask {
  std::vector<uint32_t> words;    // dense, of TokenTrie::mask_words(); or empty, and
  std::vector<int32_t> tokens;    // the tokens one by one
  std::vector<uint32_t> returns;  // the trie's nodes at which the rule may return
  int reach = 0;                  // the mask holds where the stack may still grow by so much
  size_t size_in_bytes() const {
    return sizeof *this + words.capacity() * 4 + tokens.capacity() * 4 + returns.capacity() * 4;
  }
  void AddTo(std::span<uint32_t> bits) const;
};

StateMask MakeStateMask(const Automaton& automaton, const TokenTrie& trie, uint32_t state);

// Masks by state and trie, least recently used first out. Thread-safe; two threads may make the same mask,
// and one of them is kept.
class MaskCache {
 public:
  explicit MaskCache(size_t max_bytes) : max_bytes_(max_bytes) {}
  std::shared_ptr<const StateMask> Get(const Automaton& automaton, const TokenTrie& trie, uint32_t state);
  size_t size_in_bytes() const;
  size_t size() const;

 private:
  using Key = std::pair<uint64_t, uint64_t>;
  struct Entry {
    Key key;
    std::shared_ptr<const StateMask> mask;
  };
  const size_t max_bytes_;
  mutable absl::Mutex mutex_;
  std::list<Entry> used_ ABSL_GUARDED_BY(mutex_);  // last used first
  absl::flat_hash_map<Key, std::list<Entry>::iterator> entries_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Sets the bits that `set` allows; `bits` has TokenTrie::mask_words() words, zero on entry.
void FillMask(const Automaton& automaton, const TokenTrie& trie, int max_stack, const StackArena& arena,
              const ConfigurationSet& set, MaskCache& cache, std::span<uint32_t> bits);

}  // namespace qiao::text
