// Byte-pair encoding: a vocabulary of pieces and a ranked list of merges (the "model" of a tokenizer.json).
//
// A word starts as one symbol a character; of all neighbours the pair with the lowest rank is joined,
// leftmost first, until no pair is in the list (Sennrich et al. 2016). A queue makes that O(n log n), so that
// a word of a megabyte takes a second and not a day.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "runtime/base/json.h"

namespace qiao::text {

// Ids above this are refused: tables are indexed by id, and the largest vocabularies have a million pieces.
inline constexpr int64_t kMaxTokenId = (int64_t{2} << 20) - 1;
inline constexpr size_t kMaxPieceBytes = 64 << 10;

// Immutable and thread-safe.
class Bpe {
 public:
  // Memory that EncodeWord reuses from word to word; one a thread.
  struct Scratch {
    struct Symbol {
      int32_t id;
      int32_t previous, next;  // -1: none
    };
    struct Candidate {
      int32_t rank, position, merged;
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> queue;
  };

  // `where` names the model in errors.
  static absl::StatusOr<Bpe> FromJson(const Json& model, std::string_view where);

  // The id of a piece, or -1; the piece of an id, or null.
  int32_t IdOf(std::string_view piece) const;
  const std::string* PieceOf(int32_t id) const;
  int32_t max_id() const { return static_cast<int32_t>(pieces_.size()) - 1; }
  size_t size() const { return ids_.size(); }

  // Appends the ids of one word, a piece of valid UTF-8 of at most INT32_MAX / 2 bytes. With `as_bytes` the
  // word is raw bytes and each counts as its character of the byte alphabet (pretokenizer.h).
  absl::Status EncodeWord(std::string_view word, bool as_bytes, Scratch* scratch,
                          std::vector<int32_t>* ids) const;

 private:
  struct Merge {
    int32_t rank, merged;
  };

  absl::Status ReadOptions(const Json& model, std::string_view where);
  absl::Status ReadVocab(const Json& vocab, std::string_view where);
  absl::Status ReadMerges(const Json& merges, std::string_view where);
  absl::Status AddMerge(std::string_view left, std::string_view right, size_t rank, std::string_view where);
  absl::Status AddSymbols(std::string_view word, Scratch* scratch) const;
  void MergeAll(Scratch* scratch) const;
  void Consider(int32_t left, Scratch* scratch) const;
  static uint64_t PairKey(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }

  std::vector<std::string> pieces_;  // by id
  std::vector<bool> known_;          // by id; ids may have gaps
  absl::flat_hash_map<std::string, int32_t> ids_;
  absl::flat_hash_map<uint64_t, Merge> merges_;
  std::array<int32_t, 256> byte_ids_;  // of the characters of the byte alphabet
  bool all_bytes_ = false;             // byte_ids_ has no gap and pieces have no prefix or suffix
  std::string prefix_, suffix_;        // continuing_subword_prefix, end_of_word_suffix
  std::string unk_;
  int32_t unk_id_ = -1;
  bool fuse_unk_ = false;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
};

}  // namespace qiao::text
