// Puts safetensors files together by hand, right and wrong ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "tests/formats/as_bytes.h"

namespace qiao::formats {

// The length, the header as given, and `data_bytes` bytes 0, 1, 2 ...
inline std::string SafetensorsBytes(std::string_view header, size_t data_bytes) {
  std::string file(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(file.data(), &length, 8);
  file += header;
  for (size_t i = 0; i < data_bytes; ++i) file += static_cast<char>(i);
  return file;
}

}  // namespace qiao::formats
