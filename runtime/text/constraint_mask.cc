#include "runtime/text/constraint_mask.h"

#include <algorithm>
#include <climits>
#include <optional>

namespace qiao::text {
namespace {

constexpr size_t kMaxSets = 4096;  // of one walker: some 5 MB

void SetBits(std::span<const int32_t> tokens, std::span<uint32_t> bits) {
  for (const int32_t token : tokens) {
    bits[static_cast<size_t>(token) / 32] |= uint32_t{1} << (token % 32);
  }
}

}  // namespace

uint32_t TrieWalker::Intern(const ConfigurationSet& set) {
  const auto it = ids_.find(set);
  if (it != ids_.end()) return it->second;
  const auto id = static_cast<uint32_t>(sets_.size());
  auto known = std::make_unique<Known>();
  known->set = set;
  std::fill(std::begin(known->next), std::end(known->next), kUnknown);
  sets_.push_back(std::move(known));
  ids_.emplace(set, id);
  return id;
}

uint32_t TrieWalker::Find(uint32_t from, uint8_t byte) {
  if (sets_.size() >= std::max(kMaxSets, 2 * static_cast<size_t>(trie_.max_token_bytes()) + 2)) {
    Forget();
    from = path_.back();
  }
  Known& known = *sets_[from];
  if (!known.expanded) {
    machine_.Expand(known.set, &known.expansion);
    known.expanded = true;
  }
  ConfigurationSet next;
  machine_.Follow(&known.expansion, byte, &next);
  const uint32_t id = next.dead() ? kDead : Intern(next);
  sets_[from]->next[byte] = id;
  return id;
}

// Keeps only the sets of the path, and the stacks that they need.
void TrieWalker::Forget() {
  forgot_ = true;
  std::vector<ConfigurationSet> kept;
  for (const uint32_t id : path_) kept.push_back(sets_[id]->set);
  std::vector<ConfigurationSet*> pointers;
  for (ConfigurationSet& set : kept) pointers.push_back(&set);
  StackArena arena;
  CompactStacks(machine_.arena(), pointers, &arena);
  machine_.SetArena(std::move(arena));
  sets_.clear();
  ids_.clear();
  for (size_t i = 0; i < kept.size(); ++i) path_[i] = Intern(kept[i]);
}

void StateMask::AddTo(std::span<uint32_t> bits) const {
  for (size_t i = 0; i < words.size(); ++i) bits[i] |= words[i];
  SetBits(tokens, bits);
}

StateMask MakeStateMask(const Automaton& automaton, const TokenTrie& trie, uint32_t state) {
  StateMask out;
  TrieWalker walker(automaton, trie, INT_MAX);
  const uint32_t root = 0;
  walker.Walk(walker.machine().Begin(state), {&root, 1}, [&](uint32_t node, bool ended) {
    const std::span<const int32_t> tokens = trie.tokens(node);
    out.tokens.insert(out.tokens.end(), tokens.begin(), tokens.end());
    if (ended) out.returns.push_back(node);
  });
  if (out.tokens.size() > trie.mask_words()) {
    out.words.assign(trie.mask_words(), 0);
    SetBits(out.tokens, out.words);
    out.tokens = {};
  }
  out.tokens.shrink_to_fit();
  out.returns.shrink_to_fit();
  out.reach = walker.machine().reach();
  return out;
}

std::shared_ptr<const StateMask> MaskCache::Get(const Automaton& automaton, const TokenTrie& trie,
                                                uint32_t state) {
  // No token reaches a bound that is more bytes away than it has, so states that differ in such distances
  // only have one mask.
  constexpr uint64_t kGroup = uint64_t{1} << 40;
  const Counted counted = automaton.counted(state);
  const auto bytes = static_cast<uint32_t>(trie.max_token_bytes());
  Key key{trie.serial(), state};
  if (counted.group != Counted::kNone) {
    if (counted.to_min > bytes) {
      key.second = kGroup + 2 * uint64_t{counted.group};
    } else if (counted.to_min == 0 && counted.to_max > bytes) {
      key.second = kGroup + 2 * uint64_t{counted.group} + 1;
    }
  }
  {
    absl::MutexLock lock(&mutex_);
    if (const auto it = entries_.find(key); it != entries_.end()) {
      used_.splice(used_.begin(), used_, it->second);
      return it->second->mask;
    }
  }
  auto mask = std::make_shared<const StateMask>(MakeStateMask(automaton, trie, state));
  absl::MutexLock lock(&mutex_);
  if (const auto it = entries_.find(key); it != entries_.end()) return it->second->mask;
  if (mask->size_in_bytes() > max_bytes_) return mask;
  used_.push_front({key, mask});
  entries_[key] = used_.begin();
  bytes_ += mask->size_in_bytes();
  while (bytes_ > max_bytes_) {
    bytes_ -= used_.back().mask->size_in_bytes();
    entries_.erase(used_.back().key);
    used_.pop_back();
  }
  return mask;
}

size_t MaskCache::size_in_bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

size_t MaskCache::size() const {
  absl::MutexLock lock(&mutex_);
  return entries_.size();
}

void FillMask(const Automaton& automaton, const TokenTrie& trie, int max_stack, const StackArena& arena,
              const ConfigurationSet& set, MaskCache& cache, std::span<uint32_t> bits) {
  const auto mark = [&](uint32_t node, bool) { SetBits(trie.tokens(node), bits); };
  std::optional<TrieWalker> walker;
  bool exact = true;
  for (const Configuration& c : set.configurations) {
    const std::shared_ptr<const StateMask> mask = cache.Get(automaton, trie, c.state);
    exact = mask->reach <= max_stack - arena.depth(c.node);
    if (!exact) break;
    mask->AddTo(bits);
    if (c.node == StackArena::kBottom || mask->returns.empty()) continue;
    if (!walker || walker->forgot()) walker.emplace(automaton, trie, max_stack, arena);
    walker->Walk(walker->machine().Return(c.node), mask->returns, mark);
    exact = !walker->machine().pruned();
    if (!exact) break;
  }
  if (exact) return;
  // Near the stack's limit, what one configuration may do depends on the others that share its stack.
  std::fill(bits.begin(), bits.end(), 0);
  TrieWalker joint(automaton, trie, max_stack, arena);
  const uint32_t root = 0;
  joint.Walk(set, {&root, 1}, mark);
}

}  // namespace qiao::text
