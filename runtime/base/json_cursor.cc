#include "runtime/base/json_cursor.h"

#include <cstring>
#include <limits>

namespace qiao {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

char* AppendUtf8(uint32_t code, char* out) {
  if (code < 0x80) {
    *out++ = static_cast<char>(code);
  } else if (code < 0x800) {
    *out++ = static_cast<char>(0xc0 | (code >> 6));
    *out++ = static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    *out++ = static_cast<char>(0xe0 | (code >> 12));
    *out++ = static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    *out++ = static_cast<char>(0x80 | (code & 0x3f));
  } else {
    *out++ = static_cast<char>(0xf0 | (code >> 18));
    *out++ = static_cast<char>(0x80 | ((code >> 12) & 0x3f));
    *out++ = static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    *out++ = static_cast<char>(0x80 | (code & 0x3f));
  }
  return out;
}

}  // namespace

size_t Utf8SequenceLength(const char* at, const char* end) {
  const auto byte = [&](int i) { return static_cast<unsigned char>(at[i]); };
  const auto continues = [&](int i, unsigned low = 0x80, unsigned high = 0xbf) {
    return i < end - at && byte(i) >= low && byte(i) <= high;
  };
  if (at >= end) return 0;
  // Table 3-7 of the Unicode standard: the second byte's range rules out overlong forms and surrogates.
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return continues(1) ? 2 : 0;
  if (lead < 0xf0) {
    const unsigned low = lead == 0xe0 ? 0xa0 : 0x80;
    const unsigned high = lead == 0xed ? 0x9f : 0xbf;
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (lead < 0xf5) {
    const unsigned low = lead == 0xf0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xf4 ? 0x8f : 0xbf;
    return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

JsonCursor::JsonCursor(absl::Span<char> buffer, std::string_view what, uint64_t base)
    : begin_(buffer.data()),
      at_(buffer.data()),
      end_(buffer.data() + buffer.size()),
      what_(what),
      base_(base) {}

absl::Status JsonCursor::Error(std::string_view message) const {
  return InvalidArgument("%s: byte %d: %s", what_, base_ + static_cast<uint64_t>(at_ - begin_), message);
}

void JsonCursor::SkipSpace() {
  while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
}

absl::Status JsonCursor::Expect(char c) {
  SkipSpace();
  if (at_ >= end_) return Error(absl::StrFormat("the JSON ends where '%c' should stand", c));
  if (*at_ != c)
    return Error(absl::StrFormat("not the JSON that is expected here: '%c' should stand here", c));
  ++at_;
  return absl::OkStatus();
}

absl::Status JsonCursor::Enter() {
  if (++depth_ > kMaxDepth) return Error(absl::StrFormat("JSON nested deeper than %d levels", kMaxDepth));
  return absl::OkStatus();
}

absl::Status JsonCursor::Object(absl::FunctionRef<absl::Status(std::string_view)> member) {
  QIAO_RETURN_IF_ERROR(Expect('{'));
  QIAO_RETURN_IF_ERROR(Enter());
  SkipSpace();
  if (Peek() == '}') {
    ++at_;
    --depth_;
    return absl::OkStatus();
  }
  for (;;) {
    QIAO_ASSIGN_OR_RETURN(std::string_view key, ReadString());
    QIAO_RETURN_IF_ERROR(Expect(':'));
    QIAO_RETURN_IF_ERROR(member(key));
    SkipSpace();
    if (Peek() != ',') break;
    ++at_;
  }
  --depth_;
  return Expect('}');
}

absl::Status JsonCursor::Array(absl::FunctionRef<absl::Status()> element) {
  QIAO_RETURN_IF_ERROR(Expect('['));
  QIAO_RETURN_IF_ERROR(Enter());
  SkipSpace();
  if (Peek() == ']') {
    ++at_;
    --depth_;
    return absl::OkStatus();
  }
  for (;;) {
    QIAO_RETURN_IF_ERROR(element());
    SkipSpace();
    if (Peek() != ',') break;
    ++at_;
  }
  --depth_;
  return Expect(']');
}

absl::StatusOr<std::string_view> JsonCursor::ReadString() {
  QIAO_RETURN_IF_ERROR(Expect('"'));
  char* const start = at_;
  while (at_ < end_ && static_cast<unsigned char>(*at_) >= 0x20 && static_cast<unsigned char>(*at_) < 0x7f &&
         *at_ != '"' && *at_ != '\\') {
    ++at_;
  }
  char* out = at_;
  while (at_ < end_ && *at_ != '"') {
    if (static_cast<unsigned char>(*at_) < 0x20) return Error("a control character inside a JSON string");
    if (*at_ == '\\') {
      QIAO_RETURN_IF_ERROR(ReadEscape(out));
      continue;
    }
    const size_t length = Utf8SequenceLength(at_, end_);
    if (length == 0) return Error("invalid UTF-8 inside a JSON string");
    std::memmove(out, at_, length);
    out += length;
    at_ += length;
  }
  if (at_ >= end_) return Error("the JSON ends inside a string");
  ++at_;
  return std::string_view(start, static_cast<size_t>(out - start));
}

absl::StatusOr<uint32_t> JsonCursor::ReadHex4() {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    const char c = Peek();
    uint32_t digit;
    if (IsDigit(c)) {
      digit = static_cast<uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint32_t>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<uint32_t>(c - 'A' + 10);
    } else {
      return Error("a \\u escape needs four hexadecimal digits");
    }
    value = value * 16 + digit;
  }
  return value;
}

absl::Status JsonCursor::ReadEscape(char*& out) {
  ++at_;  // the backslash
  const char c = Peek();
  if (at_ < end_) ++at_;
  switch (c) {
    case '"':
    case '\\':
    case '/':
      *out++ = c;
      return absl::OkStatus();
    case 'b':
      *out++ = '\b';
      return absl::OkStatus();
    case 'f':
      *out++ = '\f';
      return absl::OkStatus();
    case 'n':
      *out++ = '\n';
      return absl::OkStatus();
    case 'r':
      *out++ = '\r';
      return absl::OkStatus();
    case 't':
      *out++ = '\t';
      return absl::OkStatus();
    case 'u':
      break;
    default:
      return Error("an escape that JSON does not have");
  }
  QIAO_ASSIGN_OR_RETURN(uint32_t code, ReadHex4());
  if (code >= 0xdc00 && code < 0xe000) return Error("a low surrogate without the high one before it");
  if (code >= 0xd800 && code < 0xdc00) {
    if (end_ - at_ < 2 || at_[0] != '\\' || at_[1] != 'u')
      return Error("a high surrogate without the low one after it");
    at_ += 2;
    QIAO_ASSIGN_OR_RETURN(uint32_t low, ReadHex4());
    if (low < 0xdc00 || low >= 0xe000) return Error("a high surrogate without the low one after it");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  out = AppendUtf8(code, out);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> JsonCursor::ReadUnsigned() {
  SkipSpace();
  if (!IsDigit(Peek())) return Error("a whole number >= 0 should stand here");
  if (Peek() == '0' && end_ - at_ > 1 && IsDigit(at_[1])) return Error("a number with a leading zero");
  int64_t value = 0;
  for (; IsDigit(Peek()); ++at_) {
    const int digit = Peek() - '0';
    if (value > (std::numeric_limits<int64_t>::max() - digit) / 10)
      return Error("a number of more than 63 bits");
    value = value * 10 + digit;
  }
  const char next = Peek();
  if (next == '.' || next == 'e' || next == 'E') return Error("a whole number >= 0 should stand here");
  return value;
}

absl::Status JsonCursor::SkipNumber() {
  const auto digits = [&] {
    const char* const first = at_;
    while (IsDigit(Peek())) ++at_;
    return at_ > first;
  };
  if (Peek() == '-') ++at_;
  const bool zero = Peek() == '0';
  const char* const first = at_;
  if (!digits() || (zero && at_ - first > 1)) return Error("a malformed number");
  if (Peek() == '.') {
    ++at_;
    if (!digits()) return Error("a malformed number");
  }
  if (Peek() == 'e' || Peek() == 'E') {
    ++at_;
    if (Peek() == '+' || Peek() == '-') ++at_;
    if (!digits()) return Error("a malformed number");
  }
  return absl::OkStatus();
}

absl::Status JsonCursor::SkipWord(std::string_view word) {
  if (static_cast<size_t>(end_ - at_) < word.size() || std::string_view(at_, word.size()) != word) {
    return Error("not a JSON value");
  }
  at_ += word.size();
  return absl::OkStatus();
}

absl::Status JsonCursor::SkipValue() {
  SkipSpace();
  if (at_ >= end_) return Error("the JSON ends where a value should stand");
  switch (*at_) {
    case '{':
      return Object([this](std::string_view) { return SkipValue(); });
    case '[':
      return Array([this] { return SkipValue(); });
    case '"':
      return ReadString().status();
    case 't':
      return SkipWord("true");
    case 'f':
      return SkipWord("false");
    case 'n':
      return SkipWord("null");
    default:
      return SkipNumber();
  }
}

absl::Status JsonCursor::End() {
  SkipSpace();
  if (at_ < end_) return Error("something follows the end of the JSON");
  return absl::OkStatus();
}

}  // namespace qiao
