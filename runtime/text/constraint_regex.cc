#include "runtime/text/constraint_regex.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "runtime/text/constraint_regex_parser.h"
#include "runtime/text/utf8.h"

namespace qiao::text {
namespace {

// Thompson's construction (Communications of the ACM 11, 1968).
class Nfa {
 public:
  struct State {
    std::vector<uint32_t> epsilons;
    const CodePointSet* set = nullptr;  // read one of these, then go to `to`
    uint32_t to = 0;
  };

  explicit Nfa(std::string_view what) : what_(what) {}

  uint32_t AddState() {
    states.emplace_back();
    return static_cast<uint32_t>(states.size() - 1);
  }

  // The whole pattern from `from` to the accepting state, anchors at its ends taken away.
  absl::Status AddTop(const PatternNode& node, RegexMatch match, uint32_t from) {
    if (node.kind == PatternNode::kAlternate) {
      for (const PatternNode& kid : node.kids) QIAO_RETURN_IF_ERROR(AddTop(kid, match, from));
      return absl::OkStatus();
    }
    const std::span<const PatternNode> all =
        node.kind == PatternNode::kSequence ? std::span(node.kids) : std::span(&node, 1);
    size_t first = 0, last = all.size();
    while (first < last && all[first].kind == PatternNode::kBegin) ++first;
    while (last > first && all[last - 1].kind == PatternNode::kEnd) --last;
    const bool whole = first == 0 && last == all.size();
    if (whole && all.size() == 1 && all[0].kind <= PatternNode::kAlternate &&
        all[0].kind != PatternNode::kSet) {
      return AddTop(all[0], match, from);
    }
    uint32_t at = AddState();
    states[from].epsilons.push_back(at);
    if (match == RegexMatch::kPart && first == 0) at = AddAny(at);
    for (const PatternNode& kid : all.subspan(first, last - first)) {
      QIAO_ASSIGN_OR_RETURN(at, Add(kid, at));
    }
    if (match == RegexMatch::kPart && last == all.size()) at = AddAny(at);
    states[at].epsilons.push_back(kAccept);
    return absl::OkStatus();
  }

  static constexpr uint32_t kAccept = 0;
  std::vector<State> states = {{}};

 private:
  uint32_t AddAny(uint32_t from) {
    const uint32_t loop = AddState();
    states[from].epsilons.push_back(loop);
    states[loop].set = &any_;
    states[loop].to = loop;
    const uint32_t next = AddState();
    states[loop].epsilons.push_back(next);
    return next;
  }

  absl::StatusOr<uint32_t> Add(const PatternNode& node, uint32_t from) {
    switch (node.kind) {
      case PatternNode::kSet: {
        const uint32_t read = AddState(), to = AddState();
        states[from].epsilons.push_back(read);
        states[read].set = &node.set;
        states[read].to = to;
        return to;
      }
      case PatternNode::kSequence:
        for (const PatternNode& kid : node.kids) {
          QIAO_ASSIGN_OR_RETURN(from, Add(kid, from));
        }
        return from;
      case PatternNode::kAlternate: {
        const uint32_t to = AddState();
        for (const PatternNode& kid : node.kids) {
          const uint32_t start = AddState();
          states[from].epsilons.push_back(start);
          QIAO_ASSIGN_OR_RETURN(const uint32_t end, Add(kid, start));
          states[end].epsilons.push_back(to);
        }
        return to;
      }
      case PatternNode::kRepeat: {
        for (int64_t i = 0; i < node.min; ++i) {
          QIAO_ASSIGN_OR_RETURN(from, Add(node.kids[0], from));
        }
        const uint32_t to = AddState();
        if (node.max < 0) {
          const uint32_t loop = AddState();
          states[from].epsilons.push_back(loop);
          QIAO_ASSIGN_OR_RETURN(const uint32_t end, Add(node.kids[0], loop));
          states[end].epsilons.push_back(loop);
          states[loop].epsilons.push_back(to);
          return to;
        }
        for (int64_t i = node.min; i < node.max; ++i) {
          states[from].epsilons.push_back(to);
          QIAO_ASSIGN_OR_RETURN(from, Add(node.kids[0], from));
        }
        states[from].epsilons.push_back(to);
        return to;
      }
      case PatternNode::kBegin:
      case PatternNode::kEnd:
        break;
    }
    return InvalidArgument("%s: ^ and $ are supported only at the ends of the pattern or of its alternatives",
                           what_);
  }

