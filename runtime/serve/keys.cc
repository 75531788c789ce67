#include "runtime/serve/keys.h"

#include <cstddef>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "runtime/base/status.h"

namespace qiao::serve {
namespace {

// Looks at every byte, so that the time does not tell how many were right.
bool Same(std::string_view a, std::string_view b) {
  volatile unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); ++i) {
    const auto other = static_cast<unsigned char>(b.empty() ? 0 : b[i % b.size()]);
    difference = difference | (static_cast<unsigned char>(a[i]) ^ other);
  }
  return difference == 0;
}

// What the client shows as its key; "" nothing.
std::string KeyOf(const HttpRequest& request) {
  if (const std::string_view key = request.Header("x-api-key"); !key.empty()) return std::string(key);
  std::string_view value = request.Header("authorization");
  if (absl::StartsWithIgnoreCase(Abs(value), "bearer ")) {
    value.remove_prefix(7);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    return std::string(value);
  }
  if (absl::StartsWithIgnoreCase(Abs(value), "basic ")) {
    std::string decoded;
    if (!absl::Base64Unescape(Abs(value.substr(6)), &decoded)) return "";
    const size_t colon = decoded.find(':');
    return colon == std::string::npos ? "" : decoded.substr(colon + 1);
  }
  return "";
}

}  // namespace

bool Keys::Admit(const HttpRequest& request) const {
  if (keys_.empty()) return true;
  const std::string shown = KeyOf(request);
  bool found = false;
  for (const std::string& key : keys_) found = Same(shown, key) || found;
  return found && !shown.empty();
}

}  // namespace qiao::serve
