// Which cache pages hold which tokens: a radix tree over token ids whose edges are pages, so that a prompt
// which begins as an earlier one did need not be computed again (RadixAttention, Zheng et al. 2024, section 3).
//
// A node is one page and the tokens in it; all but leaves are full pages. The tree holds its pages in the pool
// (PagePool::Hold); what only the tree holds can be given up at any time, least recently used first.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "absl/types/span.h"
#include "runtime/engine/page_pool.h"

namespace qiao::engine {

// So many tokens are the same at the beginning of both.
int64_t CommonBeginning(absl::Span<const int32_t> a, absl::Span<const int32_t> b);

// Not thread-safe. The pool must outlive it.
class PrefixTree {
 public:
  PrefixTree(PagePool& pool, int64_t page_tokens);
  ~PrefixTree();
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;

  struct Match {
    std::vector<int32_t> pages;  // not held for the caller; valid until the tree changes
    int64_t length = 0;          // tokens; the last page may be matched in part
  };
  // The longest known beginning of `tokens`. Counts as a use.
  Match Find(absl::Span<const int32_t> tokens);
  // Remembers that `tokens` lie in `pages` (as many as they need). Pages of what is known already are not
  // taken. Nobody may write to the tokens' slots afterwards; behind the last token of a page that is not full
  // a writer needs a copy of his own (Runner copies what has several holders). Where memory ends in the middle
  // (std::bad_alloc) less is remembered.
  void Insert(absl::Span<const int32_t> tokens, absl::Span<const int32_t> pages);

  // Gives up the page that has not been used for longest and that nobody else holds; false where there is
  // none.
  bool Evict();
  void Clear();

  int64_t pages() const { return static_cast<int64_t>(by_use_.size()); }
  // Of those, what nobody else holds: so many can be given up, or a few less where a page behind them is held.
  // Walks over all.
  int64_t evictable() const;

 private:
  struct Node;
  using Uses = std::list<Node*>;  // least recently used first; a parent stands behind its children
  struct Node {
    Node* parent = nullptr;
    std::vector<int32_t> tokens;  // 1 .. page_tokens
    int32_t page = -1;
    // (Not absl's, which does not survive the end of memory.) By the first of their tokens: pages that part somewhere in the middle stand beside each other.
    std::unordered_map<int32_t, std::vector<std::unique_ptr<Node>>> children;
    Uses::iterator use;
  };
  void Touch(Node* node);
  // The child that shares most of its first tokens with `tokens`, and how many.
  std::pair<Node*, int64_t> Best(Node& node, absl::Span<const int32_t> tokens) const;
  void Remove(Node* leaf);

  PagePool& pool_;
  const int64_t page_tokens_;
  Node root_;
  Uses by_use_;
};

}  // namespace qiao::engine
