// The safetensors reader: whatever it accepts must be consistent, and every byte that it hands out must be
// there.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "runtime/formats/safetensors.h"
#include "tests/fuzz/check.h"

namespace {

using qiao::formats::SafetensorsFile;
using qiao::formats::TensorView;

void ParseAndCheck(absl::Span<const std::byte> bytes) {
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Parse(bytes, "fuzz");
  if (!file.ok()) {
    QIAO_FUZZ_CHECK(qiao::Message(file.status()).starts_with("fuzz: "));
    return;
  }
  uint64_t next = 0, sum = 0;
  for (const TensorView& tensor : file->tensors()) {
    QIAO_FUZZ_CHECK(file->Find(tensor.name) == &tensor);
    if (next != 0) QIAO_FUZZ_CHECK(tensor.offset == next);
    next = tensor.offset + tensor.data.size();
    QIAO_FUZZ_CHECK(next <= bytes.size());
    if (!tensor.data.empty()) {
      sum += static_cast<uint64_t>(tensor.data.front()) + static_cast<uint64_t>(tensor.data.back());
    }
    if (tensor.CheckUsable().ok()) {
      QIAO_FUZZ_CHECK(static_cast<uint64_t>(tensor.shape.elements()) * SizeOf(tensor.dtype) ==
                      tensor.data.size());
    }
  }
  QIAO_FUZZ_CHECK(file->tensors().empty() || next == bytes.size());
  asm volatile("" : : "r"(sum));  // so that the reads above are not dropped
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::Span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  ParseAndCheck(bytes);
  // A mutation that changes the header's length would nearly always fail on the length in front alone. So
  // once more with a length that ends the header at its last brace.
  if (size < 8) return 0;
  std::string mended(reinterpret_cast<const char*>(data), size);
  const size_t brace = mended.rfind('}');
  if (brace == std::string::npos || brace < 8) return 0;
  const uint64_t length = brace + 1 - 8;
  std::memcpy(mended.data(), &length, 8);
  ParseAndCheck({reinterpret_cast<const std::byte*>(mended.data()), mended.size()});
  return 0;
}
