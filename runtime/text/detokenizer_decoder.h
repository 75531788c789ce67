// The "decoder" of a tokenizer.json: from pieces back to text, piece by piece.
//
// One pipeline serves decoding all at once and in a stream, so both give the same text by construction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/normalizer.h"
#include "runtime/text/utf8.h"

namespace qiao::text {

// Immutable; thread-safe. Supported: null (pieces joined by spaces), ByteLevel, Sequence, Replace,
// ByteFallback, Fuse, Strip, Metaspace. After a part that joins pieces (ByteLevel, Fuse) only Fuse and a
// Strip at the start may follow.
class Decoder {
 public:
  // What a stream has seen and holds back.
  struct State {
    uint64_t pieces = 0;
    Utf8Stream utf8;        // ByteLevel: bytes that are not yet a whole character
    std::string byte_run;   // ByteFallback: bytes whose run has not ended
    uint64_t stripped = 0;  // Strip behind Fuse: characters taken off so far
    bool strip_over = false;
  };

  Decoder() = default;
  static absl::StatusOr<Decoder> FromJson(const Json& spec, std::string_view where);

  // Appends to *out what the next piece makes certain.
  void Push(std::string_view piece, State* state, std::string* out) const;
  // Appends what was held back; the state is then spent.
  void Finish(State* state, std::string* out) const;

  // The bytes that a piece adds to a text when whole characters are not looked at.
  std::string BytesOf(std::string_view piece) const;

 private:
  enum class Kind { kByteLevel, kReplace, kByteFallback, kFuse, kStrip, kMetaspace };
  struct Step {
    Kind kind;
    Pattern pattern = {};                      // kReplace
    std::string content = {};                  // kReplace; kStrip and kMetaspace: the character
    uint64_t strip_first = 0, strip_last = 0;  // kStrip
    bool fused = false;                        // pieces have been joined before this step
    bool drop_first = false;                   // kMetaspace: the characters in the first piece vanish
  };

  absl::Status Add(const Json& spec, std::string_view where, int depth);
  void Run(size_t step, std::string piece, State* state, std::string* out) const;
  void FlushByteRun(size_t step, State* state, std::string* out) const;
  static std::string StripPiece(const Step& step, std::string_view piece);
  static std::string ReplaceMetaspace(const Step& step, std::string_view piece, bool first);

  std::vector<Step> steps_;
  bool join_with_spaces_ = false;
};

}  // namespace qiao::text
