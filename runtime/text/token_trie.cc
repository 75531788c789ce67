#include "runtime/text/token_trie.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "runtime/text/tokenizer.h"

namespace qiao::text {

absl::StatusOr<std::shared_ptr<const TokenTrie>> TokenTrie::FromTokenizer(const Tokenizer& tokenizer,
                                                                          int32_t vocab_size) {
  if (vocab_size < 1 || vocab_size > kMaxTrieTokens) {
    return InvalidArgument("token trie: vocab_size is %d, must be 1..%d", vocab_size, kMaxTrieTokens);
  }
  std::vector<std::string> tokens(static_cast<size_t>(vocab_size));
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_special(id) || tokenizer.PieceOf(id).empty()) continue;
    if (id >= vocab_size) {
      return InvalidArgument("token trie: the tokenizer has token %d, the model only %d logits", id,
                             vocab_size);
    }
    tokens[static_cast<size_t>(id)] = tokenizer.TokenBytes(id);
  }
  return FromTokens(std::move(tokens));
}

absl::StatusOr<std::shared_ptr<const TokenTrie>> TokenTrie::FromTokens(std::vector<std::string> tokens) {
  if (tokens.empty() || tokens.size() > static_cast<size_t>(kMaxTrieTokens)) {
    return InvalidArgument("token trie: %d tokens, must be 1..%d", tokens.size(), kMaxTrieTokens);
  }
  static std::atomic<uint64_t> serials = 0;
  auto trie = std::shared_ptr<TokenTrie>(new TokenTrie);
  trie->serial_ = ++serials;
  trie->token_begin_.push_back(0);
  for (const std::string& token : tokens) {
    if (token.size() <= kMaxTrieTokenBytes) trie->bytes_ += token;
    if (trie->bytes_.size() > UINT32_MAX) return InvalidArgument("token trie: more than 4 GiB of tokens");
    trie->token_begin_.push_back(static_cast<uint32_t>(trie->bytes_.size()));
  }
  std::vector<int32_t> order;
  for (int32_t id = 0; id < trie->vocab_size(); ++id) {
    if (!trie->token(id).empty()) order.push_back(id);
  }
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return std::pair(trie->token(a), a) < std::pair(trie->token(b), b);
  });

  std::vector<Node>& nodes = trie->nodes_;
  nodes.push_back({0, 0, 0, 0});
  std::vector<uint32_t> path = {0};  // the nodes of the token before, by depth
  std::string_view before;
  for (const int32_t id : order) {
    const std::string_view token = trie->token(id);
    size_t same = 0;
    while (same < before.size() && same < token.size() && before[same] == token[same]) ++same;
    for (; path.size() > same + 1; path.pop_back())
      nodes[path.back()].end = static_cast<uint32_t>(nodes.size());
    for (size_t d = same; d < token.size(); ++d) {
      path.push_back(static_cast<uint32_t>(nodes.size()));
      nodes.push_back({0, static_cast<uint32_t>(trie->tokens_.size()), static_cast<uint16_t>(d + 1),
                       static_cast<uint8_t>(token[d])});
    }
    trie->tokens_.push_back(id);
    trie->max_token_bytes_ = std::max(trie->max_token_bytes_, static_cast<int>(token.size()));
    before = token;
  }
  for (const uint32_t node : path) nodes[node].end = static_cast<uint32_t>(nodes.size());
  nodes.push_back({0, static_cast<uint32_t>(trie->tokens_.size()), 0, 0});
  return std::shared_ptr<const TokenTrie>(std::move(trie));
}

std::string_view TokenTrie::token(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return {};
  const auto i = static_cast<size_t>(id);
  return std::string_view(bytes_).substr(token_begin_[i], token_begin_[i + 1] - token_begin_[i]);
}

}  // namespace qiao::text
