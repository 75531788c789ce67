// From the text of a pattern to a tree. Used by pretokenizer_regex.cc only.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/text/pretokenizer_unicode.h"

namespace qiao::text {

inline constexpr uint32_t kRegexInfinite = UINT32_MAX;

struct RegexNode {
  enum Kind : uint8_t {
    kSet,        // one code point of `set`
    kSequence,   // all kids in order; none: the empty match
    kAlternate,  // the first kid that lets the rest match
    kRepeat,     // kids[0], min to max times
    kAtomic,     // kids[0], never entered again
    kLook,       // kids[0] matches here (or, negative, does not); consumes nothing
    kAssert,     // a condition on the position
  };
  enum Mode : uint8_t { kGreedy, kLazy, kPossessive };
  enum Assertion : uint8_t {
    kLineStart,
    kLineEnd,
    kTextStart,
    kTextEnd,
    kTextEndOrNewline,
    kWordEdge,
    kNotWordEdge
  };

  Kind kind = kSequence;
  CodePointSet set = {};
  std::vector<RegexNode> kids = {};
  uint32_t min = 0, max = 0;
  Mode mode = kGreedy;
  bool negative = false;
  Assertion assertion = kLineStart;
};

absl::StatusOr<RegexNode> ParseRegex(std::string_view pattern);

}  // namespace qiao::text
