// Writes a file so that it is there whole or not at all: into a temporary file beside it, flushed, then
// renamed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "runtime/base/file_io.h"
#include "runtime/base/status.h"

namespace qiao {

// Not thread-safe. Unless Commit succeeded, the destructor removes the temporary file and the old file stays;
// a process that is killed leaves the temporary file behind, never a half-written file under the real name.
// After an error every further call gives that error again.
class FileWriter {
 public:
  // The temporary file is PATH.tmp.PID.N in the same folder. Where PATH is a link, the link is replaced, not
  // its target.
  static absl::StatusOr<FileWriter> Create(const std::string& path);

  FileWriter(FileWriter&&) = default;
  FileWriter& operator=(FileWriter&& other) noexcept;
  ~FileWriter();

  // Appends at the current position. A full disk is RESOURCE_EXHAUSTED with the path and the bytes that were
  // needed.
  absl::Status Write(absl::Span<const std::byte> bytes);
  absl::Status Write(std::string_view text);
  // Moves the position forward without writing: a hole, which reads as zeros and takes no disk where the file
  // system supports it.
  absl::Status Skip(uint64_t bytes);
  uint64_t position() const { return position_; }
  const std::string& path() const { return path_; }

  // Flushes to disk and renames into place. Nothing may be written afterwards.
  absl::Status Commit();

 private:
  FileWriter() = default;
  absl::Status Check() const;
  absl::Status FlushBuffer();
  absl::Status WriteAt(const char* data, size_t size, uint64_t offset);
  absl::Status Fail(std::string_view doing, int error);
  void Abandon();

  std::string path_, temporary_;
  std::string buffer_;  // the bytes just before position_
  Fd fd_;
  uint64_t position_ = 0;
  absl::Status failure_;
};

}  // namespace qiao
