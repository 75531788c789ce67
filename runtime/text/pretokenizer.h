// The "pre_tokenizer" of a tokenizer.json: splits normalised text into the words that are merged on their
// own.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/text/normalizer.h"

namespace qiao::text {

// The byte alphabet of GPT-2: each byte stands as one printable character, itself where it is printable
// Latin-1, else one of U+0100..U+0143.
class ByteAlphabet {
 public:
  // The character of a byte, as UTF-8.
  static std::string_view CharacterOf(unsigned char byte);
  // The byte of a character, or -1.
  static int ByteOf(uint32_t code);
  // Text whose every byte became its character.
  static std::string Map(std::string_view bytes);
  // The bytes that the characters of `text` stand for; if one of them stands for none, `text` itself.
  static std::string Unmap(std::string_view text);
};

// Words of a text: ranges of `text`, none empty.
struct Words {
  std::string text;
  std::vector<TextRange> ranges;
  // The words are still raw bytes; the model sees each byte as its character of the byte alphabet.
  bool as_bytes = false;
};

// Immutable; thread-safe. Supported: null, Sequence, Split, ByteLevel, Digits, Metaspace.
class PreTokenizer {
 public:
  PreTokenizer() = default;  // the whole text is one word
  static absl::StatusOr<PreTokenizer> FromJson(const Json& spec, std::string_view where);

  // `text` must be valid UTF-8. `at_start`: it begins the input (added tokens may come before later pieces).
  absl::StatusOr<Words> Split(std::string text, bool at_start) const;

 private:
  enum class Kind { kSplit, kBytes, kPrefixSpace, kDigits, kMetaspace };
  enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
  enum class Prepend { kAlways, kFirst, kNever };
  struct Step {
    Kind kind;
    Pattern pattern = {};  // kSplit
    Behavior behavior = Behavior::kIsolated;
    bool invert = false;
    bool individual = false;       // kDigits
    std::string replacement = {};  // kMetaspace
    Prepend prepend = Prepend::kAlways;
    bool split = true;
  };

  absl::Status Add(const Json& spec, std::string_view where, int depth);
  absl::Status AddByteLevel(const Json& spec, std::string_view where);
  absl::Status AddMetaspace(const Json& spec, std::string_view where);
  static absl::Status Apply(const Step& step, bool at_start, Words* words);
  static absl::Status ApplySplit(const Step& step, Words* words);
  static void ApplyDigits(const Step& step, Words* words);
  static absl::Status ApplyMetaspace(const Step& step, bool at_start, Words* words);

  std::vector<Step> steps_;
};

}  // namespace qiao::text
