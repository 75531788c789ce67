// Some hundred requests that must not be served: each with the status of its refusal, or 0 where the connection may
// also just be closed.
#pragma once

#include <string>
#include <vector>

namespace qiao::serve {

struct Malformed {
  std::string name;
  std::string bytes;
  int status;
};

std::vector<Malformed> MalformedRequests();

}  // namespace qiao::serve
