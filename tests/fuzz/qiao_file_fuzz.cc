// The reader of .qiao files: whatever it accepts must be consistent, and every byte that it hands out must be
// there.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "runtime/formats/qiao_file.h"
#include "tests/formats/qiao_bytes.h"
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
  uint64_t header = 0;
  std::memcpy(&header, mended.data() + 16, sizeof(header));
  if (header > size)
    header = qiao::formats::kQiaoPrologueBytes + header % (size - qiao::formats::kQiaoPrologueBytes + 1);
  qiao::formats::Mend(mended, header);
  ParseAndCheck(qiao::formats::AsBytes(mended));
  return 0;
}
