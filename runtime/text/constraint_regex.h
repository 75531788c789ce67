// Regular expressions of constraints, over Unicode code points, with the meaning of ECMA-262's (flag u),
// which JSON schema refers to.
//
// Supported: literals, '.', [classes] with ranges and negation, the escapes \d \D \w \W (ASCII) \s \S \t \n
// \r \f \v \0 \cX \xHH \uHHHH \u{H} \p{} \P{} (general categories, their groups, a few scripts) and any
// escaped punctuation, groups (capturing, (?:) and named ones only group), alternation, * + ? {n} {n,}
// {n,m} and their lazy forms (which match the same texts), ^ at the start and $ at the end of an
// alternative of the whole pattern. INVALID_ARGUMENT by name and offset: look-around, back-references, \b
// \B, other anchors, inline flags, possessive quantifiers, POSIX classes. '.' is any character but \n, \r,
// U+2028 and U+2029.
//
// A pattern becomes a deterministic automaton; RESOURCE_EXHAUSTED where that needs more states or steps than
// the limits.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/text/constraint_automaton.h"

namespace qiao::text {

// Deterministic, over code points. State 0 is the start. Every state leads to acceptance, unless nothing
// does.
struct CodeAutomaton {
  struct Edge {
    uint32_t first, last, to;
  };
  struct State {
    std::vector<Edge> edges;  // sorted, disjoint
    bool accepts = false;
  };
  std::vector<State> states = {{}};
};

// `what` names the pattern in errors. Whole: the pattern must match the whole text; else, as JSON schema has
// it, some part of the text.
enum class RegexMatch { kWhole, kPart };
absl::StatusOr<CodeAutomaton> BuildRegex(std::string_view pattern, RegexMatch match, std::string_view what,
                                         const ConstraintLimits& limits, WorkBudget& budget);
// Texts of min to max code points; max < 0: any number. At least one of the two must bound it.
absl::StatusOr<CodeAutomaton> BuildLength(int64_t min, int64_t max, const ConstraintLimits& limits,
                                          WorkBudget& budget);
// Texts that both accept.
absl::StatusOr<CodeAutomaton> Intersect(const CodeAutomaton& a, const CodeAutomaton& b,
                                        const ConstraintLimits& limits, WorkBudget& budget);

// The states that read the texts of `code` in UTF-8 from `from` to `end`, or, in JSON, what stands between
// the quotes.
enum class Spelling { kPlain, kJson };
void AddCodeAutomaton(const CodeAutomaton& code, Spelling spelling, uint32_t from, uint32_t end,
                      AutomatonBuilder& builder);

// The whole text matches `pattern`.
absl::Status CompileRegex(std::string_view pattern, uint32_t root, AutomatonBuilder& builder);

}  // namespace qiao::text