  std::string_view what_;
  const CodePointSet any_ = CodePointSet(0, kMaxCodePoint);
};

// States that the pattern takes once its counts are written out; at most `limit`.
int64_t SizeOf(const PatternNode& node, int64_t limit) {
  int64_t size = 1;
  for (const PatternNode& kid : node.kids) size = std::min(limit, size + SizeOf(kid, limit));
  if (node.kind == PatternNode::kRepeat) {
    const int64_t copies = node.max < 0 ? node.min + 1 : node.max;
    size = std::min(limit, 1 + size * std::max<int64_t>(copies, 1));
  }
  return size;
}

absl::Status TooManyStates(std::string_view what, const ConstraintLimits& limits) {
  return ResourceExhausted("%s: more than %d states as an automaton; make the pattern simpler", what,
                           limits.max_regex_states);
}

// The subset construction. A state is the sorted list of those states of `nfa` that read or accept.
class Subsets {
 public:
  Subsets(const Nfa& nfa, std::string_view what, const ConstraintLimits& limits, WorkBudget& budget)
      : nfa_(nfa), what_(what), limits_(limits), budget_(budget), seen_(nfa.states.size(), 0) {}

  absl::StatusOr<CodeAutomaton> Run(uint32_t start) {
    out_.states.clear();
    QIAO_RETURN_IF_ERROR(StateOf({start}).status());
    for (size_t s = 0; s < out_.states.size(); ++s) QIAO_RETURN_IF_ERROR(AddEdges(s));
    return std::move(out_);
  }

 private:
  using List = std::vector<uint32_t>;

  absl::StatusOr<uint32_t> StateOf(const List& targets) {
    if (const auto it = by_targets_.find(targets); it != by_targets_.end()) return it->second;
    ++mark_;
    List todo = targets, closed;
    while (!todo.empty()) {
      const uint32_t s = todo.back();
      todo.pop_back();
      if (std::exchange(seen_[s], mark_) == mark_) continue;
      const Nfa::State& state = nfa_.states[s];
      if (!budget_.Spend(1 + static_cast<int64_t>(state.epsilons.size()))) return budget_.status();
      if (state.set || s == Nfa::kAccept) closed.push_back(s);
      todo.insert(todo.end(), state.epsilons.begin(), state.epsilons.end());
    }
    std::sort(closed.begin(), closed.end());
    const auto [it, fresh] = by_members_.try_emplace(closed, static_cast<uint32_t>(out_.states.size()));
    const uint32_t id = it->second;
    if (fresh) {
      if (out_.states.size() >= limits_.max_regex_states) return TooManyStates(what_, limits_);
      out_.states.emplace_back();
      out_.states.back().accepts = !closed.empty() && closed[0] == Nfa::kAccept;
      members_.push_back(std::move(closed));
    }
    by_targets_.emplace(targets, id);
    return id;
  }

  // Sweeps over the code points at which what can be read changes.
  absl::Status AddEdges(size_t from) {
    struct Event {
      uint32_t at;
      bool begins;
      uint32_t to;
    };
    std::vector<Event> events;
    for (const uint32_t s : members_[from]) {
      const Nfa::State& state = nfa_.states[s];
      if (!state.set) continue;
      for (const CodePointSet::Range& r : state.set->ranges()) {
        events.push_back({r.first, true, state.to});
        events.push_back({r.last + 1, false, state.to});
      }
    }
    if (!budget_.Spend(static_cast<int64_t>(events.size()))) return budget_.status();
    std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) { return a.at < b.at; });
    std::map<uint32_t, int> active;
    std::vector<CodeAutomaton::Edge> edges;
    for (size_t i = 0; i < events.size();) {
      const uint32_t at = events[i].at;
      for (; i < events.size() && events[i].at == at; ++i) {
        int& count = active[events[i].to];
        count += events[i].begins ? 1 : -1;
        if (count == 0) active.erase(events[i].to);
      }
      if (active.empty()) continue;
      List targets;
      for (const auto& [to, count] : active) targets.push_back(to);
      if (!budget_.Spend(static_cast<int64_t>(targets.size()))) return budget_.status();
      QIAO_ASSIGN_OR_RETURN(const uint32_t to, StateOf(targets));
      const uint32_t last = events[i].at - 1;
      if (!edges.empty() && edges.back().to == to && edges.back().last + 1 == at) {
        edges.back().last = last;
      } else {
        edges.push_back({at, last, to});
      }
    }
    out_.states[from].edges = std::move(edges);
    return absl::OkStatus();
  }

  const Nfa& nfa_;
  std::string_view what_;
  const ConstraintLimits& limits_;
  WorkBudget& budget_;
  CodeAutomaton out_;
  std::vector<List> members_;
  absl::flat_hash_map<List, uint32_t> by_targets_, by_members_;
  std::vector<uint32_t> seen_;
  uint32_t mark_ = 0;
};

