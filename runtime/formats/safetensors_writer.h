// Writes a safetensors file piece by piece, so that no more of it than one piece need be in memory.
//
//   QIAO_ASSIGN_OR_RETURN(SafetensorsWriter writer, SafetensorsWriter::Create(path, tensors));
//   for each tensor of writer.tensors(): QIAO_RETURN_IF_ERROR(writer.Write(bytes)); ...
//   QIAO_RETURN_IF_ERROR(writer.Commit());
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/dtype.h"
#include "runtime/base/file_writer.h"
#include "runtime/base/status.h"
#include "runtime/formats/safetensors.h"

namespace qiao::formats {

struct TensorToWrite {
  std::string name;
  std::string dtype;  // as the format spells it: "BF16", "F8_E4M3", "F8_E8M0"
  std::vector<int64_t> dims;
};

// The byte at which the data begins is a multiple of this, so that a mapped file can be read in full cache
// lines.
inline constexpr uint64_t kSafetensorsDataAlignment = 64;

enum class TensorOrder {
  // By descending element size, then by name, as the format's own writer does it: then every tensor is
  // aligned to its element, whatever the shapes.
  kAligned,
  kAsDeclared,
};

// Not thread-safe. The file appears under its name with Commit, whole (file_writer.h).
class SafetensorsWriter {
 public:
  using Metadata = std::vector<std::pair<std::string, std::string>>;

  // Declares all tensors. Refused: what SafetensorsFile would refuse.
  static absl::StatusOr<SafetensorsWriter> Create(const std::string& path, std::vector<TensorToWrite> tensors,
                                                  const Metadata& metadata = {},
                                                  TensorOrder order = TensorOrder::kAligned);

  // The order in which the bytes are to be given.
  absl::Span<const TensorToWrite> tensors() const { return tensors_; }
  // Of tensors()[i].
  uint64_t bytes(size_t i) const { return ends_[i] - (i == 0 ? 0 : ends_[i - 1]); }

  // The next bytes of the data, in pieces of any size; they run on from one tensor to the next.
  absl::Status Write(absl::Span<const std::byte> bytes);
  // The same for bytes that are all zero: they take no disk where the file system supports holes.
  absl::Status WriteHole(uint64_t bytes);
  // Fails where bytes are missing.
  absl::Status Commit();

 private:
  explicit SafetensorsWriter(FileWriter writer) : writer_(std::move(writer)) {}
  absl::Status Advance(uint64_t bytes);

  FileWriter writer_;
  std::vector<TensorToWrite> tensors_;
  std::vector<uint64_t> ends_;  // in the data, of each tensor
  uint64_t written_ = 0;
};

}  // namespace qiao::formats
