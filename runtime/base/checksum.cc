#include "runtime/base/checksum.h"

// Compiled in: nothing of it is needed at run time.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace qiao {

struct Checksummer::State {
  XXH3_state_t xxh;
};

uint64_t Checksum(absl::Span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

Checksummer::Checksummer() : state_(std::make_unique<State>()) { Reset(); }
Checksummer::~Checksummer() = default;
Checksummer::Checksummer(Checksummer&&) noexcept = default;
void Checksummer::Reset() { XXH3_64bits_reset(&state_->xxh); }
void Checksummer::Update(absl::Span<const std::byte> bytes) {
  XXH3_64bits_update(&state_->xxh, bytes.data(), bytes.size());
}
uint64_t Checksummer::Digest() const { return XXH3_64bits_digest(&state_->xxh); }

}  // namespace qiao
