#include "runtime/formats/safetensors.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/base/mmap.h"
#include "tests/base/json_cases.h"
#include "tests/base/temp_folder.h"
#include "tests/formats/safetensors_bytes.h"

namespace qiao::formats {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<SafetensorsFile> ParseFile(const std::string& bytes) {
  return SafetensorsFile::Parse(AsBytes(bytes), "f.safetensors");
}

absl::StatusOr<SafetensorsFile> ParseHeader(std::string_view header, size_t data_bytes) {
  static std::vector<std::string> kept;  // the views in what is returned live on
  kept.push_back(SafetensorsBytes(header, data_bytes));
  return ParseFile(kept.back());
}

std::string Error(std::string_view header, size_t data_bytes) {
  const absl::Status status = ParseHeader(header, data_bytes).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << header << ": " << status;
  EXPECT_EQ(Message(status).substr(0, 15), "f.safetensors: ");
  return std::string(Message(status));
}

TEST(Safetensors, ReadsAFile) {
  // As old writers did it: entries in any order, keys in any order, padded with spaces.
  const auto file = ParseHeader(
      R"({"b":{"data_offsets":[6,14],"dtype":"F32","shape":[2,1]},"__metadata__":{"format":"pt","k":"v"},)"
      R"("a":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]},"s":{"dtype":"U8","shape":[],"data_offsets":[14,15]},)"
      R"("none":{"dtype":"I64","shape":[5,0],"data_offsets":[6,6],"later":[{"any":"thing"}]}}   )",
      15);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->tensors().size(), 4u);
  EXPECT_EQ(file->tensors()[0].name, "a");
  EXPECT_EQ(file->tensors()[1].name, "none");
  EXPECT_EQ(file->tensors()[2].name, "b");
  const TensorView* b = file->Find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->dtype, DType::kF32);
  EXPECT_EQ(b->dtype_name, "F32");
  EXPECT_EQ(b->shape, Shape({2, 1}));
  EXPECT_EQ(b->rank, 2);
  ASSERT_EQ(b->data.size(), 8u);
  EXPECT_EQ(b->data[0], std::byte{6});
  EXPECT_EQ(b->offset, file->file_bytes() - 15 + 6);
  EXPECT_TRUE(b->CheckUsable().ok());
  EXPECT_EQ(file->Find("s")->shape.rank(), 0);
  EXPECT_TRUE(file->Find("none")->data.empty());
  EXPECT_EQ(file->Find("c"), nullptr);
  EXPECT_EQ(file->Find(""), nullptr);
  ASSERT_EQ(file->metadata().size(), 2u);
  EXPECT_EQ(file->metadata()[1].first, "k");
  EXPECT_EQ(file->metadata()[1].second, "v");
}

TEST(Safetensors, AFileWithoutTensors) {
  EXPECT_TRUE(ParseHeader("{}", 0).ok());
  EXPECT_TRUE(ParseHeader(R"({"__metadata__":{}})", 0).ok());
  EXPECT_THAT(Error("{}", 1), HasSubstr("1 bytes after its last tensor"));
}

TEST(Safetensors, NamesMayHoldEscapes) {
  const auto file = ParseHeader(R"({"\u00e9\n\"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_NE(file->Find("\xc3\xa9\n\""), nullptr);
}

