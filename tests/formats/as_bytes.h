// Text as the bytes that readers and writers take.
#pragma once

#include <cstddef>
#include <string_view>

#include "absl/types/span.h"

namespace qiao::formats {

inline absl::Span<const std::byte> AsBytes(std::string_view s) {
  return {reinterpret_cast<const std::byte*>(s.data()), s.size()};
}

}  // namespace qiao::formats
