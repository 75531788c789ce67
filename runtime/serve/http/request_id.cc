#include "runtime/serve/http/request_id.h"

#include <sys/random.h>

#include <chrono>

#include "runtime/base/split_mix.h"

namespace qiao::serve {

uint8_t RequestIds::NextByte() {
  if (used_ == bytes_.size()) {
    used_ = 0;
    // At most 256 bytes come whole. A system that refuses still gets ids that differ.
    if (getrandom(bytes_.data(), bytes_.size(), 0) != static_cast<ssize_t>(bytes_.size())) {
      static uint64_t state =
          static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
      for (uint8_t& byte : bytes_) byte = static_cast<uint8_t>(NextSplitMix64(state));
    }
  }
  return bytes_[used_++];
}

std::string RequestIds::Next() {
  static constexpr char kAlphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string id = "req_";
  while (id.size() < 28) {
    const uint8_t byte = NextByte();
    if (byte < 4 * 62) id.push_back(kAlphabet[byte % 62]);  // beyond, some letters would be likelier
  }
  return id;
}

}  // namespace qiao::serve