TEST(Safetensors, OpensFiles) {
  const TempFolder folder;
  const std::string path = folder.Write(
      "a.safetensors", SafetensorsBytes(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})", 3));
  absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  const TensorView* a = file->Find("a");
  const SafetensorsFile moved = *std::move(file);
  EXPECT_EQ(moved.Find("a"), a);
  EXPECT_EQ(a->data[2], std::byte{2});
  EXPECT_EQ(moved.path(), path);
  EXPECT_TRUE(absl::IsNotFound(SafetensorsFile::Open(folder / "b").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(SafetensorsFile::Open(folder.Write("empty", "")).status()));
  EXPECT_THAT(std::string(Message(SafetensorsFile::Open(folder.Write("x", "123"), "shown").status())),
              HasSubstr("shown: is 3 bytes"));
}

TEST(Safetensors, EveryDTypeOfTheFormat) {
  const std::vector<std::pair<std::string, int>> opaque = {{"F8_E8M0", 8}, {"U16", 16},   {"U32", 32},
                                                           {"U64", 64},    {"C64", 64},   {"F4", 4},
                                                           {"F6_E2M3", 6}, {"F6_E3M2", 6}};
  for (const auto& [name, bits] : opaque) {
    const size_t bytes = static_cast<size_t>(bits);  // of 8 elements
    const auto file = ParseHeader(
        absl::StrCat(R"({"t":{"dtype":")", name, R"(","shape":[8],"data_offsets":[0,)", bytes, "]}}"), bytes);
    ASSERT_TRUE(file.ok()) << name << file.status();
    const TensorView* t = file->Find("t");
    EXPECT_EQ(t->dtype, DType::kInvalid);
    EXPECT_EQ(t->dtype_name, name);
    EXPECT_TRUE(absl::IsUnimplemented(t->CheckUsable()));
    EXPECT_THAT(std::string(Message(t->CheckUsable())), HasSubstr(name));
  }
  for (uint32_t i = 1; i <= static_cast<uint32_t>(DType::kBool); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(SafetensorsBits(SafetensorsName(dtype)), static_cast<int>(8 * SizeOf(dtype))) << Name(dtype);
  }
  EXPECT_EQ(SafetensorsBits("BF16", {}), 16);
  EXPECT_EQ(SafetensorsBits("F4", {3, 5}), 60);
  EXPECT_EQ(SafetensorsBits("U8", {int64_t{1} << 59, 1, 0}), 0);
  EXPECT_EQ(SafetensorsBits("U8", {int64_t{1} << 60, 0}), std::nullopt);
  EXPECT_EQ(SafetensorsBits("U8", {2, -1}), std::nullopt);
  EXPECT_EQ(SafetensorsBits("F128", {1}), std::nullopt);
  EXPECT_THAT(Error(R"({"t":{"dtype":"F128","shape":[0],"data_offsets":[0,0]}})", 0), HasSubstr("\"F128\""));
  EXPECT_THAT(Error(R"({"t":{"dtype":"f32","shape":[0],"data_offsets":[0,0]}})", 0), HasSubstr("dtype"));
  // Three numbers of four bits fill no whole number of bytes.
  EXPECT_THAT(Error(R"({"t":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1), HasSubstr("12 bits"));
}

TEST(Safetensors, Ranks) {
  const auto file = ParseHeader(R"({"t":{"dtype":"U8","shape":[1,1,1,1,1,2],"data_offsets":[0,2]}})", 2);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->Find("t")->rank, 6);
  EXPECT_TRUE(absl::IsUnimplemented(file->Find("t")->CheckUsable()));
  EXPECT_TRUE(ParseHeader(R"({"t":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1).ok());
  EXPECT_THAT(Error(R"({"t":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1),
              HasSubstr("more than 8 dimensions"));
}

TEST(Safetensors, OverlapsAndHoles) {
  const auto two = [](const char* first, const char* second) {
    return absl::StrCat(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)", first,
                        R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)", second, "}}");
  };
  EXPECT_TRUE(ParseHeader(two("[0,4]", "[4,8]"), 8).ok());
  EXPECT_TRUE(ParseHeader(two("[4,8]", "[0,4]"), 8).ok());
  EXPECT_THAT(Error(two("[0,4]", "[3,7]"), 8), HasSubstr("before the end of the one before it"));
  EXPECT_THAT(Error(two("[0,4]", "[0,4]"), 8), HasSubstr("before the end"));
  EXPECT_THAT(Error(two("[0,4]", "[5,9]"), 9), HasSubstr("after the end of the one before it"));
  EXPECT_THAT(Error(two("[1,5]", "[5,9]"), 9), HasSubstr("after the end"));
  EXPECT_THAT(Error(two("[0,4]", "[4,8]"), 9), HasSubstr("1 bytes after its last tensor"));
  EXPECT_THAT(Error(two("[0,4]", "[4,8]"), 7), HasSubstr("ends at byte 8"));
  EXPECT_THAT(Error(two("[0,4]", "[8,4]"), 8), HasSubstr("do not span"));
  EXPECT_THAT(Error(two("[0,4]", "[4,9]"), 9), HasSubstr("do not span the 4 bytes"));
  // An empty tensor inside another one's data is an overlap of nothing, but it hides an order that nobody
  // writes.
  EXPECT_THAT(Error(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                    R"("b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})",
                    4),
              HasSubstr("before the end"));
}

