#include "runtime/text/tokenizer_added.h"

#include <algorithm>

#include "runtime/text/bpe.h"
#include "runtime/text/pretokenizer_unicode.h"
#include "runtime/text/tokenizer_json.h"

namespace qiao::text {
namespace {

// The code point that ends before `end`; `end` must be greater than 0.
uint32_t LastCodePoint(std::string_view text, size_t end, size_t* first) {
  *first = end - 1;
  while ((static_cast<unsigned char>(text[*first]) & 0xC0) == 0x80) --*first;
  int length;
  return DecodeValid(text.data() + *first, &length);
}

bool WordBefore(std::string_view text, size_t at) {
  size_t first;
  return at > 0 && IsWordCharacter(LastCodePoint(text, at, &first));
}

bool WordAfter(std::string_view text, size_t at) {
  int length;
  return at < text.size() && IsWordCharacter(DecodeValid(text.data() + at, &length));
}

}  // namespace

void AddedTokenFinder::Add(std::string key, const AddedToken& token) {
  if (!key.empty()) entries_.push_back({std::move(key), token});
}

void AddedTokenFinder::Finish() {
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const Entry& a, const Entry& b) { return a.key < b.key; });
  for (const Entry& entry : entries_) ++begin_of_byte_[static_cast<unsigned char>(entry.key[0]) + 1];
  for (size_t b = 0; b < 256; ++b) begin_of_byte_[b + 1] += begin_of_byte_[b];
}

const AddedTokenFinder::Entry* AddedTokenFinder::LongestAt(std::string_view text) const {
  const auto byte = static_cast<unsigned char>(text[0]);
  auto low = entries_.begin() + begin_of_byte_[byte];
  auto high = entries_.begin() + begin_of_byte_[byte + 1];
  const Entry* longest = nullptr;
  // [low, high) are the keys that begin with the first `depth` bytes of the text.
  for (size_t depth = 1; low != high; ++depth) {
    if (low->key.size() == depth) {
      longest = &*low;
      while (low != high && low->key.size() == depth) ++low;
    }
    if (depth == text.size()) break;
    const auto next = static_cast<unsigned char>(text[depth]);
    const auto at = [&](const Entry& e) { return static_cast<unsigned char>(e.key[depth]); };
    low = std::partition_point(low, high, [&](const Entry& e) { return at(e) < next; });
    high = std::partition_point(low, high, [&](const Entry& e) { return at(e) <= next; });
  }
  return longest;
}

void AddedTokenFinder::Split(std::string_view text, bool skip_special, std::vector<Found>* parts) const {
  size_t done = 0;
  for (size_t pos = 0; pos < text.size();) {
    const auto byte = static_cast<unsigned char>(text[pos]);
    const Entry* entry =
        begin_of_byte_[byte] == begin_of_byte_[byte + 1] ? nullptr : LongestAt(text.substr(pos));
    if (!entry) {
      ++pos;
      continue;
    }
    size_t first = pos, last = pos + entry->key.size();
    pos = last;  // the search goes on behind a token even if its conditions do not hold
    const AddedToken& token = entry->token;
    if (skip_special && token.special) continue;
    if (token.single_word && (WordBefore(text, first) || WordAfter(text, last))) continue;
    if (token.lstrip) {
      for (size_t before; first > done && IsWhitespace(LastCodePoint(text, first, &before));) first = before;
    }
    if (token.rstrip) {
      int length;
      while (last < text.size() && IsWhitespace(DecodeValid(text.data() + last, &length))) {
        last += static_cast<size_t>(length);
      }
    }
    if (first > done) parts->push_back({{done, first}, -1});
    parts->push_back({{std::min(first, last), last}, token.id});
    done = last;
  }
  if (done < text.size()) parts->push_back({{done, text.size()}, -1});
}

absl::StatusOr<AddedTokens> AddedTokens::FromJson(const Json& list, const Normalizer& normalizer,
                                                  std::string_view where) {
  AddedTokens added;
  if (list.is_null()) return added;
  if (!list.is_array()) return InvalidArgument("%s: must be an array", where);
  if (list.size() > kMaxAddedTokens) {
    return InvalidArgument("%s: %d tokens; at most %d are accepted", where, list.size(), kMaxAddedTokens);
  }
  added.tokens_.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string at = absl::StrFormat("%s[%d]", where, i);
    AddedToken token;
    QIAO_ASSIGN_OR_RETURN(const int64_t id, IntField(list[i], "id", at, 0, kMaxTokenId));
    token.id = static_cast<int32_t>(id);
    QIAO_ASSIGN_OR_RETURN(token.content, StringField(list[i], "content", at));
    QIAO_ASSIGN_OR_RETURN(token.special, BoolField(list[i], "special", at, false));
    QIAO_ASSIGN_OR_RETURN(token.single_word, BoolField(list[i], "single_word", at, false));
    QIAO_ASSIGN_OR_RETURN(token.lstrip, BoolField(list[i], "lstrip", at, false));
    QIAO_ASSIGN_OR_RETURN(token.rstrip, BoolField(list[i], "rstrip", at, false));
    QIAO_ASSIGN_OR_RETURN(token.normalized, BoolField(list[i], "normalized", at, !token.special));
    if (token.content.empty()) return InvalidArgument("%s.content: is empty", at);
    if (token.content.size() > kMaxAddedTokenBytes) {
      return InvalidArgument("%s.content: %d bytes; at most %d are accepted", at, token.content.size(),
                             kMaxAddedTokenBytes);
    }
    if (!added.by_id_.emplace(token.id, i).second) {
      return InvalidArgument("%s.id: %d was given to \"%s\" already", at, token.id,
                             added.tokens_[added.by_id_[token.id]].content);
    }
    if (!added.by_content_.emplace(token.content, i).second) {
      return InvalidArgument("%s.content: \"%s\" was added already", at, token.content);
    }
    if (token.normalized) {
      QIAO_ASSIGN_OR_RETURN(std::string key, normalizer.Apply(token.content));
      if (key.size() > 4 * kMaxAddedTokenBytes)
        return InvalidArgument("%s.content: too long once normalised", at);
      added.normalized_.Add(std::move(key), token);
    } else {
      added.raw_.Add(token.content, token);
    }
    added.tokens_.push_back(std::move(token));
  }
  added.raw_.Finish();
  added.normalized_.Finish();
  return added;
}

const AddedToken* AddedTokens::Find(int32_t id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &tokens_[it->second];
}

const AddedToken* AddedTokens::Find(std::string_view content) const {
  const auto it = by_content_.find(Abs(content));
  return it == by_content_.end() ? nullptr : &tokens_[it->second];
}

}  // namespace qiao::text
