// Where a server is: "http://HOST[:PORT][/PATH]".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/status.h"

namespace qiao::tools {

struct HttpAddress {
  std::string host;  // a name or an address, IPv6 without brackets
  uint16_t port = 80;
  std::string path;  // before every route: "" or "/proxied"

  std::string Authority() const;  // as a Host header has it: "localhost:8080", "[::1]:8080"
  std::string Url() const;        // "http://localhost:8080/proxied"
};

// Accepts a URL with or without "/v1" at its end, and "HOST:PORT" alone. Usage errors name the option and say what is
// accepted; https is one of them.
absl::StatusOr<HttpAddress> ParseAddress(std::string_view option, std::string_view text);

}  // namespace qiao::tools
