// The prologue of a .qiao file as it lies in the file; qiao_file.h says what its fields mean. For the reader
// and the writer of such files alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/base/checksum.h"
#include "runtime/formats/qiao_file.h"

namespace qiao::formats {

struct QiaoPrologue {
  char magic[8];
  uint32_t version, zero;
  uint64_t header_offset, header_bytes, header_checksum, file_bytes, number, checksum;

  // What `checksum` must be: of all bytes before it.
  uint64_t Sum() const {
    return Checksum(std::string_view(reinterpret_cast<const char*>(this), offsetof(QiaoPrologue, checksum)));
  }
  void Seal() { checksum = Sum(); }
};
static_assert(sizeof(QiaoPrologue) == kQiaoPrologueBytes);

}  // namespace qiao::formats
