#include "runtime/text/bpe.h"

#include <algorithm>
#include <utility>

#include "runtime/text/pretokenizer.h"
#include "runtime/text/tokenizer_json.h"
#include "runtime/text/utf8.h"

namespace qiao::text {
namespace {

// A heap's top is its largest element: lower ranks, then earlier positions, come first.
struct Later {
  bool operator()(const Bpe::Scratch::Candidate& a, const Bpe::Scratch::Candidate& b) const {
    return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
  }
};

// A piece as an error shows it: hostile ones are long.
std::string_view Short(std::string_view piece) { return piece.substr(0, 80); }

}  // namespace

absl::StatusOr<Bpe> Bpe::FromJson(const Json& model, std::string_view where) {
  Bpe bpe;
  QIAO_RETURN_IF_ERROR(bpe.ReadOptions(model, where));
  QIAO_RETURN_IF_ERROR(bpe.ReadVocab(Field(model, "vocab"), where));
  QIAO_RETURN_IF_ERROR(bpe.ReadMerges(Field(model, "merges"), where));
  if (!bpe.unk_.empty()) {
    bpe.unk_id_ = bpe.IdOf(bpe.unk_);
    if (bpe.unk_id_ < 0)
      return InvalidArgument("%s.unk_token: \"%s\" is not in vocab", where, Short(bpe.unk_));
  }
  bpe.all_bytes_ = bpe.prefix_.empty() && bpe.suffix_.empty();
  for (int b = 0; b < 256; ++b) {
    const int32_t id = bpe.IdOf(ByteAlphabet::CharacterOf(static_cast<unsigned char>(b)));
    bpe.byte_ids_[static_cast<size_t>(b)] = id;
    bpe.all_bytes_ &= id >= 0;
  }
  return bpe;
}

absl::Status Bpe::ReadOptions(const Json& model, std::string_view where) {
  // Files older than tokenizers 0.9 name no type; their models have merges.
  QIAO_ASSIGN_OR_RETURN(const std::string type, StringField(model, "type", where, "BPE"));
  if (type != "BPE") return Unimplemented("%s.type: \"%s\" is not supported, only BPE is", where, type);
  // A dropout of 0 drops nothing.
  const Json& dropout = Field(model, "dropout");
  if (!dropout.is_null() && !(dropout.is_number() && dropout.get<double>() == 0)) {
    return Unimplemented("%s.dropout: must be null; encoding with dropout is for training", where);
  }
  QIAO_ASSIGN_OR_RETURN(unk_, StringField(model, "unk_token", where, ""));
  QIAO_ASSIGN_OR_RETURN(prefix_, StringField(model, "continuing_subword_prefix", where, ""));
  QIAO_ASSIGN_OR_RETURN(suffix_, StringField(model, "end_of_word_suffix", where, ""));
  QIAO_ASSIGN_OR_RETURN(fuse_unk_, BoolField(model, "fuse_unk", where, false));
  QIAO_ASSIGN_OR_RETURN(byte_fallback_, BoolField(model, "byte_fallback", where, false));
  QIAO_ASSIGN_OR_RETURN(ignore_merges_, BoolField(model, "ignore_merges", where, false));
  return absl::OkStatus();
}

absl::Status Bpe::ReadVocab(const Json& vocab, std::string_view where) {
  if (!vocab.is_object()) return InvalidArgument("%s.vocab: must be an object of piece: id", where);
  if (vocab.size() > static_cast<size_t>(kMaxTokenId) + 1) {
    return InvalidArgument("%s.vocab: %d pieces; at most %d are accepted", where, vocab.size(),
                           kMaxTokenId + 1);
  }
  ids_.reserve(vocab.size());
  int64_t max_id = -1;
  for (const auto& [piece, id] : vocab.items()) {
    if (!IsIndex(id, kMaxTokenId)) {
      return InvalidArgument("%s.vocab[\"%s\"]: the id must be an integer from 0 to %d", where, Short(piece),
                             kMaxTokenId);
    }
    if (piece.size() > kMaxPieceBytes) {
      return InvalidArgument("%s.vocab[\"%s\"...]: a piece of %d bytes; at most %d are accepted", where,
                             Short(piece), piece.size(), kMaxPieceBytes);
    }
    max_id = std::max(max_id, id.get<int64_t>());
  }
  pieces_.resize(static_cast<size_t>(max_id + 1));
  known_.resize(pieces_.size());
  for (const auto& [piece, json_id] : vocab.items()) {
    const auto id = json_id.get<size_t>();
    if (known_[id]) {
      return InvalidArgument("%s.vocab: \"%s\" and \"%s\" have the same id %d", where, Short(pieces_[id]),
                             Short(piece), id);
    }
    known_[id] = true;
    pieces_[id] = piece;
    ids_.emplace(piece, static_cast<int32_t>(id));
  }
  return absl::OkStatus();
}

absl::Status Bpe::ReadMerges(const Json& merges, std::string_view where) {
  if (!merges.is_array()) return InvalidArgument("%s.merges: must be an array", where);
  if (merges.size() > INT32_MAX) return InvalidArgument("%s.merges: too many", where);
  merges_.reserve(merges.size());
  size_t rank = 0;
  for (const Json& merge : merges) {
    if (merge.is_string()) {
      const std::string_view text = merge.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
        return InvalidArgument("%s.merges[%d]: \"%s\" is not two pieces with one space between", where, rank,
                               Short(text));
      }
      QIAO_RETURN_IF_ERROR(AddMerge(text.substr(0, space), text.substr(space + 1), rank, where));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      QIAO_RETURN_IF_ERROR(AddMerge(merge[0].get_ref<const std::string&>(),
                                    merge[1].get_ref<const std::string&>(), rank, where));
    } else {
      return InvalidArgument("%s.merges[%d]: must be \"a b\" or [\"a\", \"b\"]", where, rank);
    }
    ++rank;
  }
  return absl::OkStatus();
}

