// From the text of a constraint's pattern to a tree. Used by constraint_regex.cc only.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/text/constraint_automaton.h"
#include "runtime/text/constraint_limits.h"
#include "runtime/text/pretokenizer_unicode.h"

namespace qiao::text {

struct PatternNode {
  enum Kind : uint8_t {
    kSet,        // one code point of `set`
    kSequence,   // all kids in order; none: the empty text
    kAlternate,  // one of the kids
    kRepeat,     // kids[0], min to max times; max < 0: any number
    kBegin,      // ^
    kEnd,        // $
  };
  Kind kind = kSequence;
  CodePointSet set = {};
  std::vector<PatternNode> kids = {};
  int64_t min = 0, max = 0;
};

// Errors name `what` and the offset. Anchors are wherever they were written.
absl::StatusOr<PatternNode> ParsePattern(std::string_view pattern, std::string_view what,
                                         const ConstraintLimits& limits, WorkBudget& budget);

}  // namespace qiao::text
