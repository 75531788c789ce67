// The "normalizer" of a tokenizer.json: what is done to text before it is split into words.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/text/pretokenizer_regex.h"

namespace qiao::text {

// The "pattern" of Split and Replace: a literal or a regular expression.
class Pattern {
 public:
  // `spec` is {"String": s} or {"Regex": s}; `where` names it in errors.
  static absl::StatusOr<Pattern> FromJson(const Json& spec, std::string_view where);

  // Appends the matches in order, not overlapping. An empty literal never matches.
  absl::Status FindAll(std::string_view text, std::vector<TextRange>* matches) const;
  // Every match becomes `content`. RESOURCE_EXHAUSTED if that could make more than `max_bytes`.
  absl::StatusOr<std::string> ReplaceAll(std::string_view text, std::string_view content,
                                         size_t max_bytes) const;

 private:
  std::string literal_;
  std::shared_ptr<const Regex> regex_;  // if set, the pattern is this
};

// Immutable; thread-safe. Supported: null, Sequence, NFC, NFD, NFKC, NFKD, Replace, Prepend, Lowercase,
// Strip.
class Normalizer {
 public:
  Normalizer() = default;  // changes nothing
  static absl::StatusOr<Normalizer> FromJson(const Json& spec, std::string_view where);

  bool is_identity() const { return steps_.empty(); }
  // `text` must be valid UTF-8; so is the result. RESOURCE_EXHAUSTED if it grows beyond reason.
  absl::StatusOr<std::string> Apply(std::string_view text) const;

 private:
  enum class Kind { kNfc, kNfd, kNfkc, kNfkd, kReplace, kPrepend, kLowercase, kStrip };
  struct Step {
    Kind kind;
    Pattern pattern = {};              // kReplace
    std::string content = {};          // kReplace, kPrepend
    bool left = false, right = false;  // kStrip
  };
  static absl::StatusOr<std::string> ApplyStep(const Step& step, std::string text, size_t max_bytes);
  absl::Status Add(const Json& spec, std::string_view where, int depth);

  std::vector<Step> steps_;
};

}  // namespace qiao::text
