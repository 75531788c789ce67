// Runs a constraint's automaton over bytes.
//
// A place in a text is a set of configurations: a state and the stack of calls under it. Stacks share their
// lower parts, and a rule called from several configurations at one byte is called once, with several frames
// to return to (the graph-structured stack of Tomita, 1985), so a set never has more configurations than the
// automaton has states times the calls in progress, however many readings the text has.
//
// A configuration whose call could not end within the stack's limit is never entered, so that every
// configuration of a set can reach the end.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "runtime/text/constraint_automaton.h"

namespace qiao::text {

// Where to go on when a call returns: a state, with the stack that it was called on.
struct Frame {
  uint32_t to, parent;
  friend auto operator<=>(const Frame&, const Frame&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Frame& f) {
    return H::combine(std::move(h), f.to, f.parent);
  }
};

// The stacks, as nodes that are numbered from 0, the empty stack. A parent has a smaller number than its
// child. Copyable.
class StackArena {
 public:
  static constexpr uint32_t kBottom = 0;

  StackArena() : nodes_{{0, 0, 0}} {}
  int depth(uint32_t node) const { return static_cast<int>(nodes_[node].depth); }
  std::span<const Frame> frames(uint32_t node) const {
    return {frames_.data() + nodes_[node].begin, nodes_[node].count};
  }
  uint32_t Add(std::span<const Frame> frames);
  uint32_t size() const { return static_cast<uint32_t>(nodes_.size()); }
  size_t size_in_bytes() const { return nodes_.size() * sizeof(Node) + frames_.size() * sizeof(Frame); }

 private:
  struct Node {
    uint32_t begin, count, depth;
  };
  std::vector<Node> nodes_;
  std::vector<Frame> frames_;
};

struct Configuration {
  uint32_t state, node;
  friend auto operator<=>(const Configuration&, const Configuration&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Configuration& c) {
    return H::combine(std::move(h), c.state, c.node);
  }
};

// Sorted, without doubles. What can return has returned: the frames' states are in the set, too.
struct ConfigurationSet {
  std::vector<Configuration> configurations;
  bool ended = false;  // the whole text, or for masks the rule at the bottom, may end here
  bool dead() const { return configurations.empty() && !ended; }
  friend bool operator==(const ConfigurationSet&, const ConfigurationSet&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const ConfigurationSet& s) {
    return H::combine(std::move(h), s.configurations, s.ended);
  }
};

// Copies what `sets` need of `from` into *to and renumbers the sets.
void CompactStacks(const StackArena& from, std::span<ConfigurationSet* const> sets, StackArena* to);

// One thread at a time. `automaton` must outlive it.
class Machine {
 public:
  // The states that a set can be in before it reads a byte, with stacks that are not yet in the arena.
  struct Expansion {
    struct Call {
      std::vector<Frame> frames;  // with references for parents
      int depth = 0;
      uint32_t node = UINT32_MAX;  // in the arena, once it is there
    };
    std::vector<Configuration> items;  // with references for nodes
    std::vector<Call> calls;
  };

  Machine(const Automaton& automaton, int max_stack, StackArena arena = {})
      : automaton_(automaton), max_stack_(max_stack), arena_(std::move(arena)) {}

  ConfigurationSet Begin(uint32_t state);
  // What returns from `node` leads to: the set at the moment of return.
  ConfigurationSet Return(uint32_t node);
  void Expand(const ConfigurationSet& set, Expansion* out);
  // The set after `byte`; `expansion` is that of the set before. Fills *out.
  void Follow(Expansion* expansion, uint8_t byte, ConfigurationSet* out);

  // Whether any byte leads on from `expansion`.
  bool CanRead(const Expansion& expansion);

  const StackArena& arena() const { return arena_; }
  void SetArena(StackArena arena);
  // A way was given up because of the stack's limit, since the start.
  bool pruned() const { return pruned_; }
  // The largest height that anything tried so far asks for, beyond which no limit matters.
  int reach() const { return reach_; }

 private:
  static constexpr uint32_t kPending = uint32_t{1} << 31;  // a reference to Expansion::calls

  bool Fits(int height);
  int Height(const Expansion& expansion, uint32_t reference) const {
    return reference & kPending ? expansion.calls[reference & ~kPending].depth : arena_.depth(reference);
  }
  uint32_t Resolve(Expansion* expansion, uint32_t reference);
  void Land(Configuration at, ConfigurationSet* out);
  void Sort(ConfigurationSet* out);

  const Automaton& automaton_;
  int max_stack_;
  StackArena arena_;
  absl::flat_hash_map<std::vector<Frame>, uint32_t> known_;  // frames to node
  absl::flat_hash_set<Configuration> seen_;
  std::vector<Configuration> landing_;
  bool pruned_ = false;
  int reach_ = 0;
};

}  // namespace qiao::text
