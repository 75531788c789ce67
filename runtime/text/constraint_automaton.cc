#include "runtime/text/constraint_automaton.h"

#include <algorithm>
#include <utility>

namespace qiao::text {
namespace {

constexpr uint16_t kNever = UINT16_MAX;  // no finite text leads from here to acceptance

// Positions in `items` grouped by the state `key` gives: those of state s are order[begin[s]..begin[s+1]).
struct Grouped {
  std::vector<uint32_t> begin, order;
  std::span<const uint32_t> of(uint32_t s) const {
    return {order.data() + begin[s], begin[s + 1] - begin[s]};
  }
};

template <typename Items, typename Key>
Grouped GroupBy(const Items& items, size_t states, Key key) {
  Grouped out;
  out.begin.assign(states + 1, 0);
  out.order.resize(items.size());
  for (const auto& item : items) ++out.begin[key(item) + 1];
  for (size_t s = 0; s < states; ++s) out.begin[s + 1] += out.begin[s];
  std::vector<uint32_t> next(out.begin.begin(), out.begin.end() - 1);
  for (size_t i = 0; i < items.size(); ++i) out.order[next[key(items[i])]++] = static_cast<uint32_t>(i);
  return out;
}

}  // namespace

size_t Automaton::size_in_bytes() const {
  return sizeof *this + states_.capacity() * sizeof(State) + bytes_.capacity() * sizeof(ByteEdge) +
         epsilons_.capacity() * sizeof(uint32_t) + calls_.capacity() * sizeof(CallEdge) +
         counted_.capacity() * sizeof(Counted) + (starts_.capacity() + ranks_.capacity()) * sizeof(uint32_t);
}

AutomatonBuilder::AutomatonBuilder(const ConstraintLimits& limits, WorkBudget& budget)
    : limits_(limits), budget_(budget) {
  rules_.push_back(0);
  accepts_.push_back(false);
}

uint32_t AutomatonBuilder::AddRule() {
  if (!ok()) return 0;
  if (rules_.size() >= limits_.max_rules) {
    status_ = ResourceExhausted("constraint: more than %d rules; make the schema smaller", limits_.max_rules);
    return 0;
  }
  rules_.push_back(AddState());
  return static_cast<uint32_t>(rules_.size() - 1);
}

uint32_t AutomatonBuilder::AddState() {
  if (!ok()) return 0;
  if (accepts_.size() >= limits_.max_states) {
    status_ = ResourceExhausted("constraint: more than %d states; make it smaller", limits_.max_states);
    return 0;
  }
  budget_.Spend(1);
  accepts_.push_back(false);
  return static_cast<uint32_t>(accepts_.size() - 1);
}

bool AutomatonBuilder::CountEdge() {
  if (!ok()) return false;
  if (bytes_.size() + epsilons_.size() + calls_.size() >= limits_.max_edges) {
    status_ = ResourceExhausted("constraint: more than %d edges; make it smaller", limits_.max_edges);
    return false;
  }
  return budget_.Spend(1);
}

void AutomatonBuilder::AddRange(uint32_t from, uint8_t low, uint8_t high, uint32_t to) {
  if (CountEdge()) bytes_.push_back({from, {low, high, to}});
}

void AutomatonBuilder::AddEpsilon(uint32_t from, uint32_t to) {
  if (CountEdge()) epsilons_.push_back({from, to});
}

void AutomatonBuilder::AddCall(uint32_t from, uint32_t rule, uint32_t to) {
  if (CountEdge()) calls_.push_back({from, {rule, to}});
}

void AutomatonBuilder::AddTailCall(uint32_t from, uint32_t rule) {
  const uint32_t end = AddState();
  Accept(end);
  AddCall(from, rule, end);
}

void AutomatonBuilder::SetCounted(uint32_t state, Counted counted) {
  if (ok()) counted_.emplace_back(state, counted);
}

uint32_t AutomatonBuilder::AddText(uint32_t from, std::string_view text) {
  for (const char c : text) {
    const uint32_t next = AddState();
    AddByte(from, static_cast<uint8_t>(c), next);
    from = next;
  }
  return from;
}

// Knuth's generalisation of Dijkstra's algorithm (Information Processing Letters 6, 1977): states are settled
// in the order of their needs, a call when both the rule and what follows are settled.
void AutomatonBuilder::ComputeNeeds() {
  const size_t states = accepts_.size();
  needs_.assign(states, kNever);
  const Grouped bytes = GroupBy(bytes_, states, [](const FromByte& e) { return e.edge.to; });
  const Grouped epsilons = GroupBy(epsilons_, states, [](const FromEpsilon& e) { return e.to; });
  const Grouped rets = GroupBy(calls_, states, [](const FromCall& e) { return e.edge.to; });
  const Grouped callers = GroupBy(calls_, states, [&](const FromCall& e) { return rules_[e.edge.rule]; });
  // A call that nothing follows pushes no frame. Whether a state is final is known before trimming, too:
  // trimming only takes edges away, which can make more states final but no need larger.
  std::vector<bool> leads(states, false);
  for (const FromByte& e : bytes_) leads[e.from] = true;
  for (const FromEpsilon& e : epsilons_) leads[e.from] = true;
  for (const FromCall& e : calls_) leads[e.from] = true;

  std::vector<std::vector<uint32_t>> buckets(1);
  for (uint32_t s = 0; s < states; ++s) {
    if (accepts_[s]) buckets[0].push_back(s);
  }
  for (size_t need = 0; need < buckets.size() && need < kNever; ++need) {
    for (size_t i = 0; i < buckets[need].size(); ++i) {
      const uint32_t s = buckets[need][i];
      if (needs_[s] != kNever) continue;
      needs_[s] = static_cast<uint16_t>(need);
      for (const uint32_t e : bytes.of(s)) buckets[need].push_back(bytes_[e].from);
      for (const uint32_t e : epsilons.of(s)) buckets[need].push_back(epsilons_[e].from);
      const auto settle = [&](const FromCall& call) {
        const uint16_t rule = needs_[rules_[call.edge.rule]], ret = needs_[call.edge.to];
        if (rule == kNever || ret == kNever) return;
        const bool tail = accepts_[call.edge.to] && !leads[call.edge.to];
        const size_t whole = std::max<size_t>(ret, size_t{rule} + (tail ? 0 : 1));
        if (buckets.size() <= whole) buckets.resize(whole + 1);
        buckets[whole].push_back(call.from);
      };
      for (const uint32_t c : rets.of(s)) settle(calls_[c]);
      for (const uint32_t c : callers.of(s)) settle(calls_[c]);
    }
  }
}

void AutomatonBuilder::Trim() {
  const auto never = [&](uint32_t s) { return needs_[s] == kNever; };
  std::erase_if(bytes_, [&](const FromByte& e) { return never(e.from) || never(e.edge.to); });
  std::erase_if(epsilons_, [&](const FromEpsilon& e) { return never(e.from) || never(e.to); });
  std::erase_if(calls_, [&](const FromCall& e) {
    return never(e.from) || never(e.edge.to) || never(rules_[e.edge.rule]);
  });
}

absl::Status AutomatonBuilder::RankRules(Automaton* automaton) const {
  const uint32_t rules = automaton->rules();
  automaton->ranks_.assign(rules, 0);
  std::vector<std::vector<uint32_t>> first(rules);  // the rules that a rule calls before it reads anything
  std::vector<uint32_t> callers(rules, 0);
  std::vector<uint32_t> seen(automaton->states(), UINT32_MAX), todo;
  for (uint32_t r = 0; r < rules; ++r) {
    todo.assign(1, automaton->start(r));
    while (!todo.empty()) {
      const uint32_t s = todo.back();
      todo.pop_back();
      if (seen[s] == r) continue;
      seen[s] = r;
      if (!budget_.Spend(1)) return budget_.status();
      for (const uint32_t to : automaton->epsilons(s)) todo.push_back(to);
      for (const CallEdge& call : automaton->calls(s)) {
        first[r].push_back(call.rule);
        ++callers[call.rule];
      }
    }
  }
  std::vector<uint32_t> ready;
  for (uint32_t r = 0; r < rules; ++r) {
    if (callers[r] == 0) ready.push_back(r);
  }
  uint32_t rank = 0;
  while (!ready.empty()) {
    const uint32_t r = ready.back();
    ready.pop_back();
    automaton->ranks_[r] = rank++;
    for (const uint32_t next : first[r]) {
      if (--callers[next] == 0) ready.push_back(next);
    }
  }
  if (rank != rules) {
    return InvalidArgument(
        "constraint: a $ref comes back to itself through anyOf, allOf or $ref alone, which says nothing");
  }
  return absl::OkStatus();
}

absl::StatusOr<Automaton> AutomatonBuilder::Finish() {
  QIAO_RETURN_IF_ERROR(status());
  ComputeNeeds();
  if (needs_[rules_[0]] == kNever) {
    return InvalidArgument(
        "constraint: no finite text satisfies it (a false schema, bounds that exclude each other, or a "
        "recursion that cannot end)");
  }
  if (needs_[rules_[0]] > limits_.max_stack) {
    return ResourceExhausted("constraint: its shortest text nests %d deep, more than the limit of %d",
                             needs_[rules_[0]], limits_.max_stack);
  }
  Trim();

  Automaton out;
  const size_t states = accepts_.size();
  const Grouped bytes = GroupBy(bytes_, states, [](const FromByte& e) { return e.from; });
  const Grouped epsilons = GroupBy(epsilons_, states, [](const FromEpsilon& e) { return e.from; });
  const Grouped calls = GroupBy(calls_, states, [](const FromCall& e) { return e.from; });
  out.states_.resize(states + 1);
  for (size_t s = 0; s <= states; ++s) {
    out.states_[s].bytes = bytes.begin[s];
    out.states_[s].epsilons = epsilons.begin[s];
    out.states_[s].calls = calls.begin[s];
  }
  for (const uint32_t i : bytes.order) out.bytes_.push_back(bytes_[i].edge);
  for (const uint32_t i : epsilons.order) out.epsilons_.push_back(epsilons_[i].to);
  std::vector<uint32_t> nullable;
  for (uint32_t s = 0; s < states; ++s) {
    out.states_[s].need = needs_[s] == kNever ? 0 : needs_[s];
    out.states_[s].final =
        accepts_[s] && bytes.of(s).empty() && epsilons.of(s).empty() && calls.of(s).empty();
    if (accepts_[s]) nullable.push_back(s);
  }
  for (const uint32_t i : calls.order) {
    CallEdge edge = calls_[i].edge;
    if (out.states_[edge.to].final) edge.to = CallEdge::kTail;
    out.calls_.push_back(edge);
  }
  const Grouped back = GroupBy(epsilons_, states, [](const FromEpsilon& e) { return e.to; });
  while (!nullable.empty()) {
    const uint32_t s = nullable.back();
    nullable.pop_back();
    if (std::exchange(out.states_[s].nullable, true)) continue;
    for (const uint32_t e : back.of(s)) nullable.push_back(epsilons_[e].from);
  }
  out.starts_ = rules_;
  for (const CallEdge& call : out.calls_) {
    if (out.nullable(out.start(call.rule))) {
      return Internal("constraint: rule %d reads nothing and is called", call.rule);
    }
  }
  if (!counted_.empty()) {
    out.counted_.resize(states);
    for (const auto& [state, counted] : counted_) out.counted_[state] = counted;
  }
  QIAO_RETURN_IF_ERROR(RankRules(&out));
  return out;
}

}  // namespace qiao::text
