#include "runtime/base/mmap.h"

#include <sys/stat.h>

#include <cstring>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/base/temp_folder.h"

namespace qiao {
namespace {

TEST(MappedFile, ShowsTheBytes) {
  const TempFolder folder;
  const std::string path = folder.Write("a", "hello");
  absl::StatusOr<MappedFile> file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->bytes().size(), 5u);
  const std::byte* data = file->bytes().data();
  EXPECT_EQ(std::memcmp(data, "hello", 5), 0);
  MappedFile moved = *std::move(file);
  EXPECT_EQ(moved.bytes().data(), data);
  EXPECT_EQ(moved.path(), path);
  moved = MappedFile();
  EXPECT_TRUE(moved.bytes().empty());
}

TEST(MappedFile, AnEmptyFileIsAnEmptySpan) {
  const TempFolder folder;
  absl::StatusOr<MappedFile> file = MappedFile::Open(folder.Write("empty", ""));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(file->bytes().empty());
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const TempFolder folder;
  EXPECT_TRUE(absl::IsNotFound(MappedFile::Open(folder / "missing").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(MappedFile::Open(folder.path()).status()));
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  // Nobody writes to the FIFO: an ordinary open would wait for ever.
  EXPECT_TRUE(absl::IsInvalidArgument(MappedFile::Open(folder / "fifo").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadFile("/dev/zero", 10).status()));
}

TEST(ReadFile, ReadsUpToTheLimit) {
  const TempFolder folder;
  const std::string path = folder.Write("a", std::string("a\0b", 3));
  EXPECT_EQ(*ReadFile(path, 3), std::string("a\0b", 3));
  const absl::Status status = ReadFile(path, 2).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_NE(Message(status).find(path), std::string_view::npos) << status;
}

}  // namespace
}  // namespace qiao
