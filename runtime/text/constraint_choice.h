// Constraints that list their texts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/text/constraint_automaton.h"

namespace qiao::text {

// Stands for at most one space in the texts of AddTexts. No JSON text has this byte.
inline constexpr char kOptionalSpace = '\x01';

// Reads one of `texts` from `from` to `end`.
void AddTexts(std::vector<std::string> texts, bool optional_spaces, uint32_t from, uint32_t end,
              AutomatonBuilder& builder);

// The whole text is one of `choices`: at least one, of valid UTF-8.
absl::Status CompileChoices(const std::vector<std::string>& choices, uint32_t root,
                            AutomatonBuilder& builder);

}  // namespace qiao::text
