#include "runtime/formats/qiao_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/formats/checkpoint.h"
#include "tests/base/temp_folder.h"
#include "tests/formats/qiao_bytes.h"

namespace qiao::formats {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Two texts and three tensors.
std::string Good() {
  std::string payload(448, '\0');
  auto fill = [&](uint64_t offset, size_t n, char c) {
    payload.replace(offset - 64, n, std::string(n, c));
    return Checksum(std::string(n, c));
  };
  std::vector<HandText> texts = {{"config.json", 64, 20, fill(64, 20, '{')},
                                 {"tokenizer.json", 128, 0, Checksum("")}};
  std::vector<HandTensor> tensors = {{"b", "F32", {2, 4}, 256, 32, fill(256, 32, 'b'), ""},
                                     {"a", "BF16", {40}, 128, 80, fill(128, 80, 'a'), ""},
                                     {"c", "F8_E4M3", {3, 5, 7}, 384, 105, fill(384, 105, 'c'), ""}};
  return HandFile(payload, HandHeader(tensors, texts));
}

std::string Refusal(const std::string& file) {
  const absl::StatusOr<QiaoFile> parsed = QiaoFile::Parse(AsBytes(file), "x.qiao");
  return parsed.ok() ? "accepted" : std::string(Message(parsed.status()));
}
std::string Refused(const std::vector<HandTensor>& tensors, const std::vector<HandText>& texts = {}) {
  return Refusal(HandFile(std::string(448, '\0'), HandHeader(tensors, texts)));
}

TEST(QiaoFile, ReadsWhatTheFormatSays) {
  const std::string bytes = Good();
  const absl::StatusOr<QiaoFile> file = QiaoFile::Parse(AsBytes(bytes), "x.qiao");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->producer(), "a test");
  ASSERT_EQ(file->tensors().size(), 3u);
  EXPECT_EQ(file->tensors()[0].name, "a") << "in the order of the data";
  EXPECT_EQ(file->tensors()[2].shape, Shape({3, 5, 7}));
  EXPECT_EQ(file->tensors()[2].dtype, DType::kF8E4M3);
  EXPECT_EQ(file->tensors()[1].data[31], std::byte{'b'});
  EXPECT_EQ(**file->Read("config.json", 100), std::string(20, '{'));
  EXPECT_EQ(**file->Read("tokenizer.json", 100), "");
  EXPECT_FALSE(file->Read("other", 100)->has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(file->Read("config.json", 19).status()));
  EXPECT_EQ(file->Where("config.json"), "x.qiao/config.json");
  EXPECT_TRUE(file->VerifyTensors().ok());
}

TEST(QiaoFile, EveryTruncationIsRefused) {
  const std::string good = Good();
  for (size_t n = 0; n < good.size(); ++n)
    EXPECT_THAT(Refusal(good.substr(0, n)), HasSubstr("x.qiao: ")) << n;
  EXPECT_THAT(Refusal(good + "x"), HasSubstr("was written with"));
}

TEST(QiaoFile, EveryFlippedBitOfPrologueTextsAndHeaderIsFound) {
  const std::string good = Good();
  for (size_t at = 0; at < good.size(); ++at) {
    const bool checked = at < 84 || at >= 512;  // prologue and config.json; the header
    for (int bit = 0; bit < 8 && checked; ++bit) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      EXPECT_NE(Refusal(bad), "accepted") << at << " " << bit;
    }
  }
}

// Someone who wants to do harm makes the checksums fit: nothing may be read outside of the bytes (the
// sanitizers see it), and what is accepted must be consistent.
TEST(QiaoFile, HeadersThatAreWrongAndSealedAreRefusedOrHarmless) {
  const std::string good = Good();
  for (size_t at = 512; at < good.size(); ++at) {
    for (const int value : {0, 1, 0x7f, 0x80, 0xff}) {
      std::string bad = good;
      bad[at] = static_cast<char>(value);
      Mend(bad, 512);
      const absl::StatusOr<QiaoFile> file = QiaoFile::Parse(AsBytes(bad), "x.qiao");
      if (!file.ok()) continue;
      uint64_t end = 0;
      for (const TensorView& tensor : file->tensors()) {
        EXPECT_GE(tensor.offset, end);
        end = tensor.offset + tensor.data.size();
        EXPECT_LE(end, 512u);
      }
      (void)file->VerifyTensors();
    }
  }
  // The last bytes are padding.
  for (size_t n = 0; n + 512 + 8 < good.size(); ++n) {
    std::string bad = good.substr(0, 512 + n);
    Mend(bad, 512);
    EXPECT_NE(Refusal(bad), "accepted") << n;
  }
}

TEST(QiaoFile, TensorsMustLieApartInsideThePayload) {
  EXPECT_EQ(Refused(std::vector<HandTensor>{{.name = "a"}, {.name = "b", .offset = 128}}), "accepted");
  EXPECT_THAT(Refused({{.name = "a", .shape = {100}, .bytes = 100}, {.name = "b", .offset = 128}}),
              AllOf(HasSubstr("\"b\" begins at byte 128"), HasSubstr("\"a\", which ends at 164")));
  EXPECT_THAT(Refused({{.name = "a"}, {.name = "b"}}), HasSubstr("inside \"a\""));
  EXPECT_THAT(Refused({{.offset = 0}}), HasSubstr("outside of the payload"));
  EXPECT_THAT(Refused({{.offset = 512}}), HasSubstr("outside of the payload"));
  EXPECT_THAT(Refused({{.offset = 448, .bytes = 65}}), HasSubstr("make 16"));
  EXPECT_THAT(Refused({{.shape = {65}, .offset = 448, .bytes = 65}}), HasSubstr("outside of the payload"));
  EXPECT_THAT(Refused({{.offset = UINT64_MAX - 63}}), HasSubstr("outside of the payload"));
  EXPECT_THAT(Refused({{.offset = 72}}), HasSubstr("no multiple of 64"));
  EXPECT_THAT(Refused({{.name = "a"}}, {{.name = "t", .checksum = Checksum(std::string(16, '\0'))}}),
              HasSubstr("inside \"t\""));
  const std::string far = HandFile(std::string(8192, '\0'), HandHeader({{.name = "a", .offset = 64 + 4096}}));
  EXPECT_THAT(Refusal(far), HasSubstr("belong to nothing"));
  EXPECT_THAT(Refusal(HandFile(std::string(8192, '\0'), HandHeader({{.name = "a"}}))),
              HasSubstr("before its header belong to nothing"));
}

