#include "runtime/base/mmap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/base/file_io.h"

namespace qiao {
namespace {

absl::Status ErrnoStatus(const std::string& path, std::string_view doing, int error) {
  const absl::StatusCode code = error == ENOENT || error == ENOTDIR ? absl::StatusCode::kNotFound
                                : error == EACCES                   ? absl::StatusCode::kPermissionDenied
                                                                    : absl::StatusCode::kUnavailable;
  return absl::Status(code, absl::StrFormat("%s: cannot %s: %s", path, doing, std::strerror(error)));
}

// O_NONBLOCK so that opening a FIFO returns at once; it has no effect on the regular files that pass the
// check.
absl::StatusOr<uint64_t> OpenRegular(const std::string& path, Fd& out) {
  out = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!out.is_open()) return ErrnoStatus(path, "open", errno);
  struct stat st;
  if (::fstat(out.get(), &st) != 0) return ErrnoStatus(path, "stat", errno);
  if (!S_ISREG(st.st_mode)) return InvalidArgument("%s: is not a regular file", path);
  return static_cast<uint64_t>(st.st_size);
}

}  // namespace

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  Fd fd;
  QIAO_ASSIGN_OR_RETURN(uint64_t size, OpenRegular(path, fd));
  MappedFile file;
  file.path_ = path;
  if (size == 0) return file;
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return ErrnoStatus(path, "map", errno);
  file.data_ = data;
  file.size_ = size;
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this == &other) return *this;
  if (data_ != nullptr) ::munmap(data_, size_);
  path_ = std::move(other.path_);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

bool MappedFile::LetGo(absl::Span<const std::byte> bytes) const {
  const auto base = reinterpret_cast<uintptr_t>(data_), begin = reinterpret_cast<uintptr_t>(bytes.data());
  if (data_ == nullptr || begin < base || begin - base > size_ || bytes.size() > size_ - (begin - base)) {
    return false;
  }
  if (bytes.empty()) return true;
  // The mapping is read-only and shared, so a page that is dropped too early is only mapped once more. The
  // page cache is left alone: it is the next start's, and the system takes it back when it needs memory.
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t first = begin / page * page;
  (void)::madvise(reinterpret_cast<void*>(first), begin + bytes.size() - first, MADV_DONTNEED);
  return true;
}

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
  Fd fd;
  QIAO_ASSIGN_OR_RETURN(uint64_t size, OpenRegular(path, fd));
  if (size > max_bytes) {
    return ResourceExhausted("%s: is %d bytes, more than the limit of %d for such a file", path, size,
                             max_bytes);
  }
  std::string text(size, '\0');
  size_t have = 0;
  while (have < size) {
    const ssize_t n = ::read(fd.get(), text.data() + have, size - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(path, "read", errno);
    if (n == 0) return DataLoss("%s: ended after %d of %d bytes while being read", path, have, size);
    have += static_cast<size_t>(n);
  }
  return text;
}

}  // namespace qiao
