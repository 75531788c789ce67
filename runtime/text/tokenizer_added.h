// Added tokens: strings that are found in the text before anything else is done to it, each one token.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "runtime/text/normalizer.h"

namespace qiao::text {

inline constexpr size_t kMaxAddedTokens = 100'000;
inline constexpr size_t kMaxAddedTokenBytes = 1024;

struct AddedToken {
  int32_t id;
  std::string content;
  bool special = false;
  bool single_word = false;  // only where no word character stands directly before or after
  bool lstrip = false;       // takes the white space before it with it
  bool rstrip = false;       // takes the white space after it with it
  bool normalized = false;   // sought in the normalised text, itself normalised
};

// Finds tokens of one set in a text: leftmost first, the longest of those that start there. Immutable.
class AddedTokenFinder {
 public:
  struct Found {
    TextRange range;
    int32_t id;  // -1: text between tokens
  };

  // `key` is what is sought for the token, usually its content; empty keys are left out.
  void Add(std::string key, const AddedToken& token);
  void Finish();

  // Appends the parts of `text` in order, tokens and what lies between them. Special tokens count as text if
  // `skip_special`.
  void Split(std::string_view text, bool skip_special, std::vector<Found>* parts) const;

 private:
  struct Entry {
    std::string key;
    AddedToken token;
  };
  const Entry* LongestAt(std::string_view text) const;

  std::vector<Entry> entries_;  // sorted by key
  uint32_t begin_of_byte_[257] =
      {};  // entries whose key begins with byte b: [begin_of_byte_[b], begin_of_byte_[b + 1])
};

// All added tokens of a tokenizer. Immutable; thread-safe.
class AddedTokens {
 public:
  static absl::StatusOr<AddedTokens> FromJson(const Json& list, const Normalizer& normalizer,
                                              std::string_view where);

  const AddedToken* Find(int32_t id) const;
  const AddedToken* Find(std::string_view content) const;
  const std::vector<AddedToken>& all() const { return tokens_; }

  const AddedTokenFinder& raw() const { return raw_; }
  const AddedTokenFinder& normalized() const { return normalized_; }

 private:
  std::vector<AddedToken> tokens_;
  absl::flat_hash_map<int32_t, size_t> by_id_;
  absl::flat_hash_map<std::string, size_t> by_content_;
  AddedTokenFinder raw_, normalized_;
};

}  // namespace qiao::text
