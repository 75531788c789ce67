// Text from tokens as they are generated: whole characters only, and where to stop.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/detokenizer_decoder.h"
#include "runtime/text/tokenizer.h"

namespace qiao::text {

// For one sequence of tokens and one thread. What Push returned, one after another, and then Finish, is what
// Tokenizer::Decode gives for all ids; each part is valid UTF-8, and bytes that may still become a character
// are held. (With a decoder that has ByteFallback the text of byte tokens is held until another token ends
// their run, because one bad byte in a run turns the whole of it into U+FFFD.) The tokenizer must outlive it.
class Detokenizer {
 public:
  Detokenizer(const Tokenizer* tokenizer, bool skip_special)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  std::string Push(int32_t id);
  std::string Finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  Decoder::State state_;
};

// Ends a text at the first of several stop strings. Text that could be the beginning of one is held back. The
// result does not depend on how the text is cut into pushes: the stop string whose end comes first counts,
// the longest of those that end together. The stop string itself is not part of the text.
class StopMatcher {
 public:
  // Empty stop strings are ignored.
  explicit StopMatcher(std::vector<std::string> stops);

  // The text that is now certain. After stopped(), everything that follows is dropped.
  std::string Push(std::string_view text);
  // The text that was held back and begins no stop string after all.
  std::string Finish();

  bool stopped() const { return matched_ >= 0; }
  // The index of the stop string in the constructor's list, or -1.
  int matched() const { return matched_; }

 private:
  struct Stop {
    std::string text;
    int index;
    std::vector<size_t> border = {};  // [n]: the longest proper prefix of text[0, n) that is also its suffix
    size_t length = 0;                // of the longest prefix that ends the text so far
  };

  std::vector<Stop> stops_;
  std::string held_;
  int matched_ = -1;
};

}  // namespace qiao::text