TEST(Safetensors, SizesThatOverflow) {
  const auto one = [](const char* shape, const char* offsets) {
    return absl::StrCat(R"({"a":{"dtype":"F32","shape":)", shape, R"(,"data_offsets":)", offsets, "}}");
  };
  EXPECT_THAT(Error(one("[4294967296,4294967296]", "[0,0]"), 0), HasSubstr("too many elements"));
  EXPECT_THAT(Error(one("[4294967296,4294967296,0]", "[0,0]"), 0), HasSubstr("too many elements"));
  EXPECT_THAT(Error(one("[2305843009213693952]", "[0,0]"), 0), HasSubstr("too many elements"));
  // 2^62 elements of 32 bits would wrap around to 0 bytes.
  EXPECT_THAT(Error(one("[4611686018427387904]", "[0,0]"), 0), HasSubstr("too many elements"));
  EXPECT_THAT(Error(one("[9223372036854775808]", "[0,0]"), 0), HasSubstr("63 bits"));
  EXPECT_THAT(Error(one("[18446744073709551616]", "[0,0]"), 0), HasSubstr("63 bits"));
  EXPECT_THAT(Error(one("[-1]", "[0,0]"), 0), HasSubstr("whole number"));
  EXPECT_THAT(Error(one("[1.0]", "[0,4]"), 4), HasSubstr("whole number"));
  EXPECT_THAT(Error(one("[1]", "[9223372036854775803,9223372036854775807]"), 4), HasSubstr("ends at byte"));
  EXPECT_THAT(Error(one("[1]", "[0,18446744073709551615]"), 4), HasSubstr("63 bits"));
  EXPECT_THAT(Error(one("[1]", "[0]"), 4), HasSubstr("fewer than two"));
  EXPECT_THAT(Error(one("[1]", "[0,4,8]"), 4), HasSubstr("more than two"));
  EXPECT_THAT(Error(one("[1]", "[[0,4]]"), 4), HasSubstr("whole number"));
  EXPECT_THAT(Error(one("\"1\"", "[0,4]"), 4), HasSubstr("'['"));
  EXPECT_THAT(Error(one("null", "[0,4]"), 4), HasSubstr("'['"));
}

TEST(Safetensors, DuplicatesAndMissingFields) {
  const std::string a = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  const std::string again = R"("\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]})";
  EXPECT_THAT(Error(absl::StrCat("{", a, ",", again, "}"), 2), HasSubstr("\"a\": is in the header twice"));
  EXPECT_THAT(Error(R"({"__metadata__":{},"__metadata__":{}})", 0), HasSubstr("duplicate"));
  EXPECT_THAT(Error(R"({"__metadata__":{"a":"","a":""}})", 0), HasSubstr("duplicate"));
  EXPECT_THAT(Error(R"({"__metadata__":{"a":1}})", 0), HasSubstr("'\"' should stand here"));
  EXPECT_THAT(Error(R"({"__metadata__":{"a":{}}})", 0), HasSubstr("'\"' should stand here"));
  EXPECT_THAT(Error(R"({"__metadata__":null})", 0), HasSubstr("'{' should stand here"));
  EXPECT_THAT(Error(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1), HasSubstr("without \"dtype\""));
  EXPECT_THAT(Error(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1), HasSubstr("without \"shape\""));
  EXPECT_THAT(Error(R"({"a":{"dtype":"U8","shape":[1]}})", 1), HasSubstr("without \"data_offsets\""));
  EXPECT_THAT(Error(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
              HasSubstr("duplicate"));
  EXPECT_THAT(Error(R"({"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})", 1),
              HasSubstr("duplicate"));
  EXPECT_THAT(Error(R"({"a":[1]})", 1), HasSubstr("'{' should stand here"));
  EXPECT_THAT(Error(absl::StrCat("{\"", std::string(1025, 'n'), "\":{}}"), 0),
              HasSubstr("name of more than 1024"));
}

