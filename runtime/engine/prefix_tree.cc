#include "runtime/engine/prefix_tree.h"

#include <algorithm>
#include <utility>

namespace qiao::engine {

int64_t CommonBeginning(absl::Span<const int32_t> a, absl::Span<const int32_t> b) {
  const size_t most = std::min(a.size(), b.size());
  const auto end = a.begin() + static_cast<ptrdiff_t>(most);
  return std::mismatch(a.begin(), end, b.begin()).first - a.begin();
}

PrefixTree::PrefixTree(PagePool& pool, int64_t page_tokens) : pool_(pool), page_tokens_(page_tokens) {}

PrefixTree::~PrefixTree() { Clear(); }

// From a leaf up to the root, so that a parent is always used after its children: what has not been used for
// longest is then a leaf.
void PrefixTree::Touch(Node* node) {
  for (; node != &root_; node = node->parent) by_use_.splice(by_use_.end(), by_use_, node->use);
}

std::pair<PrefixTree::Node*, int64_t> PrefixTree::Best(Node& node, absl::Span<const int32_t> tokens) const {
  std::pair<Node*, int64_t> best{nullptr, 0};
  if (tokens.empty()) return best;
  const auto found = node.children.find(tokens.front());
  if (found == node.children.end()) return best;
  for (const std::unique_ptr<Node>& child : found->second) {
    const int64_t common = CommonBeginning(tokens, child->tokens);
    if (common > best.second) best = {child.get(), common};
  }
  return best;
}

PrefixTree::Match PrefixTree::Find(absl::Span<const int32_t> tokens) {
  Match match;
  Node* node = &root_;
  for (;;) {
    const auto [child, common] = Best(*node, tokens);
    if (child == nullptr) break;
    match.pages.push_back(child->page);
    match.length += common;
    node = child;
    if (common < page_tokens_) break;
    tokens.remove_prefix(static_cast<size_t>(common));
  }
  Touch(node);
  return match;
}

void PrefixTree::Insert(absl::Span<const int32_t> tokens, absl::Span<const int32_t> pages) {
  Node* node = &root_;
  for (int32_t page : pages) {
    if (tokens.empty()) break;
    const auto mine = tokens.first(std::min(tokens.size(), static_cast<size_t>(page_tokens_)));
    const auto [child, common] = Best(*node, mine);
    tokens.remove_prefix(mine.size());
    if (child != nullptr && common == static_cast<int64_t>(mine.size())) {
      node = child;  // known, perhaps with more behind it
      if (common < page_tokens_) break;
      continue;
    }
    if (child != nullptr && common == static_cast<int64_t>(child->tokens.size())) {
      // The end of an earlier text goes on here: the longer page takes the shorter one's place.
      child->tokens.insert(child->tokens.end(), mine.begin() + common, mine.end());
      pool_.Hold(page);
      pool_.Release(std::exchange(child->page, page));
      node = child;
      continue;
    }
    // What may throw comes first.
    auto fresh = std::make_unique<Node>();
    fresh->parent = node;
    fresh->tokens.assign(mine.begin(), mine.end());
    fresh->page = page;
    std::vector<std::unique_ptr<Node>>& siblings = node->children[mine.front()];
    siblings.reserve(siblings.size() + 1);
    fresh->use = by_use_.insert(by_use_.end(), fresh.get());
    pool_.Hold(page);
    node = fresh.get();
    siblings.push_back(std::move(fresh));
  }
  Touch(node);
}

void PrefixTree::Remove(Node* leaf) {
  pool_.Release(leaf->page);
  by_use_.erase(leaf->use);
  Node& parent = *leaf->parent;
  const auto siblings = parent.children.find(leaf->tokens.front());
  std::erase_if(siblings->second, [&](const std::unique_ptr<Node>& n) { return n.get() == leaf; });
  if (siblings->second.empty()) parent.children.erase(siblings);
}

bool PrefixTree::Evict() {
  for (Node* node : by_use_) {
    if (!node->children.empty() || pool_.holders(node->page) > 1) continue;
    Remove(node);
    return true;
  }
  return false;
}

void PrefixTree::Clear() {
  while (!by_use_.empty()) Remove(by_use_.front());  // leaves first: destroying deep trees must not recurse
}

int64_t PrefixTree::evictable() const {
  return std::count_if(by_use_.begin(), by_use_.end(),
                       [&](const Node* node) { return pool_.holders(node->page) == 1; });
}

}  // namespace qiao::engine
