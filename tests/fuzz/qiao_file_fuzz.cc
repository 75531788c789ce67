// The reader of .qiao files: whatever it accepts must be consistent, and every byte that it hands out must be
// there.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "runtime/base/checksum.h"
#include "runtime/formats/qiao_file.h"
#include "tests/fuzz/check.h"

namespace {

using qiao::formats::QiaoFile;
using qiao::formats::TensorView;

void ParseAndCheck(absl::Span<const std::byte> bytes) {
  const absl::StatusOr<QiaoFile> file = QiaoFile::Parse(bytes, "fuzz");
  if (!file.ok()) {
    QIAO_FUZZ_CHECK(qiao::Message(file.status()).starts_with("fuzz: "));
    return;
  }
  uint64_t next = qiao::formats::kQiaoPrologueBytes, sum = 0;
  for (const TensorView& tensor : file->tensors()) {
    QIAO_FUZZ_CHECK(tensor.offset >= next && tensor.offset % qiao::formats::kQiaoAlignment == 0);
    next = tensor.offset + tensor.data.size();
    QIAO_FUZZ_CHECK(next <= bytes.size());
    for (const std::byte b : tensor.data) sum += static_cast<uint64_t>(b);
    if (tensor.CheckUsable().ok()) {
      QIAO_FUZZ_CHECK(static_cast<uint64_t>(tensor.shape.elements()) * SizeOf(tensor.dtype) ==
                      tensor.data.size());
    }
  }
  for (const std::string_view name : file->text_names()) {
    const auto text = file->Read(name, bytes.size());
    QIAO_FUZZ_CHECK(text.ok() && text->has_value());
  }
  asm volatile("" : : "r"(sum));  // so that the reads above are not dropped
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ParseAndCheck({reinterpret_cast<const std::byte*>(data), size});
  // A mutation would nearly always fail on a checksum. So once more with a prologue that fits: the header
  // begins where the mutant says, if that is possible, and its checksums hold.
  if (size < qiao::formats::kQiaoPrologueBytes) return 0;
  std::string mended(reinterpret_cast<const char*>(data), size);
  auto put = [&](size_t at, uint64_t value) { std::memcpy(mended.data() + at, &value, sizeof(value)); };
  std::memcpy(mended.data(), qiao::formats::kQiaoMagic, sizeof(qiao::formats::kQiaoMagic));
  put(8, qiao::formats::kQiaoVersion);
  uint64_t header = 0;
  std::memcpy(&header, mended.data() + 16, sizeof(header));
  if (header > size)
    header = qiao::formats::kQiaoPrologueBytes + header % (size - qiao::formats::kQiaoPrologueBytes + 1);
  put(16, header);
  put(24, size - header);
  put(32, qiao::Checksum(std::string_view(mended).substr(header)));
  put(40, size);
  put(56, qiao::Checksum(std::string_view(mended).substr(0, 56)));
  ParseAndCheck({reinterpret_cast<const std::byte*>(mended.data()), mended.size()});
  return 0;
}
