// Small things over std::string_view that parts of the answer's parsing share.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace qiao::serve {

inline bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

inline std::string_view WithoutLeadingSpace(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  return text;
}
inline std::string_view WithoutTrailingSpace(std::string_view text) {
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}
inline std::string_view WithoutSpace(std::string_view text) {
  return WithoutTrailingSpace(WithoutLeadingSpace(text));
}

inline bool Contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

inline std::string Joined(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) text += part;
  return text;
}

}  // namespace qiao::serve
