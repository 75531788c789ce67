// Jinja's lexer, for the one configuration that transformers uses: the standard delimiters, trim_blocks,
// lstrip_blocks, no line statements, no trailing newline kept.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/status.h"

namespace qiao::text::jinja {

struct Token {
  enum class Type : uint8_t {
    kData,
    kPrintBegin,  // {{
    kPrintEnd,
    kBlockBegin,  // {%
    kBlockEnd,
    kName,
    kString,  // text is the unescaped value
    kInteger,
    kFloat,
    kOperator,  // text is the operator
    kEnd,
  };
  Type type;
  int line;
  std::string text;
  int64_t integer = 0;
  double number = 0;
};

// Errors name the line. At most `max_tokens` tokens.
absl::StatusOr<std::vector<Token>> Lex(std::string_view source, size_t max_tokens);

}  // namespace qiao::text::jinja
