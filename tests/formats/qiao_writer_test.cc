#include "runtime/formats/qiao_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/formats/qiao_file.h"
#include "tests/base/temp_folder.h"
#include "tests/formats/as_bytes.h"

namespace qiao::formats {
namespace {

using testing::HasSubstr;

QiaoPlan Plan() {
  QiaoPlan plan;
  plan.producer = "test";
  plan.texts = {{"config.json", "{}"}, {"empty", ""}};
  plan.tensors = {{"a", "U8", {100'000}},
                  {"none", "F32", {0, 5}},
                  {"b", "BF16", {3, 50}},
                  {"c", "U8", {70'000}},
                  {"last", "U8", {0}}};
  return plan;
}

std::string Data(const QiaoWriter& writer, size_t i) {
  std::string data(writer.bytes(i), '\0');
  uint32_t x = static_cast<uint32_t>(i) + 1;
  for (char& c : data) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return data;
}

// Writes what is missing, in pieces of `piece` bytes, and stops after `pieces` of them.
absl::Status Fill(QiaoWriter& writer, size_t piece = 9999, int pieces = INT_MAX) {
  while (writer.next() < 5) {
    const std::string data = Data(writer, writer.next());
    for (size_t at = 0; at < data.size(); at += piece) {
      if (pieces-- == 0) return absl::OkStatus();
      QIAO_RETURN_IF_ERROR(writer.Write(AsBytes(std::string_view(data).substr(at, piece))));
    }
  }
  return absl::OkStatus();
}

std::string Whole(const TempFolder& folder) {
  absl::StatusOr<QiaoWriter> writer = QiaoWriter::Create(folder / "whole", Plan(), "source");
  EXPECT_TRUE(writer.ok() && Fill(*writer).ok() && writer->Commit().ok()) << writer.status();
  return folder.Read("whole");
}

TEST(QiaoWriter, WhatItWritesIsRead) {
  const TempFolder folder;
  {
    absl::StatusOr<QiaoWriter> writer = QiaoWriter::Create(folder / "m.qiao", Plan(), "source");
    ASSERT_TRUE(writer.ok()) << writer.status();
    EXPECT_EQ(writer->next(), 0u);
    ASSERT_TRUE(Fill(*writer).ok());
    EXPECT_EQ(folder.FileCount(), 1u) << "nothing under the real name before Commit";
    ASSERT_TRUE(writer->Commit().ok());
    EXPECT_FALSE(writer->Commit().ok());
  }
  EXPECT_EQ(folder.FileCount(), 1u);
  const absl::StatusOr<QiaoFile> file = QiaoFile::Open(folder / "m.qiao");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(file->VerifyTensors().ok());
  ASSERT_EQ(file->tensors().size(), 5u);
  const TensorView* b = nullptr;
  for (const TensorView& tensor : file->tensors()) {
    if (tensor.name == "b") b = &tensor;
    const uint64_t alignment = tensor.data.size() >= 65536 ? 4096 : 64;  // large tensors begin on a page
    EXPECT_EQ(tensor.offset % alignment, 0u) << tensor.name;
  }
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->shape, Shape({3, 50}));
  EXPECT_EQ(**file->Read("config.json", 10), "{}");
  EXPECT_EQ(file->producer(), "test");
}

TEST(QiaoWriter, GoesOnAfterHavingBeenKilledAnywhere) {
  const TempFolder folder;
  const std::string want = Whole(folder);
  for (int pieces = 0; pieces <= 19; ++pieces) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      absl::StatusOr<QiaoWriter> writer = QiaoWriter::Create(folder / "m", Plan(), "source");
      if (writer.ok()) (void)Fill(*writer, 9999, pieces);
      ::kill(::getpid(), SIGKILL);
    }
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    EXPECT_FALSE(std::filesystem::exists(folder / "m"));
    absl::StatusOr<QiaoWriter> writer = QiaoWriter::Create(folder / "m", Plan(), "source");
    ASSERT_TRUE(writer.ok()) << writer.status();
    // 11 pieces make "a", one "b", eight "c".
    EXPECT_EQ(writer->next(), pieces < 11 ? 0u : pieces < 12 ? 2u : pieces < 20 ? 3u : 5u) << pieces;
    ASSERT_TRUE(Fill(*writer, 5000).ok());
    ASSERT_TRUE(writer->Commit().ok());
    EXPECT_TRUE(folder.Read("m") == want) << pieces;
    std::filesystem::remove(folder / "m");
  }
}

TEST(QiaoWriter, WhatDidNotReachTheDiskIsWrittenAnew) {
  const TempFolder folder;
  const std::string want = Whole(folder);
  {
    absl::StatusOr<QiaoWriter> writer = QiaoWriter::Create(folder / "m", Plan(), "source");
    ASSERT_TRUE(writer.ok() && Fill(*writer, 9999, 14).ok());
  }
  std::fstream partial(folder / "m.partial", std::ios::in | std::ios::out | std::ios::binary);
  partial.seekp(4096 + 50'000);  // inside "a"
  partial.write("\0\0\0\0\0\0\0\0", 8);
  partial.close();
  absl::StatusOr<QiaoWriter> writer = QiaoWriter::Create(folder / "m", Plan(), "source");
  ASSERT_TRUE(writer.ok()) << writer.status();
  EXPECT_EQ(writer->next(), 0u);
  ASSERT_TRUE(Fill(*writer).ok() && writer->Commit().ok());
  EXPECT_TRUE(folder.Read("m") == want);
}

TEST(QiaoWriter, AnotherPlanOrSourceStartsAfresh) {
  const TempFolder folder;
  const std::string want = Whole(folder);
  for (int change = 0; change < 3; ++change) {
    {
      QiaoPlan plan = Plan();
      if (change == 1) plan.texts[0].content = "{ }";
      if (change == 2) plan.tensors[3].dims = {70'001};
      absl::StatusOr<QiaoWriter> writer =
          QiaoWriter::Create(folder / "m", std::move(plan), change == 0 ? "another" : "source");
      ASSERT_TRUE(writer.ok() && Fill(*writer, 9999, 14).ok());
    }
    absl::StatusOr<QiaoWriter> writer = QiaoWriter::Create(folder / "m", Plan(), "source");
    ASSERT_TRUE(writer.ok()) << writer.status();
    EXPECT_EQ(writer->next(), 0u) << change;
    ASSERT_TRUE(Fill(*writer).ok() && writer->Commit().ok());
    EXPECT_TRUE(folder.Read("m") == want);
  }
}

TEST(QiaoWriter, AFinishedFileThatLacksItsNameGetsIt) {
  const TempFolder folder;
  const std::string want = Whole(folder);
  std::filesystem::rename(folder / "whole", folder / "m.partial");
  absl::StatusOr<QiaoWriter> writer = QiaoWriter::Create(folder / "m", Plan(), "source");
  ASSERT_TRUE(writer.ok()) << writer.status();
  EXPECT_EQ(writer->next(), 5u);
  ASSERT_TRUE(writer->Commit().ok());
  EXPECT_TRUE(folder.Read("m") == want);
}

TEST(QiaoWriter, TouchesNothingThatIsNotItsOwn) {
  const TempFolder folder;
  folder.Write("m.partial", "somebody's diary, which is longer than a prologue of sixty-four bytes is");
  absl::StatusOr<QiaoWriter> writer = QiaoWriter::Create(folder / "m", Plan(), "source");
  EXPECT_EQ(writer.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(folder.Read("m.partial"), HasSubstr("diary"));
  absl::StatusOr<QiaoWriter> first = QiaoWriter::Create(folder / "n", Plan(), "source");
  ASSERT_TRUE(first.ok());
  absl::StatusOr<QiaoWriter> second = QiaoWriter::Create(folder / "n", Plan(), "source");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(second.status())), HasSubstr("another process"));
  EXPECT_TRUE(Fill(*first).ok() && first->Commit().ok());
  EXPECT_EQ(QiaoWriter::Create(folder / "no/m", Plan(), "").status().code(), absl::StatusCode::kNotFound);
}

TEST(QiaoWriter, RefusesImpossiblePlansAndMissingBytes) {
  const TempFolder folder;
  auto refused = [&](TensorToWrite tensor) {
    QiaoPlan plan = Plan();
    plan.tensors.push_back(std::move(tensor));
    return QiaoWriter::Create(folder / "m", std::move(plan), "").status().code() ==
           absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused({"a", "U8", {1}}));
  EXPECT_TRUE(refused({"x", "U9", {1}}));
  EXPECT_TRUE(refused({"x", "U8", {-1}}));
  EXPECT_TRUE(refused({"x", "F4", {1}}));
  EXPECT_TRUE(refused({"", "U8", {1}}));
  EXPECT_TRUE(refused({"x", "F64", {int64_t{1} << 40, int64_t{1} << 40}}));
  // As QiaoFile would, to whose 63 bits the size does not fit.
  EXPECT_TRUE(refused({"x", "U8", {int64_t{1} << 60}}));
  EXPECT_TRUE(refused({"x", "U8", {0, (int64_t{1} << 62) + 1}}));
  EXPECT_EQ(folder.FileCount(), 0u);
  absl::StatusOr<QiaoWriter> writer = QiaoWriter::Create(folder / "m", Plan(), "");
  ASSERT_TRUE(writer.ok() && Fill(*writer, 9999, 12).ok());
  EXPECT_THAT(std::string(Message(writer->Commit())), HasSubstr("tensor \"c\": 70000 of its bytes"));
  ASSERT_TRUE(Fill(*writer).ok());
  EXPECT_FALSE(writer->Write(AsBytes("x")).ok());
}

TEST(QiaoWriter, AFullDiskIsAnErrorAndWhatIsThereIsUsedLater) {
  const TempFolder folder;
  const std::string want = Whole(folder);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    absl::StatusOr<QiaoWriter> writer = QiaoWriter::Create(folder / "m", Plan(), "source");
    if (!writer.ok() || !Fill(*writer, 9999, 11).ok()) ::_exit(2);
    const rlimit limit{110'000, 110'000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(3);
    const absl::Status status = Fill(*writer, 9999);
    const std::string message(Message(status));
    const bool told =
        message.find("m.partial") != std::string::npos && message.find("takes 1") != std::string::npos;
    ::_exit(absl::IsResourceExhausted(status) && told ? 0 : 4);
  }
  int result = 0;
  ASSERT_EQ(::waitpid(child, &result, 0), child);
  ASSERT_TRUE(WIFEXITED(result));
  EXPECT_EQ(WEXITSTATUS(result), 0);
  absl::StatusOr<QiaoWriter> writer = QiaoWriter::Create(folder / "m", Plan(), "source");
  ASSERT_TRUE(writer.ok()) << writer.status();
  EXPECT_EQ(writer->next(), 2u);
  ASSERT_TRUE(Fill(*writer).ok() && writer->Commit().ok());
  EXPECT_TRUE(folder.Read("m") == want);
}

}  // namespace
}  // namespace qiao::formats
