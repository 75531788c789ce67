#include "tests/tools/xml.h"

#include <cctype>
#include <set>
#include <vector>

namespace qiao::tools {
namespace {

bool IsName(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == ':'; }

// Text, or the value of an attribute.
bool GoodText(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '<' || c == 0x7f || (c < 0x20 && c != '\n' && c != '\t')) return false;
    if (c != '&') continue;
    const size_t end = text.find(';', i);
    if (end == std::string_view::npos) return false;
    static const std::set<std::string_view> known = {"amp", "lt", "gt", "quot", "apos"};
    if (known.count(text.substr(i + 1, end - i - 1)) == 0) return false;
  }
  return true;
}

// What stands between < and >, after the name: ` a="b" c="d"`.
bool GoodAttributes(std::string_view text) {
  std::set<std::string_view> seen;
  while (!text.empty()) {
    if (text[0] != ' ') return false;
    text.remove_prefix(1);
    size_t name = 0;
    while (name < text.size() && IsName(text[name])) ++name;
    if (name == 0 || text.substr(name, 2) != "=\"" || !seen.insert(text.substr(0, name)).second) return false;
    const size_t end = text.find('"', name + 2);
    if (end == std::string_view::npos || !GoodText(text.substr(name + 2, end - name - 2))) return false;
    text.remove_prefix(end + 1);
  }
  return true;
}

}  // namespace

std::string XmlError(std::string_view xml) {
  std::vector<std::string_view> open;
  bool began = false;
  while (!xml.empty()) {
    const size_t tag = xml.find('<');
    const std::string_view text = xml.substr(0, tag);
    if (!GoodText(text)) return "bad text: " + std::string(text);
    if (open.empty() && text.find_first_not_of("\n ") != std::string_view::npos) return "text outside";
    if (tag == std::string_view::npos) break;
    const size_t end = xml.find('>', tag);
    if (end == std::string_view::npos) return "a tag does not end";
    std::string_view inside = xml.substr(tag + 1, end - tag - 1);
    xml.remove_prefix(end + 1);
    const std::string shown(inside);
    if (!inside.empty() && inside[0] == '/') {
      if (open.empty() || open.back() != inside.substr(1)) return "closes what is not open: " + shown;
      open.pop_back();
      continue;
    }
    if (open.empty() && began) return "a second root: " + shown;
    began = true;
    const bool empty = !inside.empty() && inside.back() == '/';
    if (empty) inside.remove_suffix(1);
    size_t name = 0;
    while (name < inside.size() && IsName(inside[name])) ++name;
    if (name == 0 || !GoodAttributes(inside.substr(name))) return "bad tag: " + shown;
    if (!empty) open.push_back(inside.substr(0, name));
  }
  if (!open.empty()) return "not closed: " + std::string(open.back());
  return began ? "" : "nothing there";
}

}  // namespace qiao::tools