TEST(QiaoFile, ShapesAndNamesMustBePossible) {
  const uint64_t huge = uint64_t{1} << 40;
  EXPECT_THAT(Refused({{.shape = {huge, huge}}}), HasSubstr("too many elements"));
  EXPECT_THAT(Refused({{.shape = {UINT64_MAX}}}), HasSubstr("too many elements"));
  EXPECT_THAT(Refused({{.shape = {4, 5}}}), HasSubstr("make 20"));
  EXPECT_THAT(Refused({{.dtype = "F4", .shape = {1}}}), HasSubstr("do not fill whole bytes"));
  EXPECT_THAT(Refused({{.dtype = "Q9"}}), HasSubstr("dtype \"Q9\" is not known"));
  EXPECT_THAT(Refused({{.shape = std::vector<uint64_t>(9, 1)}}), HasSubstr("9 dimensions"));
  EXPECT_THAT(Refused({{.name = ""}}), HasSubstr("impossible name"));
  EXPECT_THAT(Refused({{.name = std::string(2000, 'n')}}), HasSubstr("impossible name"));
  EXPECT_THAT(Refused({{.name = "a"}, {.name = "a", .offset = 128}}), HasSubstr("is there twice"));
  EXPECT_THAT(Refused({}, std::vector<HandText>(65)), HasSubstr("at most 64"));
  // A packed tensor's bytes are its backend's affair; it is listed, and not usable.
  const std::string packed =
      HandFile(std::string(448, '\0'), HandHeader({{.shape = {7}, .packing = "cpu/1"}}));
  const absl::StatusOr<QiaoFile> file = QiaoFile::Parse(AsBytes(packed), "x.qiao");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(std::string(Message(file->tensors()[0].CheckUsable())),
              AllOf(HasSubstr("cpu/1"), HasSubstr("--pack neutral")));
}

TEST(QiaoFile, HugeClaimsCostNothing) {
  std::string bad = Good();
  auto put = [&](size_t at, uint64_t value) {
    std::memcpy(bad.data() + at, &value, sizeof(value));
    const uint64_t sum = Checksum(std::string_view(bad).substr(0, 56));
    std::memcpy(bad.data() + 56, &sum, sizeof(sum));
  };
  put(24, UINT64_MAX);
  EXPECT_THAT(Refusal(bad), HasSubstr("at most 268435456"));
  put(24, 100);
  EXPECT_THAT(Refusal(bad), HasSubstr("does not end a file"));
  put(16, UINT64_MAX - 50);
  EXPECT_THAT(Refusal(bad), HasSubstr("does not end a file"));
  bad = Good();
  put(8, 2);
  EXPECT_THAT(Refusal(bad), HasSubstr("version 2"));
}

TEST(QiaoFile, DamagedTensorsAreFoundAndNamed) {
  const TempFolder folder;
  std::string bytes = Good();
  bytes[384 + 17] ^= 4;
  const std::string path = folder.Write("m.qiao", bytes);
  const absl::StatusOr<QiaoFile> file = QiaoFile::Open(path);
  ASSERT_TRUE(file.ok()) << "tensors are not read: " << file.status();
  uint64_t told = 0;
  const absl::Status status = file->VerifyTensors([&](std::string_view, uint64_t done, uint64_t) {
    told = done;
    return true;
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(Message(status)), AllOf(HasSubstr("m.qiao: tensor \"c\""), HasSubstr("byte 384")));
  bytes[384 + 17] ^= 4;
  const absl::StatusOr<QiaoFile> good = QiaoFile::Open(folder.Write("n.qiao", bytes));
  ASSERT_TRUE(good.ok());
  EXPECT_TRUE(
      absl::IsCancelled(good->VerifyTensors([](std::string_view, uint64_t, uint64_t) { return false; })));
}

TEST(QiaoFile, ServesAsACheckpoint) {
  const std::string bytes = Good();
  absl::StatusOr<QiaoFile> file = QiaoFile::Parse(AsBytes(bytes), "x.qiao");
  ASSERT_TRUE(file.ok());
  const Checkpoint checkpoint = Checkpoint::Of(std::make_shared<QiaoFile>(*std::move(file)));
  EXPECT_EQ(checkpoint.folder(), "x.qiao");
  EXPECT_EQ(checkpoint.file_count(), 1u);
  EXPECT_EQ(checkpoint.data_bytes(), 32u + 80 + 105);
  ASSERT_NE(checkpoint.Find("b"), nullptr);
  EXPECT_EQ(checkpoint.Find("b")->data[0], std::byte{'b'});
  EXPECT_EQ(checkpoint.Find("d"), nullptr);
}

}  // namespace
}  // namespace qiao::formats
