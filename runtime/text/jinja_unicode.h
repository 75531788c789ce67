// Code points as Python's str sees them: the classes and case mappings behind strip, upper, isdigit, repr and
// the like. The tables are read out of Python (make_jinja_unicode.py); the one context rule that Python
// applies, a final sigma, is applied too.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qiao::text::jinja {

// Reads the code point at `*pos` and moves past it. A byte that begins no valid UTF-8 sequence is read as one
// code point of its own (0xDC00 + byte, as Python's surrogateescape does), so that no input stops or overruns
// a walk.
char32_t NextCodePoint(std::string_view s, size_t* pos);
// The inverse, including the escaped bytes.
void AppendCodePoint(char32_t c, std::string* out);

size_t CodePointCount(std::string_view s);
std::vector<char32_t> CodePoints(std::string_view s);
std::string FromCodePoints(const char32_t* first, const char32_t* last);
bool IsAscii(std::string_view s);

bool IsSpace(char32_t c);
bool IsAlpha(char32_t c);
bool IsDecimal(char32_t c);
bool IsDigit(char32_t c);
bool IsNumeric(char32_t c);
bool IsLower(char32_t c);
bool IsUpper(char32_t c);
bool IsTitle(char32_t c);
bool IsPrintable(char32_t c);
inline bool IsAlnum(char32_t c) { return IsAlpha(c) || IsDecimal(c) || IsDigit(c) || IsNumeric(c); }
inline bool IsCased(char32_t c) { return IsLower(c) || IsUpper(c) || IsTitle(c); }

std::string ToUpper(std::string_view s);
std::string ToLower(std::string_view s);
std::string Casefold(std::string_view s);
std::string Capitalize(std::string_view s);  // first to title case, the rest lower
std::string TitleCase(std::string_view s);   // str.title(): every run of cased letters
std::string SwapCase(std::string_view s);

// `s` without the whitespace at its ends.
std::string_view StripSpace(std::string_view s, bool left, bool right);

}  // namespace qiao::text::jinja
