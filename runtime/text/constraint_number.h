// JSON numbers within bounds, as automata over their digits, exact in decimal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/text/constraint_automaton.h"

namespace qiao::text {

struct Decimal {
  bool negative = false;
  std::string whole = "0";    // no leading zeros
  std::string fraction = {};  // no trailing zeros
  bool zero() const { return whole == "0" && fraction.empty(); }
};

// The value of a JSON number; none when it has more than 400 digits.
std::optional<Decimal> ParseDecimal(std::string_view number);

struct NumberBounds {
  struct Bound {
    Decimal value;
    bool exclusive = false;
  };
  std::optional<Bound> low = {}, high = {};
  bool integer = false;
};

// A rule that reads the numbers within `bounds`, spelled as constraint.h says and never as a negative zero.
// If there are none, it reads nothing at all.
uint32_t AddNumberRule(const NumberBounds& bounds, AutomatonBuilder& builder);

}  // namespace qiao::text
