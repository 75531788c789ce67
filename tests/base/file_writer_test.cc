#include "runtime/base/file_writer.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/base/temp_folder.h"

namespace qiao {
namespace {

TEST(FileWriter, CommitPutsTheWholeFileInPlace) {
  const TempFolder folder;
  const std::string big(1'000'000, 'b');
  {
    absl::StatusOr<FileWriter> writer = FileWriter::Create(folder / "a");
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE(writer->Write("small").ok());
    ASSERT_TRUE(writer->Write(big).ok());
    for (int i = 0; i < 100'000; ++i) ASSERT_TRUE(writer->Write("piece").ok());
    EXPECT_EQ(writer->position(), 5 + 1'000'000 + 500'000u);
    EXPECT_EQ(folder.Read("a"), "");
    ASSERT_TRUE(writer->Commit().ok());
    EXPECT_TRUE(absl::IsFailedPrecondition(writer->Commit()));
    EXPECT_TRUE(absl::IsFailedPrecondition(writer->Write("more")));
  }
  std::string expected = "small" + big;
  for (int i = 0; i < 100'000; ++i) expected += "piece";
  EXPECT_EQ(folder.Read("a"), expected);
  EXPECT_EQ(folder.FileCount(), 1u);
}

TEST(FileWriter, WithoutCommitTheOldFileStays) {
  const TempFolder folder;
  folder.Write("a", "old");
  {
    absl::StatusOr<FileWriter> writer = FileWriter::Create(folder / "a");
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE(writer->Write(std::string(1'000'000, 'n')).ok());
    FileWriter moved = *std::move(writer);
    ASSERT_TRUE(moved.Write("more").ok());
    EXPECT_EQ(folder.FileCount(), 2u);
  }
  EXPECT_EQ(folder.Read("a"), "old");
  EXPECT_EQ(folder.FileCount(), 1u);
}

TEST(FileWriter, MovingOverAWriterAbandonsIt) {
  const TempFolder folder;
  FileWriter a = *FileWriter::Create(folder / "a");
  FileWriter b = *FileWriter::Create(folder / "b");
  ASSERT_TRUE(b.Write("b").ok());
  a = std::move(b);
  EXPECT_EQ(folder.FileCount(), 1u);
  ASSERT_TRUE(a.Commit().ok());
  EXPECT_EQ(folder.Read("b"), "b");
}

TEST(FileWriter, AKilledProcessLeavesTheOldFile) {
  const TempFolder folder;
  folder.Write("a", "old");
  const std::string path = folder / "a";
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    absl::StatusOr<FileWriter> writer = FileWriter::Create(path);
    if (writer.ok()) (void)writer->Write(std::string(1'000'000, 'n'));
    ::kill(::getpid(), SIGKILL);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(folder.Read("a"), "old");
  EXPECT_EQ(folder.FileCount(), 2u);  // the temporary file
  FileWriter again = *FileWriter::Create(path);
  ASSERT_TRUE(again.Write("new").ok());
  ASSERT_TRUE(again.Commit().ok());
  EXPECT_EQ(folder.Read("a"), "new");
}

TEST(FileWriter, TwoWritersOfOneFileDoNotMix) {
  const TempFolder folder;
  FileWriter first = *FileWriter::Create(folder / "a");
  FileWriter second = *FileWriter::Create(folder / "a");
  ASSERT_TRUE(first.Write("first").ok());
  ASSERT_TRUE(second.Write("second").ok());
  ASSERT_TRUE(second.Commit().ok());
  EXPECT_EQ(folder.Read("a"), "second");
  ASSERT_TRUE(first.Commit().ok());
  EXPECT_EQ(folder.Read("a"), "first");
  EXPECT_EQ(folder.FileCount(), 1u);
}

TEST(FileWriter, HolesReadAsZerosAndTakeNoDisk) {
  const TempFolder folder;
  constexpr uint64_t kHole = uint64_t{8} << 30;
  FileWriter writer = *FileWriter::Create(folder / "a");
  ASSERT_TRUE(writer.Write("ab").ok());
  ASSERT_TRUE(writer.Skip(3).ok());
  ASSERT_TRUE(writer.Write("c").ok());
  ASSERT_TRUE(writer.Skip(kHole).ok());
  EXPECT_EQ(writer.position(), 6 + kHole);
  ASSERT_TRUE(writer.Commit().ok());
  struct stat st;
  ASSERT_EQ(::stat((folder / "a").c_str(), &st), 0);
  EXPECT_EQ(static_cast<uint64_t>(st.st_size), 6 + kHole);
  EXPECT_LT(st.st_blocks * 512, 1 << 20);
  std::ifstream in(folder / "a", std::ios::binary);
  std::string start(8, 'x');
  in.read(start.data(), 8);
  EXPECT_EQ(start, std::string("ab\0\0\0c\0\0", 8));
}

TEST(FileWriter, RefusesSizesThatNoFileHas) {
  const TempFolder folder;
  FileWriter writer = *FileWriter::Create(folder / "a");
  ASSERT_TRUE(writer.Skip(100).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(writer.Skip(UINT64_MAX - 50)));
  EXPECT_TRUE(absl::IsResourceExhausted(writer.Write("x")));  // the error stays
  EXPECT_TRUE(absl::IsResourceExhausted(writer.Commit()));
}

TEST(FileWriter, RefusesPathsThatAreNoFiles) {
  const TempFolder folder;
  EXPECT_TRUE(absl::IsNotFound(FileWriter::Create(folder / "missing/a").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(FileWriter::Create(folder.path()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(FileWriter::Create(folder / "a/").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(FileWriter::Create("").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(FileWriter::Create("/dev/null").status()));
}

TEST(FileWriter, KeepsThePermissionsOfTheOldFile) {
  const TempFolder folder;
  folder.Write("a", "old");
  ASSERT_EQ(::chmod((folder / "a").c_str(), 0640), 0);
  FileWriter writer = *FileWriter::Create(folder / "a");
  ASSERT_TRUE(writer.Commit().ok());
  struct stat st;
  ASSERT_EQ(::stat((folder / "a").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0640u);
}

// A limit on the size of files fails writes as a full disk does. In a child, because the limit stays.
TEST(FileWriter, AFullDiskIsResourceExhausted) {
  const TempFolder folder;
  folder.Write("a", "old");
  const std::string path = folder / "a";
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100'000, 100'000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(2);
    absl::Status status;
    {
      absl::StatusOr<FileWriter> writer = FileWriter::Create(path);
      if (!writer.ok()) ::_exit(3);
      status = writer->Write(std::string(300'000, 'n'));
      if (!absl::IsResourceExhausted(writer->Commit())) ::_exit(4);
    }
    const std::string message(Message(status));
    const bool named = message.find(path) != std::string::npos && message.find("300000") != std::string::npos;
    ::_exit(absl::IsResourceExhausted(status) && named ? 0 : 5);
  }
  int result = 0;
  ASSERT_EQ(::waitpid(child, &result, 0), child);
  ASSERT_TRUE(WIFEXITED(result));
  EXPECT_EQ(WEXITSTATUS(result), 0);
  EXPECT_EQ(folder.Read("a"), "old");
  EXPECT_EQ(folder.FileCount(), 1u);
}

}  // namespace
}  // namespace qiao
