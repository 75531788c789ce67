// The byte strings of a vocabulary as a trie, which masks of constraints walk.
//
// Made once a model, then immutable and shared by threads. Special tokens and tokens without bytes are not in
// it: they never match a constraint, and the end of a text is the engine's business
// (ConstraintState::CanEnd).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/status.h"

namespace qiao::text {

class Tokenizer;

inline constexpr int32_t kMaxTrieTokens = 1 << 24;
inline constexpr size_t kMaxTrieTokenBytes = 4096;  // of one token; a longer one never matches

class TokenTrie {
 public:
  // `vocab_size` is the model's, that is, the number of its logits; ids that the tokenizer lacks never match.
  // INVALID_ARGUMENT when it is not in 1..kMaxTrieTokens or the tokenizer has an ordinary token beyond it.
  static absl::StatusOr<std::shared_ptr<const TokenTrie>> FromTokenizer(const Tokenizer& tokenizer,
                                                                        int32_t vocab_size);
  // The same from the bytes of each id; empty: never matches.
  static absl::StatusOr<std::shared_ptr<const TokenTrie>> FromTokens(std::vector<std::string> tokens);

  int32_t vocab_size() const { return static_cast<int32_t>(token_begin_.size()) - 1; }
  size_t mask_words() const { return (static_cast<size_t>(vocab_size()) + 31) / 32; }
  // Empty for what never matches, and for ids out of range.
  std::string_view token(int32_t id) const;
  int max_token_bytes() const { return max_token_bytes_; }
  // Not the same for any two tries of a process.
  uint64_t serial() const { return serial_; }

  // Nodes in depth-first order: a node's children follow it, ordered by byte, and `end` is the number of the
  // first node that is not below it. Node 0 is the root.
  struct Node {
    uint32_t end;
    uint32_t tokens;  // its tokens' place in tokens(); they end where the next node's begin
    uint16_t depth;   // bytes from the root
    uint8_t byte;
  };
  std::span<const Node> nodes() const { return {nodes_.data(), nodes_.size() - 1}; }
  std::span<const int32_t> tokens(uint32_t node) const {
    return {tokens_.data() + nodes_[node].tokens, nodes_[node + 1].tokens - nodes_[node].tokens};
  }

 private:
  TokenTrie() = default;
  std::string bytes_;  // of all tokens, one after the other
  std::vector<uint32_t> token_begin_;
  std::vector<Node> nodes_;  // and one more
  std::vector<int32_t> tokens_;
  int max_token_bytes_ = 0;
  uint64_t serial_ = 0;
};

}  // namespace qiao::text
