#include "runtime/serve/http/message.h"

#include "runtime/serve/http/characters.h"

namespace qiao::serve {

std::string_view HttpRequest::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (EqualsIgnoringCase(key, name)) return value;
  }
  return {};
}

}  // namespace qiao::serve