absl::Status Bpe::AddMerge(std::string_view left, std::string_view right, size_t rank,
                           std::string_view where) {
  const int32_t left_id = IdOf(left), right_id = IdOf(right);
  if (left_id < 0 || right_id < 0) {
    return InvalidArgument("%s.merges[%d]: \"%s\" is not in vocab", where, rank,
                           Short(left_id < 0 ? left : right));
  }
  if (right.size() < prefix_.size()) {
    return InvalidArgument("%s.merges[%d]: \"%s\" is shorter than continuing_subword_prefix", where, rank,
                           right);
  }
  std::string joined(left);
  joined.append(right.substr(prefix_.size()));
  const int32_t merged = IdOf(joined);
  if (merged < 0) return InvalidArgument("%s.merges[%d]: \"%s\" is not in vocab", where, rank, Short(joined));
  // Of a pair that is listed twice the last rank holds, as in the original.
  merges_[PairKey(left_id, right_id)] = {static_cast<int32_t>(rank), merged};
  return absl::OkStatus();
}

int32_t Bpe::IdOf(std::string_view piece) const {
  const auto it = ids_.find(Abs(piece));
  return it == ids_.end() ? -1 : it->second;
}

const std::string* Bpe::PieceOf(int32_t id) const {
  if (id < 0 || id > max_id() || !known_[static_cast<size_t>(id)]) return nullptr;
  return &pieces_[static_cast<size_t>(id)];
}

absl::Status Bpe::EncodeWord(std::string_view word, bool as_bytes, Scratch* scratch,
                             std::vector<int32_t>* ids) const {
  if (word.empty()) return absl::OkStatus();
  std::string mapped;
  const bool by_byte = as_bytes && all_bytes_;
  if (as_bytes && (!all_bytes_ || ignore_merges_)) mapped = ByteAlphabet::Map(word);
  const std::string_view text = mapped.empty() ? word : std::string_view(mapped);
  if (ignore_merges_) {
    if (const int32_t id = IdOf(text); id >= 0) {
      ids->push_back(id);
      return absl::OkStatus();
    }
  }
  scratch->symbols.clear();
  if (by_byte) {
    for (const char c : word) scratch->symbols.push_back({byte_ids_[static_cast<unsigned char>(c)], 0, 0});
  } else {
    QIAO_RETURN_IF_ERROR(AddSymbols(text, scratch));
  }
  MergeAll(scratch);
  if (!scratch->symbols.empty()) {
    for (int32_t i = 0; i >= 0; i = scratch->symbols[static_cast<size_t>(i)].next) {
      ids->push_back(scratch->symbols[static_cast<size_t>(i)].id);
    }
  }
  return absl::OkStatus();
}

