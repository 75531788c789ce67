// System calls on files as the writers of files need them: gone on with after a signal, and their failures as
// an errno, so that each writer says itself what it was doing and what to do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"

namespace qiao {

// Owns a file descriptor, or none, and closes it.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}  // below 0: none
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { Close(); }

  bool is_open() const { return fd_ >= 0; }
  int get() const { return fd_; }
  // What closing could report of a network file system, Sync has had its chance to report before.
  void Close();

 private:
  int fd_ = -1;
};

// The status code of a failed call on a file: NOT_FOUND, PERMISSION_DENIED or UNAVAILABLE.
absl::StatusCode CodeOf(int error);
// No room on the disk, in the quota, or for a file of that size.
bool IsDiskFull(int error);

// These three answer 0 or an errno.
// Writes all of it; a write that takes nothing is ENOSPC.
int WriteAllAt(int fd, const void* data, size_t size, uint64_t offset);
int SetLength(int fd, uint64_t bytes);
// Returns when contents and length are on the disk.
int Sync(int fd);

// Makes a rename to `path` durable. Not every file system can; the file is whole in any case.
void SyncFolderOf(const std::string& path);

}  // namespace qiao
