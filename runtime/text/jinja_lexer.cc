#include "runtime/text/jinja_lexer.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/numbers.h"
#include "runtime/text/jinja_unicode.h"

namespace qiao::text::jinja {
namespace {

using absl::Status;
using absl::StatusOr;

// Longest first, so that "//" is not read as two divisions.
constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                           "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool IsDigitByte(char c) { return c >= '0' && c <= '9'; }

// Newlines become "\n"; one newline at the very end is dropped (keep_trailing_newline is off).
std::string NormaliseNewlines(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '\r') {
      out.push_back('\n');
      if (i + 1 < s.size() && s[i + 1] == '\n') ++i;
    } else {
      out.push_back(s[i]);
    }
  }
  return out;
}

class Lexer {
 public:
  Lexer(std::string source, size_t max_tokens)
      : source_(std::move(source)), s_(source_), max_tokens_(max_tokens) {}

  StatusOr<std::vector<Token>> Run() {
    while (pos_ < s_.size()) QIAO_RETURN_IF_ERROR(LexRoot());
    QIAO_RETURN_IF_ERROR(Emit(Token::Type::kEnd, ""));
    return std::move(tokens_);
  }

 private:
  Status LexRoot();
  Status LexRaw();
  Status LexTag(bool print);
  Status LexNumber();
  Status LexString();