// Takes away what cannot come to acceptance.
void Trim(CodeAutomaton& a) {
  std::vector<std::vector<uint32_t>> back(a.states.size());
  std::vector<uint32_t> todo;
  for (uint32_t s = 0; s < a.states.size(); ++s) {
    for (const CodeAutomaton::Edge& e : a.states[s].edges) back[e.to].push_back(s);
    if (a.states[s].accepts) todo.push_back(s);
  }
  std::vector<bool> useful(a.states.size(), false);
  while (!todo.empty()) {
    const uint32_t s = todo.back();
    todo.pop_back();
    if (useful[s]) continue;
    useful[s] = true;
    todo.insert(todo.end(), back[s].begin(), back[s].end());
  }
  for (CodeAutomaton::State& state : a.states) {
    std::erase_if(state.edges, [&](const CodeAutomaton::Edge& e) { return !useful[e.to]; });
  }
}

}  // namespace

absl::StatusOr<CodeAutomaton> BuildRegex(std::string_view pattern, RegexMatch match, std::string_view what,
                                         const ConstraintLimits& limits, WorkBudget& budget) {
  QIAO_ASSIGN_OR_RETURN(const PatternNode tree, ParsePattern(pattern, what, limits, budget));
  const int64_t most = limits.max_positions;
  if (SizeOf(tree, most + 1) > most) {
    return ResourceExhausted("%s: the pattern has more than %d parts once its counts are written out", what,
                             most);
  }
  Nfa nfa(what);
  const uint32_t start = nfa.AddState();
  QIAO_RETURN_IF_ERROR(nfa.AddTop(tree, match, start));
  if (!budget.Spend(static_cast<int64_t>(nfa.states.size()))) return budget.status();
  QIAO_ASSIGN_OR_RETURN(CodeAutomaton out, Subsets(nfa, what, limits, budget).Run(start));
  Trim(out);
  return out;
}

absl::StatusOr<CodeAutomaton> BuildLength(int64_t min, int64_t max, const ConstraintLimits& limits,
                                          WorkBudget& budget) {
  const int64_t last = std::max<int64_t>(max < 0 ? min : max, 0);
  if (last >= limits.max_regex_states) {
    return ResourceExhausted(
        "constraint: minLength or maxLength of %d beside a pattern or format, which is limited to %d", last,
        limits.max_regex_states - 1);
  }
  if (!budget.Spend(last + 1)) return budget.status();
  CodeAutomaton out;
  out.states.resize(static_cast<size_t>(last) + 1);
  for (int64_t n = 0; n <= last; ++n) {
    CodeAutomaton::State& state = out.states[static_cast<size_t>(n)];
    state.accepts = n >= min;
    if (n < last || max < 0) {
      state.edges.push_back({0, kMaxCodePoint, static_cast<uint32_t>(std::min(n + 1, last))});
    }
  }
  Trim(out);
  return out;
}

absl::StatusOr<CodeAutomaton> Intersect(const CodeAutomaton& a, const CodeAutomaton& b,
                                        const ConstraintLimits& limits, WorkBudget& budget) {
  CodeAutomaton out;
  out.states.clear();
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, uint32_t> ids;
  const auto id_of = [&](uint32_t x, uint32_t y) {
    const auto [it, fresh] = ids.try_emplace(std::pair(x, y), static_cast<uint32_t>(pairs.size()));
    if (fresh) {
      pairs.emplace_back(x, y);
      out.states.emplace_back();
      out.states.back().accepts = a.states[x].accepts && b.states[y].accepts;
    }
    return it->second;
  };
  id_of(0, 0);
  for (size_t s = 0; s < pairs.size(); ++s) {
    if (pairs.size() > limits.max_regex_states) return TooManyStates("constraint", limits);
    const auto& x = a.states[pairs[s].first].edges;
    const auto& y = b.states[pairs[s].second].edges;
    if (!budget.Spend(static_cast<int64_t>(x.size() + y.size() + 1))) return budget.status();
    std::vector<CodeAutomaton::Edge> edges;
    for (size_t i = 0, j = 0; i < x.size() && j < y.size();) {
      const uint32_t first = std::max(x[i].first, y[j].first), last = std::min(x[i].last, y[j].last);
      if (first <= last) edges.push_back({first, last, id_of(x[i].to, y[j].to)});
      (x[i].last < y[j].last ? i : j) += 1;
    }
    out.states[s].edges = std::move(edges);
  }
  Trim(out);
  return out;
}

absl::Status CompileRegex(std::string_view pattern, uint32_t root, AutomatonBuilder& builder) {
  QIAO_ASSIGN_OR_RETURN(const CodeAutomaton code,
                        BuildRegex(pattern, RegexMatch::kWhole, "regex", builder.limits(), builder.budget()));
  const uint32_t end = builder.AddState();
  builder.Accept(end);
  AddCodeAutomaton(code, Spelling::kPlain, builder.Start(root), end, builder);
  return builder.status();
}

}  // namespace qiao::text
