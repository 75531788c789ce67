// Reads a .qiao file: a model in one file, its weights ready to be mapped.
//
//   bytes 0..63          the prologue, little-endian:
//      0   8 bytes       89 'Q' 'I' 'A' 'O' 0d 0a 1a: no text, and damaged by whatever changes line ends
//      8   u32           version, 1: a reader refuses what is newer
//     12   u32           0
//     16   u64           where the header begins: behind the payload
//     24   u64           bytes of the header
//     32   u64           checksum of the header
//     40   u64           bytes of the file, where the header ends
//     48   u64           a number for what it was made of and how (qiao_writer.h), or 0; readers pass over it
//     56   u64           checksum of bytes 0..55
//   the payload          texts and tensors, none over another, each at a multiple of 64; between two of them
//                        less than 4096 bytes, which are zero
//   the header           a flatbuffer, qiao_file.fbs: names, shapes, places and checksums of everything in
//                        the payload
//
// The payload lies outside of the flatbuffer, which could not be larger than 2 GiB. The header comes last, so
// that a file is written in one pass. Checksums are XXH3-64 (checksum.h). The texts are files of the model's
// folder as they were: config.json, tokenizer.json, tokenizer_config.json, generation_config.json,
// chat_template.jinja. Tensors have the names, dtypes and shapes that safetensors would give them; one with a
// `packing` is in a backend's own form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/file_set.h"
#include "runtime/base/mmap.h"
#include "runtime/base/progress.h"
#include "runtime/base/status.h"
#include "runtime/formats/safetensors.h"

namespace qiao::formats {

inline constexpr char kQiaoMagic[8] = {'\x89', 'Q', 'I', 'A', 'O', '\r', '\n', '\x1a'};
inline constexpr uint32_t kQiaoVersion = 1;
inline constexpr uint64_t kQiaoPrologueBytes = 64;
inline constexpr uint64_t kQiaoAlignment = 64;
inline constexpr uint64_t kQiaoMaxGap = 4096;
// What a header may hold. DeepSeek-V3 has 91,991 tensors and a header of 14 MB.
inline constexpr uint64_t kMaxQiaoHeaderBytes = uint64_t{256} << 20;
inline constexpr size_t kMaxQiaoTensors = 1'000'000;
inline constexpr int64_t kMaxQiaoDim = int64_t{1} << 62;
inline constexpr size_t kMaxQiaoTexts = 64;
inline constexpr uint64_t kMaxQiaoTextBytes = uint64_t{64} << 20;

// What is checked of the tensors' bytes when a file is opened; header and texts always are.
enum class Verify {
  kAuto,    // all tensors of a file of at most kVerifyOnOpenBytes, none of a larger one
  kAll,     // all tensors, with all threads
  kHeader,  // none
};
// Reading this much takes seconds where the file is in the page cache, and half a minute from a good disk, in
// whose course it gets there. A larger file had better be checked once, after it was copied, than at every
// start.
inline constexpr uint64_t kVerifyOnOpenBytes = uint64_t{32} << 30;
// "auto", "all", "header". INVALID_ARGUMENT lists them.
absl::StatusOr<Verify> ParseVerify(std::string_view name);

// Opening reads prologue, header and texts, and refuses what the format forbids: INVALID_ARGUMENT for a file
// that is none or breaks a rule, DATA_LOSS where a checksum differs, UNIMPLEMENTED for a newer version.
// Movable; views stay valid when it is moved. Const use from many threads is fine.
class QiaoFile : public FileSet {
 public:
  static absl::StatusOr<QiaoFile> Open(const std::string& path);
  // The same over bytes that the caller keeps alive; `what` names them in errors.
  static absl::StatusOr<QiaoFile> Parse(absl::Span<const std::byte> bytes, std::string_view what);

  QiaoFile(QiaoFile&&) = default;
  QiaoFile& operator=(QiaoFile&&) = default;

  // In the order of their data.
  absl::Span<const TensorView> tensors() const { return tensors_; }
  // Compares the checksums of all tensors, with all threads. DATA_LOSS names the first that differs;
  // CANCELLED where `progress`, which counts bytes, says so. No page stays resident.
  absl::Status VerifyTensors(const Progress& progress = nullptr) const;

  absl::StatusOr<std::optional<std::string>> Read(std::string_view name, uint64_t max_bytes) const override;
  std::string Where(std::string_view name) const override;
  // Of all texts, in the order of their data.
  std::vector<std::string_view> text_names() const;

  const std::string& path() const { return path_; }
  const std::string& producer() const { return producer_; }
  uint64_t file_bytes() const { return bytes_.size(); }
  bool LetGo(absl::Span<const std::byte> bytes) const { return file_.LetGo(bytes); }

 private:
  struct Text {
    std::string_view name;
    absl::Span<const std::byte> data;
  };
  struct Parser;
  QiaoFile() = default;
  absl::Status ReadHeader();

  std::string path_, producer_;
  MappedFile file_;
  absl::Span<const std::byte> bytes_;
  // A private copy: names are views into it, and another process that changes the file cannot change what was
  // checked.
  std::unique_ptr<std::byte[]> header_;
  std::vector<TensorView> tensors_;
  std::vector<uint64_t> checksums_;  // of tensors_
  std::vector<Text> texts_;
};

}  // namespace qiao::formats
