// Reads a safetensors file: 8 bytes with the length of a JSON header, the header, then the tensors' bytes.
// Format: https://github.com/huggingface/safetensors, README "Format".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "runtime/base/dtype.h"
#include "runtime/base/mmap.h"
#include "runtime/base/shape.h"
#include "runtime/base/status.h"

namespace qiao::formats {

// The format's own limit on the header, and ours on what the header may hold.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;
inline constexpr size_t kMaxSafetensorsTensors = 1'000'000;
inline constexpr size_t kMaxTensorNameBytes = 1024;
inline constexpr int kMaxSafetensorsRank = 8;

// A tensor as it lies in a file. Views into the SafetensorsFile or QiaoFile that gave it.
struct TensorView {
  std::string_view name;
  // kInvalid for the format's dtypes that Qiao does not compute with (F8_E8M0, F4, U16, C64 ...): such
  // tensors are listed, and CheckUsable explains.
  DType dtype = DType::kInvalid;
  std::string_view dtype_name;  // as the file spells it: "BF16"
  int rank = 0;                 // up to kMaxSafetensorsRank
  Shape shape;                  // of rank 0 where `rank` is more than Shape can hold
  // Row-major, little-endian. The format aligns tensors only to their own element, and old files not even to
  // that.
  absl::Span<const std::byte> data;
  uint64_t offset = 0;  // of `data` in the file
  // Of a .qiao file: the backend's own form that `data` is in. Empty: row-major, as above.
  std::string_view packing;

  // An error that names the tensor and says why where dtype, rank or packing is beyond what Qiao computes
  // with.
  absl::Status CheckUsable() const;
};

// Opening reads the header only. Refused is everything that the format forbids: overlaps, holes, bytes that
// belong to no tensor, a size that does not follow from shape and dtype, metadata that is not strings; and
// duplicate names. Movable; views stay valid when it is moved. Const use from many threads is fine.
class SafetensorsFile {
 public:
  // `shown_as` names it in errors where the path is not what a person knows it by (a cache's blob).
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path, std::string_view shown_as = {});
  // The same over bytes that the caller keeps alive; `what` names them in errors.
  static absl::StatusOr<SafetensorsFile> Parse(absl::Span<const std::byte> bytes, std::string_view what);

  // In the order of their data.
  absl::Span<const TensorView> tensors() const { return tensors_; }
  // Null where there is none of that name.
  const TensorView* Find(std::string_view name) const;
  // The strings of __metadata__, as the file orders them.
  absl::Span<const std::pair<std::string_view, std::string_view>> metadata() const { return metadata_; }
  // As errors name it.
  const std::string& path() const { return path_; }
  uint64_t file_bytes() const { return file_bytes_; }
  // MappedFile::LetGo of the file behind it, if it was opened and not parsed.
  bool LetGo(absl::Span<const std::byte> bytes) const { return file_.LetGo(bytes); }

 private:
  SafetensorsFile() = default;
  absl::Status ReadHeader(absl::Span<const std::byte> bytes);

  std::string path_;
  MappedFile file_;
  uint64_t file_bytes_ = 0;
  // A private copy: names are views into it, and another process that changes the file cannot change what was
  // checked.
  std::unique_ptr<char[]> header_;
  std::vector<TensorView> tensors_;
  std::vector<std::pair<std::string_view, std::string_view>> metadata_;
  absl::flat_hash_map<absl::string_view, uint32_t> by_name_;
};

// Bits of one element of a dtype that the format defines; 0 for a name that it does not.
int SafetensorsBits(std::string_view dtype_name);
// Bits of a whole tensor. Absent for such a name, a negative dimension, and what does not fit into 63 bits; as
// in the format's own reader, that holds for every product of the first dimensions, whatever a later 0 makes of
// it.
std::optional<int64_t> SafetensorsBits(std::string_view dtype_name, absl::Span<const int64_t> dims);

}  // namespace qiao::formats