absl::Status Bpe::AddSymbols(std::string_view word, Scratch* scratch) const {
  const auto add = [&](int32_t id) { scratch->symbols.push_back({id, 0, 0}); };
  bool unk_pending = false;
  std::string piece;
  for (size_t pos = 0; pos < word.size();) {
    int length;
    DecodeValid(word.data() + pos, &length);
    const size_t end = pos + static_cast<size_t>(length);
    std::string_view key = word.substr(pos, static_cast<size_t>(length));
    if ((pos > 0 && !prefix_.empty()) || (end == word.size() && !suffix_.empty())) {
      piece = pos > 0 ? prefix_ : "";
      piece.append(key);
      if (end == word.size()) piece.append(suffix_);
      key = piece;
    }
    pos = end;
    if (const int32_t id = IdOf(key); id >= 0) {
      if (unk_pending) add(unk_id_);
      unk_pending = false;
      add(id);
      continue;
    }
    if (byte_fallback_) {
      const size_t before = scratch->symbols.size();
      bool all = true;
      for (const char c : key) {
        const int32_t id = IdOf(absl::StrFormat("<0x%02X>", static_cast<unsigned char>(c)));
        all &= id >= 0;
        add(id);
      }
      if (all) continue;
      scratch->symbols.resize(before);
    }
    // Without an unk_token, what the vocabulary lacks is dropped.
    if (unk_id_ < 0) continue;
    if (unk_pending && !fuse_unk_) add(unk_id_);
    unk_pending = true;
  }
  if (unk_pending) add(unk_id_);
  return absl::OkStatus();
}

void Bpe::Consider(int32_t left, Scratch* scratch) const {
  const int32_t right = scratch->symbols[static_cast<size_t>(left)].next;
  if (right < 0) return;
  const auto it = merges_.find(PairKey(scratch->symbols[static_cast<size_t>(left)].id,
                                       scratch->symbols[static_cast<size_t>(right)].id));
  if (it == merges_.end()) return;
  scratch->queue.push_back({it->second.rank, left, it->second.merged});
}

void Bpe::MergeAll(Scratch* scratch) const {
  std::vector<Scratch::Symbol>& symbols = scratch->symbols;
  std::vector<Scratch::Candidate>& queue = scratch->queue;
  constexpr int32_t kGone = -1;
  queue.clear();
  const auto n = static_cast<int32_t>(symbols.size());
  for (int32_t i = 0; i < n; ++i) {
    symbols[static_cast<size_t>(i)].previous = i - 1;
    symbols[static_cast<size_t>(i)].next = i + 1 < n ? i + 1 : -1;
  }
  for (int32_t i = 0; i + 1 < n; ++i) Consider(i, scratch);
  std::make_heap(queue.begin(), queue.end(), Later());
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), Later());
    const Scratch::Candidate top = queue.back();
    queue.pop_back();
    Scratch::Symbol& left = symbols[static_cast<size_t>(top.position)];
    if (left.id == kGone || left.next < 0) continue;
    const int32_t gone = left.next;
    Scratch::Symbol& right = symbols[static_cast<size_t>(gone)];
    // The pair may have changed since it was queued. It counts as the same if it still merges to the same
    // piece.
    const auto it = merges_.find(PairKey(left.id, right.id));
    if (it == merges_.end() || it->second.merged != top.merged) continue;
    left.id = top.merged;
    left.next = right.next;
    right.id = kGone;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = top.position;
    const auto push = [&](int32_t position) {
      const size_t before = queue.size();
      Consider(position, scratch);
      if (queue.size() > before) std::push_heap(queue.begin(), queue.end(), Later());
    };
    if (left.previous >= 0) push(left.previous);
    push(top.position);
  }
}

}  // namespace qiao::text
