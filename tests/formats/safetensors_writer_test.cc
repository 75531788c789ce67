#include "runtime/formats/safetensors_writer.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/base/temp_folder.h"
#include "tests/formats/safetensors_bytes.h"

namespace qiao::formats {
namespace {

using ::testing::HasSubstr;

std::string CreateError(std::vector<TensorToWrite> tensors,
                        const SafetensorsWriter::Metadata& metadata = {}) {
  const TempFolder folder;
  const absl::Status status = SafetensorsWriter::Create(folder / "a", std::move(tensors), metadata).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(folder.FileCount(), 0u);
  return std::string(Message(status));
}

TEST(SafetensorsWriter, WhatItWritesIsRead) {
  const TempFolder folder;
  absl::StatusOr<SafetensorsWriter> writer =
      SafetensorsWriter::Create(folder / "a",
                                {{"q", "F8_E4M3", {3}},
                                 {"z\"\n\xc3\xa9", "F32", {2}},
                                 {"a", "F32", {}},
                                 {"empty", "I64", {0, 7}},
                                 {"b", "BF16", {1, 2}}},
                                {{"format", "pt"}, {"note", "a \"quoted\" one"}});
  ASSERT_TRUE(writer.ok()) << writer.status();
  std::vector<std::string> order;
  std::string data;
  for (size_t i = 0; i < writer->tensors().size(); ++i) {
    order.push_back(writer->tensors()[i].name);
    data += std::string(writer->bytes(i), static_cast<char>('A' + i));
  }
  EXPECT_EQ(order, (std::vector<std::string>{"empty", "a", "z\"\n\xc3\xa9", "b", "q"}));
  // In pieces that know nothing of where a tensor ends.
  for (size_t i = 0; i < data.size(); i += 5) {
    ASSERT_TRUE(writer->Write(AsBytes(std::string_view(data).substr(i, 5))).ok());
  }
  ASSERT_TRUE(writer->Commit().ok());

  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Open(folder / "a");
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->tensors().size(), 5u);
  EXPECT_EQ(file->tensors()[0].offset % kSafetensorsDataAlignment, 0u);
  for (size_t i = 0; i < 5; ++i) {
    const TensorView& tensor = file->tensors()[i];
    EXPECT_EQ(tensor.name, order[i]);
    for (const std::byte b : tensor.data) EXPECT_EQ(b, static_cast<std::byte>('A' + i));
    if (tensor.dtype != DType::kInvalid) {
      EXPECT_EQ(tensor.offset % SizeOf(tensor.dtype), 0u) << tensor.name;
    }
  }
  EXPECT_EQ(file->Find("empty")->shape, Shape({0, 7}));
  EXPECT_EQ(file->metadata()[1].second, "a \"quoted\" one");
}

TEST(SafetensorsWriter, KeepsADeclaredOrder) {
  const TempFolder folder;
  absl::StatusOr<SafetensorsWriter> writer = SafetensorsWriter::Create(
      folder / "a", {{"b", "U8", {1}}, {"a", "F32", {1}}}, {}, TensorOrder::kAsDeclared);
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE(writer->Write(AsBytes("12345")).ok());
  ASSERT_TRUE(writer->Commit().ok());
  EXPECT_EQ(SafetensorsFile::Open(folder / "a")->tensors()[0].name, "b");
}

TEST(SafetensorsWriter, AFileWithoutTensors) {
  const TempFolder folder;
  absl::StatusOr<SafetensorsWriter> writer = SafetensorsWriter::Create(folder / "a", {});
  ASSERT_TRUE(writer.ok()) << writer.status();
  EXPECT_TRUE(absl::IsOutOfRange(writer->Write(AsBytes("x"))));
  ASSERT_TRUE(writer->Commit().ok());
  EXPECT_TRUE(SafetensorsFile::Open(folder / "a").ok());
}

TEST(SafetensorsWriter, HolesMakeASparseFile) {
  const TempFolder folder;
  constexpr int64_t kRows = int64_t{1} << 20;
  absl::StatusOr<SafetensorsWriter> writer =
      SafetensorsWriter::Create(folder / "a", {{"w", "BF16", {kRows, 7168}}, {"x", "BF16", {kRows, 7168}}});
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE(writer->WriteHole(writer->bytes(0)).ok());
  ASSERT_TRUE(writer->Write(AsBytes("ab")).ok());
  ASSERT_TRUE(writer->WriteHole(writer->bytes(1) - 2).ok());
  ASSERT_TRUE(writer->Commit().ok());
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Open(folder / "a");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->Find("x")->data[1], std::byte{'b'});
  EXPECT_EQ(file->Find("x")->data.back(), std::byte{0});
}

TEST(SafetensorsWriter, MissingAndSurplusBytes) {
  const TempFolder folder;
  absl::StatusOr<SafetensorsWriter> writer =
      SafetensorsWriter::Create(folder / "a", {{"a", "U8", {4}}, {"b", "U8", {4}}});
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE(writer->Write(AsBytes("12345")).ok());
  const absl::Status early = writer->Commit();
  EXPECT_TRUE(absl::IsFailedPrecondition(early));
  EXPECT_THAT(std::string(Message(early)), HasSubstr("\"b\": 3 of its bytes"));
  EXPECT_TRUE(absl::IsOutOfRange(writer->Write(AsBytes("1234"))));
  EXPECT_TRUE(absl::IsOutOfRange(writer->WriteHole(UINT64_MAX)));
  EXPECT_EQ(folder.Read("a"), "");
  ASSERT_TRUE(writer->Write(AsBytes("123")).ok());
  EXPECT_TRUE(writer->Commit().ok());
}

TEST(SafetensorsWriter, RefusesWhatNobodyCouldRead) {
  EXPECT_THAT(CreateError({{"a", "U8", {1}}, {"a", "U8", {1}}}), HasSubstr("declared twice"));
  EXPECT_THAT(CreateError({{"a", "F128", {1}}}), HasSubstr("dtype \"F128\""));
  EXPECT_THAT(CreateError({{"a", "U8", {-1}}}), HasSubstr("shape"));
  EXPECT_THAT(CreateError({{"a", "F32", {int64_t{1} << 60}}}), HasSubstr("shape"));
  EXPECT_THAT(CreateError({{"a", "U8", {int64_t{1} << 59}},
                           {"b", "U8", {int64_t{7} << 57}},
                           {"c", "U8", {int64_t{7} << 57}},
                           {"d", "U8", {int64_t{7} << 57}},
                           {"e", "U8", {int64_t{7} << 57}},
                           {"f", "U8", {int64_t{7} << 57}}}),
              HasSubstr("too large"));
  EXPECT_THAT(CreateError({{"a", "F4", {3}}}), HasSubstr("12 bits"));
  EXPECT_THAT(CreateError({{"a", "U8", {1, 1, 1, 1, 1, 1, 1, 1, 1}}}), HasSubstr("9 dimensions"));
  EXPECT_THAT(CreateError({{"__metadata__", "U8", {1}}}), HasSubstr("not a name"));
  EXPECT_THAT(CreateError({{std::string(1025, 'n'), "U8", {1}}}), HasSubstr("not a name"));
  EXPECT_THAT(CreateError({{"\xff", "U8", {1}}}), HasSubstr("not UTF-8"));
  EXPECT_THAT(CreateError({}, {{"a", "\xff"}}), HasSubstr("not UTF-8"));
  EXPECT_THAT(CreateError({}, {{"a", "1"}, {"a", "2"}}), HasSubstr("twice"));
}

}  // namespace
}  // namespace qiao::formats