TEST(Safetensors, HeadersThatAreNotJson) {
  for (const std::string& text : BadJson()) {
    EXPECT_FALSE(ParseHeader(text, 0).ok()) << text;
    EXPECT_FALSE(ParseHeader(absl::StrCat(R"({"a":{"x":)", text, "}}"), 0).ok()) << text;
    EXPECT_FALSE(ParseHeader(absl::StrCat("{}", text, "x"), 0).ok()) << text;
  }
  EXPECT_THAT(Error(" {}", 0), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(Error("\xef\xbb\xbf{}", 0), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(Error("", 4), HasSubstr("does not begin with '{'"));
}

TEST(Safetensors, LengthsThatLie) {
  const auto with_length = [](uint64_t length, size_t size) {
    std::string file(size, '{');
    std::memcpy(file.data(), &length, 8);
    return std::string(Message(ParseFile(file).status()));
  };
  EXPECT_THAT(with_length(100'000'000, 40), HasSubstr("cut short: its header should be 100000000 bytes"));
  EXPECT_THAT(with_length(100'000'001, 40), HasSubstr("the format allows 100000000"));
  EXPECT_THAT(with_length(UINT64_MAX, 40), HasSubstr("the format allows"));
  EXPECT_THAT(with_length(UINT64_MAX - 7, 40), HasSubstr("the format allows"));
  EXPECT_THAT(with_length(33, 40), HasSubstr("cut short"));
  for (size_t size = 0; size < 8; ++size) EXPECT_FALSE(ParseFile(std::string(size, '\0')).ok());
}

// A real file, cut at every byte of its header and of the first data: always refused. (The length in front
// may not be trusted to find the end.)
TEST(Safetensors, EveryTruncationIsRefused) {
  const absl::StatusOr<std::string> real =
      ReadFile(QIAO_TEST_DATA "/golden/deepseek_v2_lite/model.safetensors", 64 << 20);
  ASSERT_TRUE(real.ok()) << real.status();
  ASSERT_TRUE(ParseFile(*real).ok());
  uint64_t header;
  std::memcpy(&header, real->data(), 8);
  ASSERT_LT(header, 100'000u);
  for (size_t size = 0; size < 8 + header + 100; ++size) {
    ASSERT_FALSE(SafetensorsFile::Parse(AsBytes(std::string_view(*real).substr(0, size)), "f").ok()) << size;
  }
  EXPECT_FALSE(
      SafetensorsFile::Parse(AsBytes(std::string_view(*real).substr(0, real->size() - 1)), "f").ok());
  // The same with a length that fits what is left.
  for (size_t size = 8; size < 8 + header; size += 1) {
    std::string cut = real->substr(0, size);
    const uint64_t length = size - 8;
    std::memcpy(cut.data(), &length, 8);
    ASSERT_FALSE(ParseFile(cut).ok()) << size;
  }
}

// Every single byte of the header changed: refused, or read without harm (a letter of a name, a digit of a
// shape).
TEST(Safetensors, EveryByteOfTheHeaderChanged) {
  std::string file =
      SafetensorsBytes(R"({"__metadata__":{"format":"pt"},"a.b":{"dtype":"F32","shape":[2,3],)"
                       R"("data_offsets":[0,24]},"c":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}})",
                       32);
  ASSERT_TRUE(ParseFile(file).ok());
  for (size_t i = 0; i < file.size() - 32; ++i) {
    const char before = file[i];
    for (int c = 0; c < 256; ++c) {
      file[i] = static_cast<char>(c);
      const absl::StatusOr<SafetensorsFile> parsed = ParseFile(file);
      if (!parsed.ok()) continue;
      size_t covered = 0;
      for (const TensorView& tensor : parsed->tensors()) covered += tensor.data.size();
      ASSERT_EQ(covered, 32u) << i << " " << c;
    }
    file[i] = before;
  }
}

// A hundred thousand entries in the worst order take well under a second; a quadratic reader would take
// minutes.
TEST(Safetensors, ManyTensors) {
  constexpr int kN = 100'000;
  std::string header = "{";
  for (int i = kN - 1; i >= 0; --i) {
    absl::StrAppend(&header, header.size() > 1 ? "," : "", R"("model.layers.)", i,
                    R"(.weight":{"dtype":"U8","shape":[1],)", R"("data_offsets":[)", i, ",", i + 1, "]}");
  }
  header += "}";
  const auto file = ParseHeader(header, kN);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->tensors().size(), static_cast<size_t>(kN));
  EXPECT_EQ(file->tensors()[77].name, "model.layers.77.weight");
  EXPECT_EQ(file->Find("model.layers.99999.weight"), &file->tensors()[kN - 1]);
}

TEST(Safetensors, NoMoreThanAMillionTensors) {
  std::string header = "{";
  for (int i = 0; i <= 1'000'000; ++i) {
    absl::StrAppend(&header, i > 0 ? "," : "", "\"", i,
                    R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})");
  }
  EXPECT_THAT(Error(header + "}", 0), HasSubstr("more than 1000000 tensors"));
}

}  // namespace
}  // namespace qiao::formats
