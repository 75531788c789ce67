// Jinja's grammar. Covered: text, {{ }}, if, for, set, macro, call, filter, with, print, raw, break, continue
// and transformers' generation; every expression. Not covered, refused by name: extends, block, include,
// import, from and autoescape, which need other templates or HTML escaping and which no chat template uses.
#pragma once

#include <string_view>

#include "runtime/text/jinja_ast.h"

namespace qiao::text::jinja {

struct ParseLimits {
  size_t max_tokens;
  int max_depth;  // of nested expressions and blocks
};

// Errors name the line.
StatusOr<Body> ParseTemplate(std::string_view source, const ParseLimits& limits);

}  // namespace qiao::text::jinja
