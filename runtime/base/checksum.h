// XXH3-64 of bytes, the checksum of Qiao's own files: against damage, not against forgery.
// Definition: https://github.com/Cyan4973/xxHash/blob/release/doc/xxhash_spec.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/types/span.h"

namespace qiao {

uint64_t Checksum(absl::Span<const std::byte> bytes);
inline uint64_t Checksum(std::string_view text) {
  return Checksum(absl::Span<const std::byte>(reinterpret_cast<const std::byte*>(text.data()), text.size()));
}

// The same of bytes that come in pieces. Not thread-safe.
class Checksummer {
 public:
  Checksummer();
  ~Checksummer();
  Checksummer(Checksummer&&) noexcept;  // what is left can only be destroyed
  void Update(absl::Span<const std::byte> bytes);
  // Of all bytes since the beginning or the last Reset.
  uint64_t Digest() const;
  void Reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qiao
