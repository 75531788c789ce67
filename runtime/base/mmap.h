// A file mapped read-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "runtime/base/status.h"

namespace qiao {

// Move-only; the mapping lives as long as the object, and its address does not change when it is moved. An
// empty file maps to an empty span. The mapping is shared: a file that another process truncates raises
// SIGBUS on access, which is why Qiao's own writers never change a file in place (file_writer.h).
class MappedFile {
 public:
  // Only regular files (after following links) are accepted: a FIFO or a device would block or never end.
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  // The pages that `bytes` touches leave this process's memory and come back when they are read; the system's
  // page cache keeps them as long as it has room. False, and nothing done, where `bytes` does not lie in the
  // file. From any thread.
  bool LetGo(absl::Span<const std::byte> bytes) const;

  const std::string& path() const { return path_; }
  absl::Span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }

 private:
  std::string path_;
  void* data_ = nullptr;
  size_t size_ = 0;
};

// Reads a whole small file. More than `max_bytes` is an error that says the limit.
absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes);

}  // namespace qiao
