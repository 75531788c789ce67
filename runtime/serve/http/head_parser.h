// Request line and headers by Boost.Beast's parser.
#pragma once

#include <string>
#include <string_view>

#include "runtime/serve/http/message.h"

namespace qiao::serve {

struct ParsedHead {
  std::string method;
  std::string target;  // as it came
  int version = 11;    // 10 or 11
  bool keep_alive = false;
  HeaderList headers;
};

// `head` is whole: from the method to the empty line. "" when it is sound, else what the parser says.
std::string ParseHead(std::string_view head, ParsedHead* parsed);

}  // namespace qiao::serve
