// JSON schemas as rules of an automaton. The subset: constraint.h.
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/text/constraint_automaton.h"

namespace qiao::text {

// Adds the rule of the schema's values as rule `root`, which must be empty.
absl::Status CompileSchema(std::string_view schema, uint32_t root, AutomatonBuilder& builder);

}  // namespace qiao::text
