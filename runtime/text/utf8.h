// UTF-8: one step forward over bytes that may be anything, and the repair of what is not UTF-8.
//
// Invalid bytes are replaced as the Unicode standard recommends (section 3.9, "maximal subparts") and as
// Python's errors="replace" and Rust's from_utf8_lossy do: each longest prefix of a valid sequence that goes
// no further, else each single byte, becomes one U+FFFD.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qiao::text {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
inline constexpr uint32_t kMaxCodePoint = 0x10FFFF;

struct Utf8Step {
  uint32_t code;   // the code point; meaningless unless valid
  uint8_t length;  // bytes of the code point or of the maximal invalid subpart, at least 1
  bool valid;
  bool incomplete;  // not valid, and the text ends before it could be told
};

// The first step of `text`, which must not be empty.
Utf8Step NextCodePoint(std::string_view text);

// Decodes at `p`, which must point to the first byte of a valid sequence.
inline uint32_t DecodeValid(const char* p, int* length) {
  const auto* s = reinterpret_cast<const unsigned char*>(p);
  if (s[0] < 0x80) return *length = 1, s[0];
  if (s[0] < 0xE0) return *length = 2, (s[0] & 0x1Fu) << 6 | (s[1] & 0x3Fu);
  if (s[0] < 0xF0) return *length = 3, (s[0] & 0x0Fu) << 12 | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu);
  return *length = 4, (s[0] & 0x07u) << 18 | (s[1] & 0x3Fu) << 12 | (s[2] & 0x3Fu) << 6 | (s[3] & 0x3Fu);
}

void AppendUtf8(uint32_t code, std::string* out);
bool IsValidUtf8(std::string_view text);
std::string ReplaceInvalidUtf8(std::string_view text);

// Repairs a stream of bytes: what Append has written after any sequence of pushes, and Finish at the end,
// together equal ReplaceInvalidUtf8 of all the bytes. At most three bytes are held back.
class Utf8Stream {
 public:
  void Append(std::string_view bytes, std::string* out);
  void Finish(std::string* out);

 private:
  std::string held_;
};

}  // namespace qiao::text
