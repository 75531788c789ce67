// Where a parser of regular expressions stands in its pattern, which is valid UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/text/utf8.h"

namespace qiao::text {

// A base of such parsers. The pattern must outlive it.
class PatternCursor {
 protected:
  explicit PatternCursor(std::string_view pattern) : pattern_(pattern) {}

  bool AtEnd() const { return pos_ >= pattern_.size(); }
  bool LooksAt(std::string_view s) const { return pattern_.substr(pos_).starts_with(s); }
  bool Take(std::string_view s) {
    if (!LooksAt(s)) return false;
    pos_ += s.size();
    return true;
  }
  // Not at the end.
  uint32_t TakeCodePoint() {
    int length;
    const uint32_t code = DecodeValid(pattern_.data() + pos_, &length);
    pos_ += static_cast<size_t>(length);
    return code;
  }

  std::string_view pattern_;
  size_t pos_ = 0;
};

}  // namespace qiao::text
