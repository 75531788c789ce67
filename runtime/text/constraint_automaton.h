// What constraints compile to: a pushdown automaton over bytes.
//
// A rule is an automaton of its own that can call other rules, as a JSON value calls its elements. A state
// has byte edges (a range of bytes leads to a state; ranges may overlap), epsilon edges (which read nothing),
// and call edges (read what a rule reads, go on at the state named). A rule ends in its accepting states.
// Rule 0 is the whole text.
//
// Built with AutomatonBuilder, which counts what it makes against ConstraintLimits; then immutable and
// thread-safe. Finish() leaves only what can still come to an end: from every state that remains, some
// finite text leads to acceptance, within a stack of need() frames. constraint_machine.h runs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/text/constraint_limits.h"

namespace qiao::text {

struct ByteEdge {
  uint8_t low, high;
  uint32_t to;
};

struct CallEdge {
  static constexpr uint32_t kTail = UINT32_MAX;  // nothing follows in the caller: no frame is pushed
  uint32_t rule, to;
};

// What is counted in a state, for masks that states far from both bounds share: `group` is the same for
// states that differ in their distances only; a distance is in bytes at least (each thing counted has one).
struct Counted {
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t group = kNone;
  uint32_t to_min = 0;           // how many must still come
  uint32_t to_max = UINT32_MAX;  // how many may still come; UINT32_MAX: any number
};

class Automaton {
 public:
  std::span<const ByteEdge> bytes(uint32_t state) const {
    return {bytes_.data() + states_[state].bytes, states_[state + 1].bytes - states_[state].bytes};
  }
  std::span<const uint32_t> epsilons(uint32_t state) const {
    return {epsilons_.data() + states_[state].epsilons,
            states_[state + 1].epsilons - states_[state].epsilons};
  }
  std::span<const CallEdge> calls(uint32_t state) const {
    return {calls_.data() + states_[state].calls, states_[state + 1].calls - states_[state].calls};
  }
  // Acceptance is reached from here by epsilon edges alone.
  bool nullable(uint32_t state) const { return states_[state].nullable; }
  // Accepts and leads nowhere.
  bool final(uint32_t state) const { return states_[state].final; }
  // The least height that the stack must be able to grow by, so that the rule can end from here.
  int need(uint32_t state) const { return states_[state].need; }
  Counted counted(uint32_t state) const { return counted_.empty() ? Counted{} : counted_[state]; }

  uint32_t start(uint32_t rule) const { return starts_[rule]; }
  // A rule that another one calls before it reads anything has the higher rank.
  uint32_t rank(uint32_t rule) const { return ranks_[rule]; }

  uint32_t states() const { return static_cast<uint32_t>(states_.size()) - 1; }
  uint32_t rules() const { return static_cast<uint32_t>(starts_.size()); }
  size_t size_in_bytes() const;

 private:
  friend class AutomatonBuilder;
  struct State {
    uint32_t bytes = 0, epsilons = 0,
             calls = 0;  // where its edges begin; they end where the next one's begin
    uint16_t need = 0;
    bool nullable = false, final = false;
  };
  std::vector<State> states_;  // and one more
  std::vector<ByteEdge> bytes_;
  std::vector<uint32_t> epsilons_;
  std::vector<CallEdge> calls_;
  std::vector<Counted> counted_;  // empty, or one a state
  std::vector<uint32_t> starts_, ranks_;
};

// Counts the work of one compilation, so that what is refused does not depend on the clock.
class WorkBudget {
 public:
  explicit WorkBudget(int64_t steps) : left_(steps), all_(steps) {}
  // False when it is spent; status() then says so.
  bool Spend(int64_t steps) {
    left_ = steps > left_ ? -1 : left_ - steps;
    return left_ >= 0;
  }
  bool spent() const { return left_ < 0; }
  absl::Status status() const {
    if (!spent()) return absl::OkStatus();
    return ResourceExhausted("constraint: compiling takes more than %d steps; make it simpler", all_);
  }

 private:
  int64_t left_, all_;
};

// Once a limit is passed, status() says which, further calls change nothing and return valid numbers (0), and
// the loops of callers should stop.
class AutomatonBuilder {
 public:
  static constexpr uint32_t kRoot = 0;  // the rule of the whole text, which is there from the start

  AutomatonBuilder(const ConstraintLimits& limits, WorkBudget& budget);

  uint32_t AddRule();  // with its start state
  uint32_t Start(uint32_t rule) const { return rules_[rule]; }
  uint32_t AddState();
  void AddByte(uint32_t from, uint8_t byte, uint32_t to) { AddRange(from, byte, byte, to); }
  void AddRange(uint32_t from, uint8_t low, uint8_t high, uint32_t to);
  void AddEpsilon(uint32_t from, uint32_t to);
  void AddCall(uint32_t from, uint32_t rule, uint32_t to);
  void Accept(uint32_t state) {
    if (state < accepts_.size()) accepts_[state] = true;
  }
  void SetCounted(uint32_t state, Counted counted);
  uint32_t NewGroup() { return groups_++; }
  void AddTailCall(uint32_t from, uint32_t rule);  // and accepts where it returns
  // A chain of new states that reads `text`; returns the last.
  uint32_t AddText(uint32_t from, std::string_view text);

  bool ok() const { return status_.ok() && !budget_.spent(); }
  absl::Status status() const { return status_.ok() ? budget_.status() : status_; }
  WorkBudget& budget() { return budget_; }
  const ConstraintLimits& limits() const { return limits_; }

  // Errors: those of status(); INVALID_ARGUMENT when no finite text is accepted or a rule calls itself before
  // it reads anything; RESOURCE_EXHAUSTED when the shortest text needs a deeper stack than the limit.
  absl::StatusOr<Automaton> Finish();

 private:
  struct FromByte {
    uint32_t from;
    ByteEdge edge;
  };
  struct FromCall {
    uint32_t from;
    CallEdge edge;
  };
  struct FromEpsilon {
    uint32_t from, to;
  };
  bool CountEdge();
  void ComputeNeeds();
  void Trim();
  absl::Status RankRules(Automaton* automaton) const;

  const ConstraintLimits& limits_;
  WorkBudget& budget_;
  absl::Status status_;
  std::vector<uint32_t> rules_;  // start states
  std::vector<bool> accepts_;
  std::vector<FromByte> bytes_;
  std::vector<FromEpsilon> epsilons_;
  std::vector<FromCall> calls_;
  std::vector<std::pair<uint32_t, Counted>> counted_;
  uint32_t groups_ = 0;
  std::vector<uint16_t> needs_;
};

}  // namespace qiao::text
