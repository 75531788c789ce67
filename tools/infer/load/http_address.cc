#include "tools/infer/load/http_address.h"

#include <algorithm>
#include <cctype>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tools/infer/exit.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

constexpr size_t kMostHost = 253, kMostPath = 1024;

bool IsHostCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_';
}
bool IsAddressCharacter(char c) {
  return std::isxdigit(static_cast<unsigned char>(c)) != 0 || c == ':' || c == '.';
}
bool IsPathCharacter(char c) { return c > ' ' && c < 0x7f && c != '?' && c != '#' && c != '\\'; }

bool All(std::string_view text, bool (*is)(char)) { return std::all_of(text.begin(), text.end(), is); }

// Takes "host", "host:port" or "[v6]:port".
bool SplitAuthority(std::string_view text, HttpAddress& address) {
  std::string_view port;
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return false;
    address.host = text.substr(1, close - 1);
    if (!All(address.host, IsAddressCharacter)) return false;
    port = text.substr(close + 1);
    if (!port.empty() && port.front() != ':') return false;
    if (!port.empty()) port.remove_prefix(1);
    if (port.empty() && close + 1 < text.size()) return false;
  } else {
    const size_t colon = text.find(':');
    address.host = text.substr(0, colon);
    if (!All(address.host, IsHostCharacter)) return false;
    if (colon != std::string_view::npos) {
      port = text.substr(colon + 1);
      if (port.empty()) return false;
    }
  }
  if (address.host.empty() || address.host.size() > kMostHost) return false;
  if (port.empty()) return true;
  uint32_t number = 0;
  if (!std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; })) return false;
  if (!absl::SimpleAtoi(Abs(port), &number) || number < 1 || number > 65535) return false;
  address.port = static_cast<uint16_t>(number);
  return true;
}

}  // namespace

std::string HttpAddress::Authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : absl::StrCat("[", host, "]");
  return port == 80 ? name : absl::StrCat(name, ":", port);
}

std::string HttpAddress::Url() const { return absl::StrCat("http://", Authority(), path); }

absl::StatusOr<HttpAddress> ParseAddress(std::string_view option, std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return UsageError(absl::StrFormat("%s: \"%s\" %s", option, Printable(text), why),
                      "such as http://localhost:8080");
  };
  std::string_view rest = text;
  if (const size_t scheme = rest.find("://"); scheme != std::string_view::npos) {
    const std::string name = absl::AsciiStrToLower(Abs(rest.substr(0, scheme)));
    if (name == "https") {
      return UsageError(absl::StrFormat("%s: %s: https is not spoken here", option, Printable(text)),
                        "reach the server behind its proxy over http, or put a tunnel in between");
    }
    if (name != "http") return wrong("is not an http:// address");
    rest.remove_prefix(scheme + 3);
  }
  HttpAddress address;
  const size_t slash = rest.find('/');
  std::string_view path = slash == std::string_view::npos ? std::string_view() : rest.substr(slash);
  if (!SplitAuthority(rest.substr(0, slash), address)) return wrong("has no HOST or HOST:PORT");
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  if (path.size() >= 3 && path.substr(path.size() - 3) == "/v1") path.remove_suffix(3);
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  if (path.size() > kMostPath || !All(path, IsPathCharacter))
    return wrong("has a path that cannot be asked for");
  address.path = path;
  return address;
}

}  // namespace qiao::tools
