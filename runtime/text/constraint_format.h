// The string formats of JSON schema that constraints know, as patterns. Used by constraint_schema.cc only.
#pragma once

#include <optional>
#include <string_view>

namespace qiao::text {

// The pattern (constraint_regex.h) that a whole string of the format matches; none if it is not known. What
// the patterns allow is valid by the specifications; they allow less where noted in the table.
std::optional<std::string_view> FormatPattern(std::string_view format);

}  // namespace qiao::text
