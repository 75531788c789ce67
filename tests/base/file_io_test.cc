#include "runtime/base/file_io.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/base/temp_folder.h"

namespace qiao {
namespace {

bool IsOpen(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

Fd Create(const std::string& path) { return Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)); }

TEST(Fd, IsClosedOnceByItsLastOwner) {
  const TempFolder folder;
  Fd a = Create(folder / "a");
  const int number = a.get();
  ASSERT_TRUE(a.is_open());
  Fd b = std::move(a);
  EXPECT_FALSE(a.is_open());
  EXPECT_EQ(b.get(), number);
  EXPECT_TRUE(IsOpen(number));
  b = Create(folder / "b");  // closes what it had
  EXPECT_FALSE(IsOpen(number));
  const int other = b.get();
  { const Fd c = std::move(b); }
  EXPECT_FALSE(IsOpen(other));
  EXPECT_FALSE(Fd(-1).is_open());
}

TEST(FileIo, WritesAtAnOffsetAndSetsTheLength) {
  const TempFolder folder;
  const Fd fd = Create(folder / "a");
  EXPECT_EQ(WriteAllAt(fd.get(), "end", 3, 2), 0);
  EXPECT_EQ(WriteAllAt(fd.get(), "xy", 2, 0), 0);
  EXPECT_EQ(folder.Read("a"), "xyend");
  EXPECT_EQ(SetLength(fd.get(), 4), 0);
  EXPECT_EQ(Sync(fd.get()), 0);
  SyncFolderOf(folder / "a");
  EXPECT_EQ(folder.Read("a"), "xyen");
}

TEST(FileIo, FailuresAreTheSystemsNumbers) {
  const TempFolder folder;
  folder.Write("a", "text");
  const Fd fd(::open((folder / "a").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(fd.is_open());
  EXPECT_EQ(WriteAllAt(fd.get(), "x", 1, 0), EBADF);
  EXPECT_EQ(WriteAllAt(fd.get(), "", 0, 0), 0);
  EXPECT_NE(SetLength(fd.get(), 0), 0);
  EXPECT_EQ(Sync(-1), EBADF);
  EXPECT_EQ(folder.Read("a"), "text");
}

TEST(FileIo, NumbersBecomeStatusCodes) {
  for (const int error : {ENOENT, ENOTDIR}) EXPECT_EQ(CodeOf(error), absl::StatusCode::kNotFound);
  for (const int error : {EACCES, EPERM, EROFS})
    EXPECT_EQ(CodeOf(error), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOf(EIO), absl::StatusCode::kUnavailable);
  for (const int error : {ENOSPC, EDQUOT, EFBIG}) EXPECT_TRUE(IsDiskFull(error));
  EXPECT_FALSE(IsDiskFull(EIO));
}

}  // namespace
}  // namespace qiao
