// Sets of code points and the Unicode properties that pre-tokenizer patterns name.
//
// The tables are those of the regex engine inside Hugging Face tokenizers (Unicode 16), not those of a
// library on this machine: a character that a newer or older table puts elsewhere would be split elsewhere.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/text/utf8.h"

namespace qiao::text {

// A set under construction: sorted, disjoint, inclusive ranges.
class CodePointSet {
 public:
  struct Range {
    uint32_t first, last;
    friend auto operator<=>(const Range&, const Range&) = default;
  };

  CodePointSet() = default;
  CodePointSet(uint32_t first, uint32_t last) : ranges_{{first, last}} {}

  bool Contains(uint32_t code) const;
  bool empty() const { return ranges_.empty(); }
  const std::vector<Range>& ranges() const { return ranges_; }

  CodePointSet Union(const CodePointSet& other) const;
  CodePointSet Intersection(const CodePointSet& other) const;
  CodePointSet Complement() const;

 private:
  std::vector<Range> ranges_;
};

// The set called `name` in \p{name}: a general category ("Lu"), a group of them ("L", "Letter"), a script of
// the few that patterns use ("Han"), or "word", "space", "alphabetic", "alnum". Case, spaces, '_' and '-' do
// not count.
std::optional<CodePointSet> UnicodeProperty(std::string_view name);

bool IsWhitespace(uint32_t code);  // White_Space
bool IsNumeric(uint32_t code);     // general category N
bool IsWordCharacter(uint32_t code);
// The lower case where it is one code point, else `code`.
uint32_t ToLowercase(uint32_t code);

// A finished set with constant-time membership: a bitmap for ASCII, pages of 256 bits shared where equal for
// the rest.
class CodePointTable {
 public:
  explicit CodePointTable(const CodePointSet& set);

  bool HasAscii(unsigned char c) const { return ascii_[c >> 6] >> (c & 63) & 1; }
  bool Has(uint32_t code) const {
    if (code < 0x80) return HasAscii(static_cast<unsigned char>(code));
    if (pages_.empty()) return false;
    return pages_[index_[code >> 8]][code >> 6 & 3] >> (code & 63) & 1;
  }
  // The length of the member at the head of [p, end), which is valid UTF-8; 0 if there is none.
  int Match(const char* p, const char* end) const {
    if (p == end) return 0;
    const auto c = static_cast<unsigned char>(*p);
    if (c < 0x80) return HasAscii(c);
    int length;
    const uint32_t code = DecodeValid(p, &length);
    return Has(code) ? length : 0;
  }
  const std::array<uint64_t, 2>& ascii() const { return ascii_; }
  bool has_non_ascii() const { return !pages_.empty(); }

 private:
  using Page = std::array<uint64_t, 4>;
  std::array<uint64_t, 2> ascii_ = {};
  std::vector<uint16_t> index_;
  std::vector<Page> pages_;
};

}  // namespace qiao::text
