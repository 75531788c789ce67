// Reads JSON of a known form in one pass, without building a document: for headers with a hundred thousand
// entries. It is as strict as ParseJson: valid UTF-8, no lone surrogates, no trailing commas, bounded depth.
//
//   JsonCursor json(text, "model.safetensors");
//   QIAO_RETURN_IF_ERROR(json.Object([&](std::string_view key) -> absl::Status {
//     if (key != "shape") return json.SkipValue();
//     return json.Array([&] { ... json.ReadUnsigned() ... });
//   }));
//   return json.End();
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "runtime/base/status.h"

namespace qiao {

// Works in place: a string with escapes is decoded over its own source, which is never shorter, so the caller
// gives a buffer that may be changed, and the strings that come back are views into it. After an error the
// cursor is spent.
class JsonCursor {
 public:
  static constexpr int kMaxDepth = 64;

  // `what` names the text in errors and must outlive the cursor, as must the buffer. `base` is added to the
  // byte offsets in errors, for a text that begins inside a file.
  JsonCursor(absl::Span<char> buffer, std::string_view what, uint64_t base = 0);

  // Reads an object; calls `member` with each key when the cursor stands before its value, which it must
  // read. Keys are not checked for duplicates: the caller knows where that matters.
  absl::Status Object(absl::FunctionRef<absl::Status(std::string_view key)> member);
  // Reads an array; calls `element` before each element, which it must read.
  absl::Status Array(absl::FunctionRef<absl::Status()> element);
  absl::StatusOr<std::string_view> ReadString();
  // A whole number without sign, point or exponent that fits in 63 bits.
  absl::StatusOr<int64_t> ReadUnsigned();
  // Any value, checked and dropped.
  absl::Status SkipValue();
  // Only white space may follow.
  absl::Status End();

  // An error about what lies before the cursor: INVALID_ARGUMENT "WHAT: byte OFFSET: MESSAGE".
  absl::Status Error(std::string_view message) const;

 private:
  char Peek() const { return at_ < end_ ? *at_ : '\0'; }
  void SkipSpace();
  absl::Status Expect(char c);
  absl::Status Enter();
  absl::Status SkipNumber();
  absl::Status SkipWord(std::string_view word);
  absl::Status ReadEscape(char*& out);
  absl::StatusOr<uint32_t> ReadHex4();

  const char* begin_;
  char* at_;
  char* end_;
  std::string_view what_;
  uint64_t base_;
  int depth_ = 0;
};

// Bytes of the UTF-8 sequence that [at, end) begins with, 0 where it is none (overlong forms, surrogates,
// values above U+10FFFF and sequences cut short are none).
size_t Utf8SequenceLength(const char* at, const char* end);

}  // namespace qiao
