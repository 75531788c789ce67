// The character classes of RFC 9110 and 9112.
#pragma once

#include <string_view>

#include "absl/strings/match.h"
#include "runtime/base/status.h"

namespace qiao::serve {

inline bool IsTokenCharacter(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
inline bool IsToken(std::string_view text) {
  for (const char c : text) {
    if (!IsTokenCharacter(c)) return false;
  }
  return !text.empty();
}

// Of a header's value: visible ASCII, space, tab, and bytes from 0x80 on.
inline bool IsValueCharacter(char c) {
  const unsigned char u = static_cast<unsigned char>(c);
  return u == '\t' || (u >= 0x20 && u != 0x7F);
}

inline bool IsVisible(char c) { return c > 0x20 && c < 0x7F; }
inline bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Of ASCII letters only.
inline bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return absl::EqualsIgnoreCase(Abs(a), Abs(b));
}

}  // namespace qiao::serve
