#include "runtime/program/parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/base/floats.h"
#include "tests/program/fake_source.h"

namespace qiao::program {
namespace {

using testing::HasSubstr;

std::vector<Slice> Whole(const std::string& tensor, int64_t rows, int64_t cols) {
  return {{tensor, rows, cols, 0, rows, 0}};
}

TEST(Parameters, AWeightPointsIntoTheFileAndIsResolvedOnce) {
  FakeSource source;
  source.AddRandom("w", {4, 8});
  Parameters parameters(source, {});
  absl::StatusOr<int32_t> a = parameters.AddWeight("w", [] { return Whole("w", 4, 8); });
  ASSERT_TRUE(a.ok()) << a.status();
  bool asked = false;
  absl::StatusOr<int32_t> b = parameters.AddWeight("w", [&] {
    asked = true;
    return Whole("w", 4, 8);
  });
  EXPECT_EQ(*a, *b);
  EXPECT_FALSE(asked);
  const Weight& w = parameters.weight(*a);
  EXPECT_EQ(w.pieces[0].data, (*source.Find("w"))->data);
  EXPECT_EQ(w.file_bytes, 4u * 8 * 4);
}

TEST(Parameters, StackedGroupsAndScalesInFileCoordinates) {
  FakeSource source;
  source.AddRandomF8("kv", 6 * 20, 130, 128);
  Parameters parameters(source, {"_scale_inv", {128, 128}});
  // Six heads of 20 rows each, of which the last 8 are wanted: heads 5 and 6 lie in different scale blocks.
  absl::StatusOr<int32_t> index = parameters.AddWeight("kv.values", [] {
    std::vector<Slice> slices;
    for (int32_t h = 0; h < 6; ++h) slices.push_back({"kv", 120, 130, h * 20 + 12, 8, h});
    return slices;
  });
  ASSERT_TRUE(index.ok()) << index.status();
  const Weight& w = parameters.weight(*index);
  EXPECT_EQ(w.groups, 6);
  EXPECT_EQ(w.rows, 8);
  EXPECT_EQ(w.group_start, (std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(w.pieces[5].row0, 112);
  EXPECT_EQ(w.pieces[5].scale_ld, 2);
  EXPECT_EQ(w.pieces[5].scale, w.pieces[0].scale);
}

TEST(Parameters, ChannelScalesOfEveryStoredFormAreFloatsByFileRow) {
  FakeSource source;
  source.AddRandomI8("narrow", 12, 40);
  source.AddRandomI8("wide", 12, 40, true);
  Parameters parameters(source, {.scale_suffix = "_scale", .channel = true});
  for (const char* name : {"narrow", "wide"}) {
    SCOPED_TRACE(name);
    absl::StatusOr<int32_t> index = parameters.AddWeight(std::string(name) + ".part", [&] {
      return std::vector<Slice>{{name, 12, 40, 2, 3, 0}, {name, 12, 40, 8, 3, 1}};
    });
    ASSERT_TRUE(index.ok()) << index.status();
    const Weight& w = parameters.weight(*index);
    EXPECT_EQ(w.file_bytes, 2u * 3 * (40 + 4));
    const qiao_piece& piece = w.pieces[1];
    EXPECT_EQ(piece.scheme, uint32_t{QIAO_SCHEME_CHANNEL});
    EXPECT_EQ(piece.row0, 8);
    EXPECT_EQ(piece.scale, w.pieces[0].scale);
    const HostTensor scales = **source.Find(std::string(name) + "_scale");
    float want = 0;
    if (scales.dtype == DType::kF32) {
      std::memcpy(&want, scales.data + 9 * 4, 4);
    } else {
      uint16_t bits;
      std::memcpy(&bits, scales.data + 9 * 2, 2);
      want = Bf16ToFloat(bits);
    }
    EXPECT_EQ(piece.scale[piece.row0 + 1], want);
  }
}

TEST(Parameters, Int8NeedsAConfigThatSaysSoAndAScaleForEachRow) {
  FakeSource source;
  source.AddRandomI8("w", 12, 40);
  source.AddRandomF8("f", 12, 40, 128);
  source.AddRandomI8("short", 12, 40);
  source.AddRandom("short_scale", {11, 1});
  const auto message = [&](Quantisation quantisation, const std::string& tensor) {
    Parameters parameters(source, std::move(quantisation));
    return std::string(
        parameters.AddWeight(tensor, [&] { return Whole(tensor, 12, 40); }).status().message());
  };
  EXPECT_THAT(message({}, "w"), HasSubstr("quantization_config"));
  EXPECT_THAT(message({.scale_suffix = "_scale_inv"}, "w"), HasSubstr("would be f8"));
  EXPECT_THAT(message({.scale_suffix = "_scale", .channel = true}, "f"), HasSubstr("would be i8"));
  EXPECT_THAT(message({.scale_suffix = "_scale", .channel = true}, "short"),
              testing::AllOf(HasSubstr("short_scale"), HasSubstr("[11, 1]"), HasSubstr("[12, 1]")));
  source.Erase("w_scale");
  EXPECT_THAT(message({.scale_suffix = "_scale", .channel = true}, "w"), HasSubstr("\"w_scale\" is missing"));
}

TEST(Parameters, AMisalignedTensorIsCopied) {
  FakeSource source;
  source.AddRandom("w", {3, 5});
  source.Misalign("w");
  Parameters parameters(source, {});
  absl::StatusOr<int32_t> index = parameters.AddWeight("w", [] { return Whole("w", 3, 5); });
  ASSERT_TRUE(index.ok()) << index.status();
  const qiao_piece& piece = parameters.weight(*index).pieces[0];
  EXPECT_EQ(reinterpret_cast<uintptr_t>(piece.data) % 4, 0u);
  EXPECT_EQ(std::memcmp(piece.data, (*source.Find("w"))->data, 3 * 5 * 4), 0);
}

TEST(Parameters, ErrorsNameTheTensorAndBothShapes) {
  FakeSource source;
  source.AddRandom("w", {4, 8});
  source.AddRandomF8("q", 4, 8, 128);
  source.AddRandomF8("r", 4, 8, 128);
  source.AddRandom("r_scale_inv", {2, 1});
  Parameters parameters(source, {"_scale_inv", {128, 128}});
  auto message = [&](const std::string& tensor, int64_t rows, int64_t cols) {
    return std::string(
        parameters.AddWeight(tensor, [&] { return Whole(tensor, rows, cols); }).status().message());
  };
  EXPECT_THAT(message("none", 1, 1), HasSubstr("tensor \"none\" is missing"));
  EXPECT_THAT(message("w", 5, 8), testing::AllOf(HasSubstr("[4, 8]"), HasSubstr("[5, 8]")));
  EXPECT_THAT(message("r", 4, 8),
              testing::AllOf(HasSubstr("r_scale_inv"), HasSubstr("[2, 1]"), HasSubstr("[1, 1]")));
  source.Erase("q_scale_inv");
  EXPECT_THAT(message("q", 4, 8), HasSubstr("\"q_scale_inv\" is missing"));
  Parameters plain(source, {});
  EXPECT_THAT(std::string(plain.AddWeight("r", [] { return Whole("r", 4, 8); }).status().message()),
              HasSubstr("quantization_config"));
  EXPECT_THAT(std::string(parameters.AddVector("w", 8).status().message()), HasSubstr("[8]"));
}

TEST(Parameters, PiecesOfAWeightMustAgree) {
  FakeSource source;
  source.AddRandom("a", {4, 8});
  source.AddRandomF8("b", 4, 8, 128);
  Parameters parameters(source, {"_scale_inv", {128, 128}});
  absl::Status status =
      parameters
          .AddWeight("ab",
                     [] {
                       return std::vector<Slice>{{"a", 4, 8, 0, 4, 0}, {"b", 4, 8, 0, 4, 0}};
                     })
          .status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("differ in dtype"));
}

}  // namespace
}  // namespace qiao::program
