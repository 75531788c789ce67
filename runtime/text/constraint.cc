#include "runtime/text/constraint.h"

#include <algorithm>
#include <utility>

#include "runtime/text/constraint_choice.h"
#include "runtime/text/constraint_json.h"
#include "runtime/text/constraint_mask.h"
#include "runtime/text/constraint_regex.h"
#include "runtime/text/constraint_schema.h"

namespace qiao::text {

Constraint::Constraint(Automaton automaton, const ConstraintLimits& limits)
    : automaton_(std::move(automaton)),
      limits_(limits),
      masks_(std::make_unique<MaskCache>(limits.max_mask_bytes)) {}

Constraint::~Constraint() = default;

size_t Constraint::size_in_bytes() const {
  return sizeof *this + automaton_.size_in_bytes() + masks_->size_in_bytes();
}

absl::StatusOr<std::shared_ptr<const Constraint>> CompileConstraint(const ConstraintSpec& spec,
                                                                    const ConstraintLimits& limits) {
  WorkBudget budget(limits.max_steps);
  AutomatonBuilder builder(limits, budget);
  constexpr uint32_t root = AutomatonBuilder::kRoot;
  switch (spec.kind) {
    case ConstraintSpec::Kind::kJsonObject: {
      JsonRules json(builder);
      const uint32_t end = builder.AddState();
      builder.Accept(end);
      builder.AddCall(builder.Start(root), json.Object(), end);
      break;
    }
    case ConstraintSpec::Kind::kJsonSchema:
      QIAO_RETURN_IF_ERROR(CompileSchema(spec.text, root, builder));
      break;
    case ConstraintSpec::Kind::kRegex:
      QIAO_RETURN_IF_ERROR(CompileRegex(spec.text, root, builder));
      break;
    case ConstraintSpec::Kind::kChoice:
      QIAO_RETURN_IF_ERROR(CompileChoices(spec.choices, root, builder));
      break;
  }
  QIAO_ASSIGN_OR_RETURN(Automaton automaton, builder.Finish());
  return std::make_shared<const Constraint>(std::move(automaton), limits);
}

ConstraintState::ConstraintState(std::shared_ptr<const Constraint> constraint,
                                 std::shared_ptr<const TokenTrie> trie)
    : constraint_(std::move(constraint)), trie_(std::move(trie)) {
  const Automaton& automaton = constraint_->automaton();
  set_ = Machine(automaton, constraint_->limits().max_stack).Begin(automaton.start(0));
}

void ConstraintState::FillMask(absl::Span<uint32_t> bits) const {
  std::fill(bits.begin(), bits.end(), 0);
  if (bits.size() < trie_->mask_words()) return;
  text::FillMask(constraint_->automaton(), *trie_, constraint_->limits().max_stack, arena_, set_,
                 constraint_->masks(), {bits.data(), trie_->mask_words()});
}

bool ConstraintState::Accept(int32_t token) {
  const std::string_view bytes = trie_->token(token);
  return !bytes.empty() && AcceptBytes(bytes);
}

bool ConstraintState::AcceptBytes(std::string_view bytes) {
  if (bytes.empty()) return true;
  const ConstraintLimits& limits = constraint_->limits();
  Machine machine(constraint_->automaton(), limits.max_stack, arena_);
  ConfigurationSet now = set_, next;
  Machine::Expansion expansion;
  for (const char c : bytes) {
    machine.Expand(now, &expansion);
    machine.Follow(&expansion, static_cast<uint8_t>(c), &next);
    if (next.dead()) return false;
    std::swap(now, next);
  }
  // Only here, between tokens: a mask is made without this limit.
  if (now.configurations.size() > limits.max_configurations) {
    now.configurations.resize(limits.max_configurations);
  }
  ConfigurationSet* sets[] = {&now};
  CompactStacks(machine.arena(), sets, &arena_);
  set_ = std::move(now);
  return true;
}

bool ConstraintState::MustEnd() const {
  if (!set_.ended) return false;
  if (set_.configurations.empty()) return true;
  Machine machine(constraint_->automaton(), constraint_->limits().max_stack, arena_);
  Machine::Expansion expansion;
  machine.Expand(set_, &expansion);
  return !machine.CanRead(expansion);
}

}  // namespace qiao::text
