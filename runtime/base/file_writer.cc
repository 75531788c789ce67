#include "runtime/base/file_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "runtime/base/checked.h"

namespace qiao {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10;
constexpr uint64_t kMaxFileBytes = std::numeric_limits<int64_t>::max();

}  // namespace

absl::StatusOr<FileWriter> FileWriter::Create(const std::string& path) {
  if (path.empty() || path.back() == '/')
    return InvalidArgument("'%s': is not the name of a file to write", path);
  struct stat st;
  mode_t mode = 0;
  if (::stat(path.c_str(), &st) == 0) {
    if (S_ISDIR(st.st_mode)) return InvalidArgument("%s: is a folder, not a file to write", path);
    // A rename over a device, say /dev/null, would replace it.
    if (!S_ISREG(st.st_mode)) return InvalidArgument("%s: is not a regular file", path);
    mode = st.st_mode & 07777;
  }
  static std::atomic<unsigned> counter{0};
  FileWriter writer;
  writer.path_ = path;
  // A name may be left over from a process that was killed and had the same number; the next one is then
  // free.
  for (int attempt = 0; attempt < 1000 && !writer.fd_.is_open(); ++attempt) {
    writer.temporary_ = absl::StrFormat("%s.tmp.%d.%d", path, ::getpid(), counter++);
    writer.fd_ = Fd(::open(writer.temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!writer.fd_.is_open() && errno != EEXIST) break;
  }
  if (!writer.fd_.is_open()) return writer.Fail("create a temporary file beside it", errno);
  // The new file keeps the permissions of the one that it replaces, where the file system lets us set them.
  if (mode != 0) (void)::fchmod(writer.fd_.get(), mode);
  return writer;
}

FileWriter& FileWriter::operator=(FileWriter&& other) noexcept {
  if (this == &other) return *this;
  Abandon();
  path_ = std::move(other.path_);
  temporary_ = std::move(other.temporary_);
  buffer_ = std::move(other.buffer_);
  fd_ = std::move(other.fd_);
  position_ = other.position_;
  failure_ = std::move(other.failure_);
  return *this;
}

FileWriter::~FileWriter() { Abandon(); }

void FileWriter::Abandon() {
  if (!fd_.is_open()) return;
  fd_.Close();
  ::unlink(temporary_.c_str());
}

absl::Status FileWriter::Fail(std::string_view doing, int error) {
  if (IsDiskFull(error)) {
    failure_ = ResourceExhausted(
        "%s: cannot %s: %s; the file needs at least %d bytes; free space there, or write elsewhere", path_,
        doing, std::strerror(error), position_);
  } else {
    failure_ =
        absl::Status(CodeOf(error), absl::StrFormat("%s: cannot %s: %s", path_, doing, std::strerror(error)));
  }
  return failure_;
}

absl::Status FileWriter::Check() const {
  if (!failure_.ok()) return failure_;
  if (!fd_.is_open()) return FailedPrecondition("%s: is already committed", path_);
  return absl::OkStatus();
}

absl::Status FileWriter::WriteAt(const char* data, size_t size, uint64_t offset) {
  if (const int error = WriteAllAt(fd_.get(), data, size, offset)) return Fail("write", error);
  return absl::OkStatus();
}

absl::Status FileWriter::FlushBuffer() {
  QIAO_RETURN_IF_ERROR(WriteAt(buffer_.data(), buffer_.size(), position_ - buffer_.size()));
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status FileWriter::Write(absl::Span<const std::byte> bytes) {
  return Write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

absl::Status FileWriter::Write(std::string_view text) {
  QIAO_RETURN_IF_ERROR(Check());
  if (text.size() > kMaxFileBytes - position_) return Fail("write", EFBIG);
  if (buffer_.size() + text.size() > kBufferBytes) QIAO_RETURN_IF_ERROR(FlushBuffer());
  const uint64_t offset = position_;
  position_ += text.size();
  if (text.size() >= kBufferBytes) return WriteAt(text.data(), text.size(), offset);
  buffer_.append(text);
  return absl::OkStatus();
}

absl::Status FileWriter::Skip(uint64_t bytes) {
  QIAO_RETURN_IF_ERROR(Check());
  if (bytes > kMaxFileBytes - position_) return Fail("skip", EFBIG);
  QIAO_RETURN_IF_ERROR(FlushBuffer());
  position_ += bytes;
  return absl::OkStatus();
}

absl::Status FileWriter::Commit() {
  QIAO_RETURN_IF_ERROR(Check());
  QIAO_RETURN_IF_ERROR(FlushBuffer());
  // A hole at the end exists only once the file has its length.
  if (const int error = SetLength(fd_.get(), position_)) return Fail("set the length", error);
  // Without this the rename could reach the disk before the contents do, and a power cut would leave an empty
  // file.
  if (const int error = Sync(fd_.get())) return Fail("flush to disk", error);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return Fail("rename the temporary file to it", errno);
  fd_.Close();
  SyncFolderOf(path_);
  return absl::OkStatus();
}

}  // namespace qiao
