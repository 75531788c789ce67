// The regular expressions of pre-tokenizers, with the meaning that Oniguruma (Ruby syntax, Unicode) gives
// them, since that is the engine inside Hugging Face tokenizers.
//
// An engine of our own and not PCRE2, for three reasons: a character must be classified by Oniguruma's
// Unicode tables (the distribution's PCRE2 knows Unicode 14 only); nested classes and && (Kimi's patterns)
// are not in PCRE2's syntax; and a pattern comes out of a model file, so the work of a search needs a bound
// that does not depend on the clock.
//
// Supported: literals, '.', [classes] with ranges, nesting, && and \p, the escapes \s \S \d \D \w \W \h \p{}
// \P{} \t \n \r \f \v \a \e \xHH \x{H} \uHHHH, groups (capturing groups only group), (?i) (?i:) (?>) (?=)
// (?!), alternation, ? * + {n} {n,m} {n,} {,m}, lazy, possessive after ? * +, and ^ $ \A \z \Z \b \B.
// Anything else is UNIMPLEMENTED, naming the offset in the pattern. (?i) folds simple ASCII cases (with
// U+017F for s and U+212A for k, as Oniguruma).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "runtime/base/status.h"

namespace qiao::text {

inline constexpr size_t kMaxPatternBytes = 4 << 10;

// Bytes [first, last) of a text.
struct TextRange {
  size_t first, last;
  friend bool operator==(const TextRange&, const TextRange&) = default;
};

// Immutable; one object may search on many threads.
class Regex {
 public:
  static absl::StatusOr<Regex> Compile(std::string_view pattern);

  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  // Appends every match in order, not overlapping. An empty match directly after the match before it does not
  // count. `text` must be valid UTF-8. RESOURCE_EXHAUSTED when the steps taken pass a bound that grows
  // linearly with the text, which no sane pattern reaches.
  absl::Status FindAll(std::string_view text, std::vector<TextRange>* matches) const;

 private:
  struct Program;
  class Matcher;
  explicit Regex(std::unique_ptr<const Program> program);
  std::unique_ptr<const Program> program_;
};

}  // namespace qiao::text
