// Writes a .qiao file in one pass, and goes on after having been killed.
//
//   QIAO_ASSIGN_OR_RETURN(QiaoWriter writer, QiaoWriter::Create(path, plan, source));
//   while (writer.next() < plan.tensors.size()) {
//     ... the bytes of tensors[writer.next()], in pieces of any size ...
//     QIAO_RETURN_IF_ERROR(writer.Write(piece));
//   }
//   QIAO_RETURN_IF_ERROR(writer.Commit());
//
// The file grows as PATH.partial and gets its name with Commit, whole. PATH.partial begins with 64 bytes that
// hold a number made of the plan and of `source`, and far behind the payload it keeps a journal: for each
// tensor that is complete, its checksum. When PATH.partial is there and its number is the same, the tensors
// of the journal are read again, and those whose checksums still hold are kept; everything from the first
// that does not hold on is written anew. So neither a killed process nor a power cut spoils the result, which
// is byte for byte what one pass makes. With another number, PATH.partial is started afresh. A lock on it
// (flock) keeps two writers apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/checksum.h"
#include "runtime/base/file_io.h"
#include "runtime/base/progress.h"
#include "runtime/base/status.h"
#include "runtime/formats/safetensors_writer.h"

namespace qiao::formats {

struct QiaoText {
  std::string name, content;
};

struct QiaoPlan {
  std::string producer;
  std::vector<QiaoText> texts;
  std::vector<TensorToWrite> tensors;  // in the order in which they are written
};

// Not thread-safe. Without Commit, PATH.partial stays.
class QiaoWriter {
 public:
  // `source` stands for everything that the tensors' bytes depend on. Refused: what QiaoFile would refuse; a
  // PATH.partial that is something else (ALREADY_EXISTS) or that another process writes
  // (FAILED_PRECONDITION). A full disk is RESOURCE_EXHAUSTED here and below. `progress` counts the bytes of
  // an unfinished file that are read again.
  static absl::StatusOr<QiaoWriter> Create(const std::string& path, QiaoPlan plan, std::string_view source,
                                           const Progress& progress = nullptr);
  QiaoWriter(QiaoWriter&&) = default;

  // The tensor whose bytes are to be given next; the number of tensors when all are there. Above 0 at the
  // beginning where an unfinished file was continued.
  size_t next() const { return next_; }
  // Of tensor i, and of the whole payload.
  uint64_t bytes(size_t i) const { return places_[i].bytes; }
  uint64_t payload_bytes() const { return payload_end_; }

  absl::Status Write(absl::Span<const std::byte> bytes);
  // FAILED_PRECONDITION where tensors are missing.
  absl::Status Commit();

 private:
  struct Place {
    uint64_t offset, bytes, checksum;
  };
  QiaoWriter() = default;
  absl::Status Lay();
  absl::Status OpenPartial();
  absl::Status Continue(const Progress& progress);
  absl::Status WriteTexts();
  absl::Status Complete();
  absl::Status WriteAt(const void* data, size_t size, uint64_t offset);
  absl::Status Fail(std::string_view doing, int error) const;
  std::string Header() const;

  std::string path_, partial_;
  QiaoPlan plan_;
  std::vector<Place> texts_, places_;
  uint64_t payload_end_ = 0, journal_ = 0;  // where they are
  uint64_t number_ = 0;
  Fd fd_;
  bool whole_ = false;  // what was found was complete, and only its name is missing
  size_t next_ = 0;
  uint64_t written_ = 0;  // of tensor next_
  Checksummer sum_;
};

}  // namespace qiao::formats
