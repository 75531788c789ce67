// Where a parser of regular expressions stands in its pattern, which is valid UTF-8.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "runtime/text/hex.h"
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
  // As many hexadecimal digits as there are, up to `most`; none if they are fewer than `least`.
  std::optional<uint32_t> TakeHex(int least, int most) {
    uint32_t value = 0;
    int digits = 0;
    for (; digits < most && !AtEnd(); ++digits, ++pos_) {
      const int digit = HexDigit(pattern_[pos_]);
      if (digit < 0) break;
      value = value << 4 | static_cast<uint32_t>(digit);
    }
    if (digits < least) return std::nullopt;
    return value;
  }

  // How often something may repeat, as written: counts above 1e9 are read as 1e9.
  struct Counts {
    int64_t min, max;  // max < 0: any number
  };
  // {n} {n,} {n,m} and, where a dialect lets the minimum be left out, {,m}; a brace that is none of these is a
  // literal and is not taken.
  std::optional<Counts> TakeCounts(bool may_lack_min) {
    const size_t start = pos_;
    if (!Take("{")) return std::nullopt;
    std::optional<int64_t> min = TakeDecimal(), max = min;
    if (Take(",")) {
      max = TakeDecimal();
      if (!min && max && may_lack_min) min = 0;
      if (!max) max = -1;
    }
    if (!min || !Take("}")) {
      pos_ = start;
      return std::nullopt;
    }
    return Counts{*min, *max};
  }

  std::string_view pattern_;
  size_t pos_ = 0;

 private:
  std::optional<int64_t> TakeDecimal() {
    const size_t start = pos_;
    int64_t value = 0;
    for (; !AtEnd() && pattern_[pos_] >= '0' && pattern_[pos_] <= '9'; ++pos_) {
      value = std::min<int64_t>(value * 10 + (pattern_[pos_] - '0'), 1'000'000'000);
    }
    if (pos_ == start) return std::nullopt;
    return value;
  }
};

}  // namespace qiao::text
