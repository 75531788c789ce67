// Who may ask: API keys.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/serve/http/message.h"

namespace qiao::serve {

class Keys {
 public:
  explicit Keys(std::vector<std::string> keys) : keys_(std::move(keys)) {}
  bool none() const { return keys_.empty(); }
  // Whether the request has one of them: "Authorization: Bearer KEY", "x-api-key: KEY", or Basic with the key as the
  // password, which is how a browser opens the page. Takes the same time whatever is wrong about a key of the right
  // length, and tells nothing but lengths.
  bool Admit(const HttpRequest& request) const;

 private:
  std::vector<std::string> keys_;
};

}  // namespace qiao::serve
