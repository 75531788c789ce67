#include "runtime/text/constraint_machine.h"

#include <algorithm>
#include <queue>

namespace qiao::text {

uint32_t StackArena::Add(std::span<const Frame> frames) {
  uint32_t depth = 0;
  for (const Frame& f : frames) depth = std::max(depth, nodes_[f.parent].depth + 1);
  nodes_.push_back({static_cast<uint32_t>(frames_.size()), static_cast<uint32_t>(frames.size()), depth});
  frames_.insert(frames_.end(), frames.begin(), frames.end());
  return size() - 1;
}

void CompactStacks(const StackArena& from, std::span<ConfigurationSet* const> sets, StackArena* to) {
  std::vector<uint32_t> renumbered(from.size(), UINT32_MAX);
  renumbered[StackArena::kBottom] = StackArena::kBottom;
  constexpr uint32_t kWanted = UINT32_MAX - 1;
  for (const ConfigurationSet* set : sets) {
    for (const Configuration& c : set->configurations) {
      if (c.node != StackArena::kBottom) renumbered[c.node] = kWanted;
    }
  }
  // Parents come first in the numbering, so marking goes down and copying goes up.
  for (uint32_t n = from.size(); n-- > 1;) {
    if (renumbered[n] != kWanted) continue;
    for (const Frame& f : from.frames(n)) {
      if (f.parent != StackArena::kBottom) renumbered[f.parent] = kWanted;
    }
  }
  *to = StackArena();
  std::vector<Frame> frames;
  for (uint32_t n = 1; n < from.size(); ++n) {
    if (renumbered[n] != kWanted) continue;
    frames.assign(from.frames(n).begin(), from.frames(n).end());
    for (Frame& f : frames) f.parent = renumbered[f.parent];
    renumbered[n] = to->Add(frames);
  }
  for (ConfigurationSet* set : sets) {
    for (Configuration& c : set->configurations) c.node = renumbered[c.node];
    std::sort(set->configurations.begin(), set->configurations.end());
  }
}

void Machine::SetArena(StackArena arena) {
  arena_ = std::move(arena);
  known_.clear();
}

bool Machine::Fits(int height) {
  reach_ = std::max(reach_, height);
  if (height <= max_stack_) return true;
  pruned_ = true;
  return false;
}

void Machine::Sort(ConfigurationSet* out) {
  auto& all = out->configurations;
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
}

// Adds a configuration and, where its rule may end here, what it returns to.
void Machine::Land(Configuration at, ConfigurationSet* out) {
  landing_.assign(1, at);
  while (!landing_.empty()) {
    const Configuration c = landing_.back();
    landing_.pop_back();
    if (!seen_.insert(c).second) continue;
    if (!automaton_.final(c.state)) out->configurations.push_back(c);
    if (!automaton_.nullable(c.state)) continue;
    if (c.node == StackArena::kBottom) out->ended = true;
    for (const Frame& f : arena_.frames(c.node)) landing_.push_back({f.to, f.parent});
  }
}

ConfigurationSet Machine::Begin(uint32_t state) {
  ConfigurationSet out;
  seen_.clear();
  Land({state, StackArena::kBottom}, &out);
  return out;
}

ConfigurationSet Machine::Return(uint32_t node) {
  ConfigurationSet out;
  seen_.clear();
  for (const Frame& f : arena_.frames(node)) Land({f.to, f.parent}, &out);
  Sort(&out);
  return out;
}

// Calls are expanded in the order of their rules' ranks: a rule's callers are then all known before its own
// states are, and so is the height of its stack.
void Machine::Expand(const ConfigurationSet& set, Expansion* out) {
  out->items.clear();
  out->calls.clear();
  seen_.clear();
  struct Todo {
    uint32_t rank, rule;
    bool operator<(const Todo& o) const { return rank > o.rank; }
  };
  std::priority_queue<Todo> order;
  struct Called {
    uint32_t call = UINT32_MAX;        // in out->calls, for frames
    std::vector<uint32_t> references;  // stacks on which it is called in place of its caller
  };
  absl::flat_hash_map<uint32_t, Called> called;
  std::vector<Configuration> todo;
  const auto walk = [&] {
    while (!todo.empty()) {
      const Configuration c = todo.back();
      todo.pop_back();
      if (!seen_.insert(c).second) continue;
      if (!automaton_.bytes(c.state).empty()) out->items.push_back(c);
      const int height = Height(*out, c.node);
      for (const uint32_t to : automaton_.epsilons(c.state)) {
        if (Fits(height + automaton_.need(to))) todo.push_back({to, c.node});
      }
      for (const CallEdge& call : automaton_.calls(c.state)) {
        const int need = automaton_.need(automaton_.start(call.rule));
        const bool tail = call.to == CallEdge::kTail;
        if (!Fits(height + need + (tail ? 0 : 1))) continue;
        if (!tail && !Fits(height + automaton_.need(call.to))) continue;
        const auto [it, fresh] = called.try_emplace(call.rule);
        if (fresh) order.push({automaton_.rank(call.rule), call.rule});
        if (tail) {
          it->second.references.push_back(c.node);
          continue;
        }
        if (it->second.call == UINT32_MAX) {
          it->second.call = static_cast<uint32_t>(out->calls.size());
          out->calls.emplace_back();
        }
        Expansion::Call& pending = out->calls[it->second.call];
        pending.frames.push_back({call.to, c.node});
        pending.depth = std::max(pending.depth, height + 1);
      }
    }
  };
  todo = set.configurations;
  walk();
  while (!order.empty()) {
    const uint32_t rule = order.top().rule;
    order.pop();
    const Called now = std::move(called[rule]);
    for (const uint32_t reference : now.references) todo.push_back({automaton_.start(rule), reference});
    if (now.call != UINT32_MAX) todo.push_back({automaton_.start(rule), now.call | kPending});
    walk();
  }
}

// The node of a reference, which enters the arena now if it is not there. Pending calls wait for calls of
// lower rank only, so this ends.
uint32_t Machine::Resolve(Expansion* expansion, uint32_t reference) {
  if (!(reference & kPending)) return reference;
  Expansion::Call& call = expansion->calls[reference & ~kPending];
  if (call.node != UINT32_MAX) return call.node;
  for (Frame& f : call.frames) f.parent = Resolve(expansion, f.parent);
  std::sort(call.frames.begin(), call.frames.end());
  call.frames.erase(std::unique(call.frames.begin(), call.frames.end()), call.frames.end());
  const auto [it, fresh] = known_.try_emplace(call.frames, arena_.size());
  if (fresh) arena_.Add(call.frames);
  return call.node = it->second;
}

void Machine::Follow(Expansion* expansion, uint8_t byte, ConfigurationSet* out) {
  out->configurations.clear();
  out->ended = false;
  seen_.clear();
  for (const Configuration& item : expansion->items) {
    for (const ByteEdge& edge : automaton_.bytes(item.state)) {
      if (byte < edge.low || byte > edge.high) continue;
      if (!Fits(Height(*expansion, item.node) + automaton_.need(edge.to))) continue;
      Land({edge.to, Resolve(expansion, item.node)}, out);
    }
  }
  Sort(out);
}

bool Machine::CanRead(const Expansion& expansion) {
  for (const Configuration& item : expansion.items) {
    for (const ByteEdge& edge : automaton_.bytes(item.state)) {
      if (Fits(Height(expansion, item.node) + automaton_.need(edge.to))) return true;
    }
  }
  return false;
}

}  // namespace qiao::text
