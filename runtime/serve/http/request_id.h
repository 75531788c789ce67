// "req_" and 24 letters and digits from the system's random source: unique, and nobody can guess the next.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace qiao::serve {

// One thread at a time.
class RequestIds {
 public:
  std::string Next();

 private:
  uint8_t NextByte();

  std::array<uint8_t, 256> bytes_{};
  size_t used_ = 256;
};

}  // namespace qiao::serve
