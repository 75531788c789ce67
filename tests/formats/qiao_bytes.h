// .qiao files for tests, made by hand so that they can be wrong in any way.
#pragma once

#include <qiao_file_generated.h>

#include <cstring>
#include <string>
#include <vector>

#include "runtime/base/checksum.h"
#include "runtime/formats/qiao_file.h"
#include "tests/formats/as_bytes.h"

namespace qiao::formats {

struct HandTensor {
  std::string name = "w", dtype = "U8";
  std::vector<uint64_t> shape = {16};
  uint64_t offset = 64, bytes = 16;
  uint64_t checksum = 0;
  std::string packing = {};
};
struct HandText {
  std::string name = "config.json";
  uint64_t offset = 64, bytes = 16;
  uint64_t checksum = 0;
};

inline std::string HandHeader(const std::vector<HandTensor>& tensors,
                              const std::vector<HandText>& texts = {}) {
  flatbuffers::FlatBufferBuilder builder;
  std::vector<flatbuffers::Offset<fb::Tensor>> t;
  for (const HandTensor& x : tensors) {
    t.push_back(fb::CreateTensorDirect(builder, x.name.c_str(), x.dtype.c_str(), &x.shape, x.offset, x.bytes,
                                       x.checksum, x.packing.empty() ? nullptr : x.packing.c_str()));
  }
  std::vector<flatbuffers::Offset<fb::Text>> s;
  for (const HandText& x : texts)
    s.push_back(fb::CreateTextDirect(builder, x.name.c_str(), x.offset, x.bytes, x.checksum));
  fb::FinishModelBuffer(builder, fb::CreateModelDirect(builder, "a test", &s, &t));
  return {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()};
}

// Makes the prologue fit the file that follows it: magic, version, lengths and checksums, not what the header
// says.
inline void Mend(std::string& file, uint64_t header_offset) {
  std::memcpy(file.data(), kQiaoMagic, sizeof(kQiaoMagic));
  auto put = [&](size_t at, uint64_t value) { std::memcpy(file.data() + at, &value, sizeof(value)); };
  put(8, kQiaoVersion);
  put(16, header_offset);
  put(24, file.size() - header_offset);
  put(32, Checksum(std::string_view(file).substr(header_offset)));
  put(40, file.size());
  put(56, Checksum(std::string_view(file).substr(0, 56)));
}

inline std::string HandFile(const std::string& payload, const std::string& header) {
  std::string file(kQiaoPrologueBytes, '\0');
  file += payload;
  file += header;
  Mend(file, kQiaoPrologueBytes + payload.size());
  return file;
}

}  // namespace qiao::formats