  Status Emit(Token::Type type, std::string text) {
    if (tokens_.size() >= max_tokens_)
      return ResourceExhausted("line %d: more than %d tokens", line_, max_tokens_);
    tokens_.push_back({type, line_, std::move(text)});
    return absl::OkStatus();
  }
  bool At(std::string_view what) const { return s_.substr(pos_).starts_with(what); }
  void Advance(size_t end) {
    line_ += static_cast<int>(std::count(s_.begin() + static_cast<std::ptrdiff_t>(pos_),
                                         s_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    pos_ = end;
  }
  size_t SkipSpace(size_t at) const {
    while (at < s_.size()) {
      size_t next = at;
      if (!IsSpace(NextCodePoint(s_, &next))) break;
      at = next;
    }
    return at;
  }
  // Where a closing delimiter that begins at `at` ends, its whitespace control applied; 0 where none begins.
  size_t ClosingEnd(size_t at, std::string_view close, bool trim_newline, bool plus_allowed) const {
    const std::string_view rest = s_.substr(at);
    if (rest.starts_with('-') && rest.substr(1).starts_with(close)) return SkipSpace(at + 1 + close.size());
    if (plus_allowed && rest.starts_with('+') && rest.substr(1).starts_with(close))
      return at + 1 + close.size();
    if (!rest.starts_with(close)) return 0;
    at += close.size();
    return trim_newline && at < s_.size() && s_[at] == '\n' ? at + 1 : at;
  }
  // The text [pos_, tag) before a tag, stripped as the tag's sign and lstrip_blocks ask.
  std::string_view TextBefore(size_t tag, char sign, bool print) const {
    const std::string_view text = s_.substr(pos_, tag - pos_);
    if (sign == '-') return StripSpace(text, false, true);
    if (sign == '+' || print) return text;
    const size_t newline = text.rfind('\n');
    const size_t start = newline == text.npos ? 0 : newline + 1;
    const bool line_starting = pos_ == 0 || s_[pos_ - 1] == '\n';
    if (start == 0 && !line_starting) return text;
    return StripSpace(text.substr(start), true, false).empty() ? text.substr(0, start) : text;
  }

  std::string source_;
  std::string_view s_;
  size_t max_tokens_;
  size_t pos_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

Status Lexer::LexRoot() {
  size_t tag = pos_;
  for (;; ++tag) {
    tag = s_.find('{', tag);
    if (tag == s_.npos || tag + 1 >= s_.size()) {
      tag = s_.npos;
      break;
    }
    if (s_[tag + 1] == '%' || s_[tag + 1] == '{' || s_[tag + 1] == '#') break;
  }
  if (tag == s_.npos) {
    QIAO_RETURN_IF_ERROR(Emit(Token::Type::kData, std::string(s_.substr(pos_))));
    Advance(s_.size());
    return absl::OkStatus();
  }
  const char kind = s_[tag + 1];
  size_t after = tag + 2;
  const char sign = after < s_.size() && (s_[after] == '-' || s_[after] == '+') ? s_[after] : '\0';
  if (sign != '\0') ++after;
  const std::string_view text = TextBefore(tag, sign, kind == '{');
  if (!text.empty()) QIAO_RETURN_IF_ERROR(Emit(Token::Type::kData, std::string(text)));
  Advance(after);
  if (kind == '#') {
    for (size_t at = pos_; at < s_.size(); ++at) {
      if (const size_t end = ClosingEnd(at, "#}", true, true)) {
        Advance(end);
        return absl::OkStatus();
      }
    }
    return InvalidArgument("line %d: missing end of comment tag", line_);
  }
  if (kind == '%') {
    const size_t word = SkipSpace(pos_);
    if (s_.substr(word).starts_with("raw")) {
      // After {% raw %} neither "+" nor the trimming of a newline applies: Jinja's own rule for this tag.
      if (const size_t end = ClosingEnd(SkipSpace(word + 3), "%}", false, false)) {
        Advance(end);
        return LexRaw();
      }
    }
  }
  QIAO_RETURN_IF_ERROR(Emit(kind == '{' ? Token::Type::kPrintBegin : Token::Type::kBlockBegin, ""));
  return LexTag(kind == '{');
}

Status Lexer::LexRaw() {
  for (size_t tag = s_.find("{%", pos_); tag != s_.npos; tag = s_.find("{%", tag + 1)) {
    size_t after = tag + 2;
    const char sign = after < s_.size() && (s_[after] == '-' || s_[after] == '+') ? s_[after] : '\0';
    size_t word = SkipSpace(sign != '\0' ? after + 1 : after);
    if (!s_.substr(word).starts_with("endraw")) continue;
    const size_t end = ClosingEnd(SkipSpace(word + 6), "%}", true, true);
    if (end == 0) continue;
    const std::string_view text = TextBefore(tag, sign, false);
    if (!text.empty()) QIAO_RETURN_IF_ERROR(Emit(Token::Type::kData, std::string(text)));
    Advance(end);
    return absl::OkStatus();
  }
  return InvalidArgument("line %d: missing end of raw directive", line_);
}

Status Lexer::LexTag(bool print) {
  std::string closers;  // of the brackets that are open
  while (pos_ < s_.size()) {
    if (closers.empty()) {
      const size_t end = print ? ClosingEnd(pos_, "}}", false, false) : ClosingEnd(pos_, "%}", true, true);
      if (end != 0) {
        QIAO_RETURN_IF_ERROR(Emit(print ? Token::Type::kPrintEnd : Token::Type::kBlockEnd, ""));
        Advance(end);
        return absl::OkStatus();
      }
    }
    if (const size_t end = SkipSpace(pos_); end != pos_) {
      Advance(end);
      continue;
    }
    const char c = s_[pos_];
    if (IsDigitByte(c)) {
      QIAO_RETURN_IF_ERROR(LexNumber());
      continue;
    }
    if (c == '\'' || c == '"') {
      QIAO_RETURN_IF_ERROR(LexString());
      continue;
    }
    size_t end = pos_;
    while (end < s_.size()) {
      size_t next = end;
      const char32_t letter = NextCodePoint(s_, &next);
      if (letter != '_' && !IsAlnum(letter)) break;
      end = next;
    }
    if (end != pos_) {
      QIAO_RETURN_IF_ERROR(Emit(Token::Type::kName, std::string(s_.substr(pos_, end - pos_))));
      Advance(end);
      continue;
    }
    const auto* op =
        std::find_if(std::begin(kOperators), std::end(kOperators), [&](std::string_view o) { return At(o); });
    if (op == std::end(kOperators)) {
      size_t next = pos_;
      NextCodePoint(s_, &next);
      return InvalidArgument("line %d: unexpected character '%s'", line_, s_.substr(pos_, next - pos_));
    }
    if (c == '(') closers.push_back(')');
    if (c == '[') closers.push_back(']');
    if (c == '{') closers.push_back('}');
    if (c == ')' || c == ']' || c == '}') {
      if (closers.empty()) return InvalidArgument("line %d: unexpected '%c'", line_, c);
      if (closers.back() != c)
        return InvalidArgument("line %d: unexpected '%c', expected '%c'", line_, c, closers.back());
      closers.pop_back();
    }
    QIAO_RETURN_IF_ERROR(Emit(Token::Type::kOperator, std::string(*op)));
    Advance(pos_ + op->size());
  }
  return absl::OkStatus();  // the parser reports the end of the template in its own terms
}

// Digits with single underscores between them, from `at`; returns the end.
size_t DigitsEnd(std::string_view s, size_t at, int base) {
  const auto digit = [&](size_t i) {
    if (i >= s.size()) return false;
    const char c = s[i];
    if (base <= 10) return c >= '0' && c < '0' + base;
    return IsDigitByte(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  };
  while (digit(at) || (at < s.size() && s[at] == '_' && digit(at + 1))) ++at;
  return at;
}

Status Lexer::LexNumber() {
  const size_t start = pos_;
  const auto without_underscores = [&](size_t from, size_t end) {
    std::string text(s_.substr(from, end - from));
    std::erase(text, '_');
    return text;
  };
  size_t end = DigitsEnd(s_, start, 10);
  if (start == 0 || s_[start - 1] != '.') {
    size_t at = end;
    bool is_float = false;
    if (at + 1 < s_.size() && s_[at] == '.' && IsDigitByte(s_[at + 1])) {
      at = DigitsEnd(s_, at + 1, 10);
      is_float = true;
    }
    if (at < s_.size() && (s_[at] == 'e' || s_[at] == 'E')) {
      size_t digits = at + 1;
      if (digits < s_.size() && (s_[digits] == '+' || s_[digits] == '-')) ++digits;
      if (digits < s_.size() && IsDigitByte(s_[digits])) {
        at = DigitsEnd(s_, digits, 10);
        is_float = true;
      }
    }
    if (is_float) {
      QIAO_RETURN_IF_ERROR(Emit(Token::Type::kFloat, std::string(s_.substr(start, at - start))));
      if (!absl::SimpleAtod(without_underscores(start, at), &tokens_.back().number)) {
        return InvalidArgument("line %d: bad number '%s'", line_, tokens_.back().text);
      }
      Advance(at);
      return absl::OkStatus();
    }
  }
  int base = 10;
  size_t first = start;
  if (s_[start] == '0' && start + 2 < s_.size()) {
    const char mark = static_cast<char>(s_[start + 1] | 0x20);
    const int marked = mark == 'b' ? 2 : mark == 'o' ? 8 : mark == 'x' ? 16 : 0;
    if (marked != 0 && DigitsEnd(s_, start + 2, marked) > start + 2) {
      base = marked;
      first = start + 2;
      end = DigitsEnd(s_, first, base);
    }
  }
  if (base == 10 && s_[start] == '0') {  // zeros only: "012" is two tokens
    end = start + 1;
    while (end < s_.size() &&
           (s_[end] == '0' || (s_[end] == '_' && end + 1 < s_.size() && s_[end + 1] == '0')))
      ++end;
  }
  const std::string digits = without_underscores(first, end);
  QIAO_RETURN_IF_ERROR(Emit(Token::Type::kInteger, std::string(s_.substr(start, end - start))));
  const auto result =
      std::from_chars(digits.data(), digits.data() + digits.size(), tokens_.back().integer, base);
  if (result.ec != std::errc() || result.ptr != digits.data() + digits.size()) {
    return InvalidArgument("line %d: the integer %s does not fit 64 bits", line_, tokens_.back().text);
  }
  Advance(end);
  return absl::OkStatus();
}

// Reads `count` hexadecimal digits at `at`; false where they are not there.
bool HexDigits(std::string_view s, size_t at, size_t count, uint32_t* value) {
  if (at + count > s.size()) return false;
  const auto result = std::from_chars(s.data() + at, s.data() + at + count, *value, 16);
  return result.ec == std::errc() && result.ptr == s.data() + at + count;
}

Status Lexer::LexString() {
  const char quote = s_[pos_];
  std::string out;
  size_t at = pos_ + 1;
  for (;;) {
    if (at >= s_.size()) return InvalidArgument("line %d: a string has no end", line_);
    const char c = s_[at];
    if (c == quote) break;
    if (c != '\\') {
      out.push_back(c);
      ++at;
      continue;
    }
    if (at + 1 >= s_.size()) return InvalidArgument("line %d: a string has no end", line_);
    const char e = s_[at + 1];
    at += 2;
    constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t simple = kFrom.find(e); simple != kFrom.npos) {
      out.push_back(kTo[simple]);
    } else if (e == '\n') {
      // A backslash before a line's end joins the lines.
    } else if (e >= '0' && e <= '7') {
      uint32_t code = static_cast<uint32_t>(e - '0');
      for (int i = 0; i < 2 && at < s_.size() && s_[at] >= '0' && s_[at] <= '7'; ++i)
        code = code * 8 + static_cast<uint32_t>(s_[at++] - '0');
      AppendCodePoint(code, &out);
    } else if (e == 'x' || e == 'u' || e == 'U') {
      const size_t count = e == 'x' ? 2 : e == 'u' ? 4 : 8;
      uint32_t code = 0;
      if (!HexDigits(s_, at, count, &code))
        return InvalidArgument("line %d: truncated \\%c escape in a string", line_, e);
      if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
        return InvalidArgument("line %d: the escape \\%c%s is no character", line_, e, s_.substr(at, count));
      }
      at += count;
      AppendCodePoint(code, &out);
    } else if (e == 'N') {
      return InvalidArgument("line %d: \\N{...} escapes are not supported; write the character", line_);
    } else if (static_cast<unsigned char>(e) >= 0x80) {
      // Jinja spells the character as an escape before it unescapes, so that the backslash guards that
      // escape.
      size_t next = at - 1;
      const uint32_t code = NextCodePoint(s_, &next);
      out += code < 0x100     ? absl::StrFormat("\\x%02x", code)
             : code < 0x10000 ? absl::StrFormat("\\u%04x", code)
                              : absl::StrFormat("\\U%08x", code);
      at = next;
    } else {
      out.push_back('\\');
      out.push_back(e);
    }
  }
  QIAO_RETURN_IF_ERROR(Emit(Token::Type::kString, std::move(out)));
  Advance(at + 1);
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::vector<Token>> Lex(std::string_view source, size_t max_tokens) {
  std::string text = NormaliseNewlines(source);
  if (text.ends_with('\n')) text.pop_back();
  return Lexer(std::move(text), max_tokens).Run();
}

}  // namespace qiao::text::jinja
