// What the runtime does for plugins without weight_choose, weight_store and cache_choose, and that plugins'
// own answers come to the same numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "runtime/base/floats.h"
#include "tests/hal/testing.h"

namespace qiao::hal {
namespace {

using ::testing::HasSubstr;

struct Weight {
  std::vector<qiao_piece> pieces;
  qiao_linear_params params{sizeof(qiao_linear_params), 0};
  qiao_weight_request request{};

  void Finish(int64_t groups, int64_t rows, int64_t cols) {
    request.struct_size = sizeof(request);
    request.op = QIAO_OP_LINEAR;
    request.argument = 2;
    request.activation = QIAO_BF16;
    request.params = &params;
    request.groups = groups;
    request.rows = rows;
    request.cols = cols;
    request.piece_count = static_cast<uint32_t>(pieces.size());
    request.piece = pieces.data();
  }
};

qiao_piece Piece(uint32_t dtype, const void* data, int64_t rows, int64_t cols, int64_t ld,
                 int32_t group = 0) {
  qiao_piece p{};
  p.struct_size = sizeof(p);
  p.dtype = dtype;
  p.data = data;
  p.rows = rows;
  p.cols = cols;
  p.ld = ld;
  p.group = group;
  return p;
}

// Chooses, stores and reads back.
std::vector<char> Store(const Device& device, const Weight& weight, qiao_weight_choice* choice) {
  auto chosen = device.ChooseWeight(weight.request);
  EXPECT_TRUE(chosen.ok()) << chosen.status();
  if (!chosen.ok()) return {};
  *choice = *chosen;
  Buffer buffer = std::move(device.Allocate(choice->bytes)).value();
  Stream stream = std::move(device.CreateStream()).value();
  const absl::Status stored = device.StoreWeight(stream, weight.request, *choice, buffer.data());
  EXPECT_TRUE(stored.ok()) << stored;
  std::vector<char> back(choice->bytes);
  EXPECT_TRUE(stream.CopyToHost(back.data(), buffer.data(), back.size()).ok());
  EXPECT_TRUE(stream.Synchronize().ok());
  return back;
}

TEST(DefaultWeights, StayInTheFilesOnUnifiedDevices) {
  auto device = OpenDevice("reference");
  const std::vector<uint8_t> data(6);
  const float scale = 2;
  Weight weight;
  weight.pieces = {Piece(QIAO_F8E4M3, data.data(), 2, 3, 3)};
  weight.pieces[0].scheme = QIAO_SCHEME_BLOCK;
  weight.pieces[0].scale = &scale;
  weight.pieces[0].scale_ld = 1;
  weight.pieces[0].block[0] = weight.pieces[0].block[1] = 128;
  weight.Finish(1, 2, 3);
  auto choice = device->ChooseWeight(weight.request);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->layout, QIAO_LAYOUT_PIECES);
  EXPECT_EQ(choice->dtype, QIAO_F8E4M3);
  EXPECT_EQ(choice->scheme, QIAO_SCHEME_BLOCK);
  EXPECT_EQ(choice->block[1], 128);
  EXPECT_EQ(choice->bytes, 0u);
  EXPECT_EQ(choice->activation, QIAO_BF16);
  Stream stream = std::move(device->CreateStream()).value();
  EXPECT_TRUE(device->StoreWeight(stream, weight.request, *choice, nullptr).ok());
}

// A plugin that was built before the host could wish for a copy answers that it does not know the field.
TEST(DefaultWeights, APluginThatDoesNotKnowTheWishForACopyIsAskedWithoutIt) {
  auto reference = OpenDevice("reference");
  static qiao_backend table;
  table = reference->backend().table();
  table.weight_choose = [](qiao_device*, const qiao_weight_request* request, qiao_weight_choice* choice,
                           qiao_error*) -> int32_t {
    if (request->residence != QIAO_WEIGHT_MAP) return QIAO_UNIMPLEMENTED;
    choice->dtype = QIAO_BF16;
    choice->layout = QIAO_LAYOUT_OPAQUE;
    choice->bytes = 77;
    return QIAO_OK;
  };
  table.weight_store = [](qiao_stream*, const qiao_weight_request* request, const qiao_weight_choice* choice,
                          void* dst, qiao_error*) -> int32_t {
    if (request->residence != QIAO_WEIGHT_MAP) return QIAO_UNIMPLEMENTED;
    std::memset(dst, 7, choice->bytes);
    return QIAO_OK;
  };
  auto backend = Backend::FromTable(&table);
  ASSERT_TRUE(backend.ok()) << backend.status();
  auto device = Device::Open(*backend, 0, {});
  ASSERT_TRUE(device.ok()) << device.status();
  const std::vector<uint8_t> data(6);
  Weight weight;
  weight.pieces = {Piece(QIAO_F8E4M3, data.data(), 2, 3, 3)};
  weight.Finish(1, 2, 3);
  weight.request.residence = QIAO_WEIGHT_COPY;
  auto choice = (*device)->ChooseWeight(weight.request);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->bytes, 77u);
  std::vector<char> stored(77);
  Stream stream = std::move((*device)->CreateStream()).value();
  const absl::Status status = (*device)->StoreWeight(stream, weight.request, *choice, stored.data());
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(stored, testing::Each(7));
}

// Two groups of gate over up, one of the pieces with a gap between its rows: one row-major copy of the same
// dtype.
TEST(DefaultWeights, SameDTypeIsCopied) {
  std::vector<uint16_t> file(64);
  for (size_t i = 0; i < file.size(); ++i) file[i] = static_cast<uint16_t>(1000 + i);
  Weight weight;
  weight.pieces = {Piece(QIAO_BF16, &file[0], 1, 3, 3, 0), Piece(QIAO_BF16, &file[10], 2, 3, 5, 0),
                   Piece(QIAO_BF16, &file[30], 3, 3, 3, 1)};
  weight.Finish(2, 3, 3);
  for (const char* form : {"default", "strided"}) {
    auto device = OpenPartial({{"weights", form}, {"deferred", "true"}});
    qiao_weight_choice choice{};
    const std::vector<char> back = Store(*device, weight, &choice);
    EXPECT_EQ(choice.dtype, QIAO_BF16);
    EXPECT_EQ(choice.layout, QIAO_LAYOUT_STRIDED);
    EXPECT_EQ(choice.scheme, QIAO_SCHEME_NONE);
    ASSERT_EQ(back.size(), 2u * 3 * 3 * 2);
    std::vector<uint16_t> got(18);
    std::memcpy(got.data(), back.data(), back.size());
    EXPECT_THAT(got, testing::ElementsAre(1000, 1001, 1002, 1010, 1011, 1012, 1015, 1016, 1017, 1030, 1031,
                                          1032, 1033, 1034, 1035, 1036, 1037, 1038))
        << form;
  }
}

// Blocks keep the file's coordinates: the piece begins in the middle of one, and has ragged ones at its ends.
TEST(DefaultWeights, BlocksThatStraddlePiecesAreDequantised) {
  constexpr int64_t kRows = 11, kCols = 7, kBlock = 4;
  constexpr int64_t kScaleLd = 2;  // ceil(7 / 4)
  std::vector<uint8_t> file(kRows * kCols);
  for (size_t i = 0; i < file.size(); ++i) file[i] = FloatToF8E4M3(static_cast<float>(i % 13) - 6.0f);
  const float scales[] = {0.5f, 3.0f, -1.25f, 7.0f, 0.1f, 11.0f};
  // Head 0 is rows 1..6 of the file, head 1 rows 6..11: the block of rows 4..8 spans both.
  Weight weight;
  for (int32_t head = 0; head < 2; ++head) {
    const int64_t row0 = 1 + head * 5;
    qiao_piece p = Piece(QIAO_F8E4M3, &file[static_cast<size_t>(row0 * kCols)], 5, kCols, kCols, head);
    p.row0 = row0;
    p.scheme = QIAO_SCHEME_BLOCK;
    p.scale = scales;
    p.scale_ld = kScaleLd;
    p.block[0] = p.block[1] = kBlock;
    weight.pieces.push_back(p);
  }
  weight.Finish(2, 5, kCols);

  for (const char* form : {"default", "strided", "opaque"}) {
    auto device = OpenPartial({{"weights", form}});
    qiao_weight_choice choice{};
    const std::vector<char> back = Store(*device, weight, &choice);
    EXPECT_EQ(choice.dtype, QIAO_F32);
    ASSERT_EQ(back.size(), 2u * 5 * kCols * 4);
    std::vector<float> got(2 * 5 * kCols);
    std::memcpy(got.data(), back.data(), back.size());
    for (int64_t head = 0; head < 2; ++head) {
      for (int64_t r = 0; r < 5; ++r) {
        for (int64_t c = 0; c < kCols; ++c) {
          const int64_t file_row = 1 + head * 5 + r;
          const float stored = F8E4M3ToFloat(file[static_cast<size_t>(file_row * kCols + c)]);
          const float expected = stored * scales[file_row / kBlock * kScaleLd + c / kBlock];
          const bool opaque = std::string(form) == "opaque";
          const int64_t at = head * 5 * kCols + (opaque ? c * 5 + r : r * kCols + c);
          EXPECT_EQ(got[static_cast<size_t>(at)], expected) << form << " " << head << " " << r << " " << c;
        }
      }
    }
  }
}

TEST(DefaultWeights, MixedDTypesLoseNothing) {
  const uint16_t bf16[] = {FloatToBf16(1.5f), FloatToBf16(-2.0f)};
  const float f32[] = {0.1f, 3.0f};
  const uint16_t f16[] = {FloatToF16(0.25f), FloatToF16(65504.0f)};
  const uint8_t e5m2[] = {FloatToF8E5M2(0.5f), FloatToF8E5M2(-57344.0f)};
  Weight weight;
  weight.pieces = {Piece(QIAO_BF16, bf16, 1, 2, 2), Piece(QIAO_F32, f32, 1, 2, 2),
                   Piece(QIAO_F16, f16, 1, 2, 2), Piece(QIAO_F8E5M2, e5m2, 1, 2, 2)};
  weight.Finish(1, 4, 2);
  auto device = OpenPartial({{"weights", "default"}});
  qiao_weight_choice choice{};
  const std::vector<char> back = Store(*device, weight, &choice);
  EXPECT_EQ(choice.dtype, QIAO_F32);
  EXPECT_EQ(choice.error, 0.0);
  std::vector<float> got(8);
  ASSERT_EQ(back.size(), 32u);
  std::memcpy(got.data(), back.data(), 32);
  EXPECT_THAT(got, testing::ElementsAre(1.5f, -2.0f, 0.1f, 3.0f, 0.25f, 65504.0f, 0.5f, -57344.0f));
}

// A plugin that wants bf16 leaves the storing to the runtime: the scale is multiplied in f32, and the product
// rounded once.
TEST(DefaultWeights, StridedBf16IsRoundedOnce) {
  auto reference = OpenDevice("reference");
  static qiao_backend table;
  table = reference->backend().table();
  table.weight_choose = [](qiao_device*, const qiao_weight_request* request, qiao_weight_choice* choice,
                           qiao_error*) -> int32_t {
    choice->dtype = QIAO_BF16;
    choice->layout = QIAO_LAYOUT_STRIDED;
    choice->bytes = static_cast<uint64_t>(request->groups * request->rows * request->cols) * 2;
    return QIAO_OK;
  };
  auto backend = Backend::FromTable(&table);
  ASSERT_TRUE(backend.ok()) << backend.status();
  auto device = Device::Open(*backend, 0, {});
  ASSERT_TRUE(device.ok()) << device.status();

  const int8_t i8[] = {127, -127, 3, 1, 0, -77};
  const float scales[] = {9.0f, 0.0123f, 1.7f};  // row 0 of the file is not in the piece
  const uint16_t bf16[] = {FloatToBf16(1.5f), FloatToBf16(-2.0f), FloatToBf16(0.1f)};
  const float f32[] = {1.00390625f, 1.01171875f, -0.1f};  // the first two lie between two bf16
  Weight weight;
  weight.pieces = {Piece(QIAO_I8, i8, 2, 3, 3), Piece(QIAO_BF16, bf16, 1, 3, 3),
                   Piece(QIAO_F32, f32, 1, 3, 3)};
  weight.pieces[0].scheme = QIAO_SCHEME_CHANNEL;
  weight.pieces[0].scale = scales;
  weight.pieces[0].row0 = 1;
  weight.Finish(1, 4, 3);
  qiao_weight_choice choice{};
  const std::vector<char> back = Store(**device, weight, &choice);
  std::vector<uint16_t> got(12);
  ASSERT_EQ(back.size(), 24u);
  std::memcpy(got.data(), back.data(), back.size());
  std::vector<uint16_t> expected;
  for (int i = 0; i < 6; ++i) expected.push_back(FloatToBf16(static_cast<float>(i8[i]) * scales[1 + i / 3]));
  expected.insert(expected.end(), bf16, bf16 + 3);
  for (const float v : f32) expected.push_back(FloatToBf16(v));
  EXPECT_EQ(got, expected);
  EXPECT_EQ(Bf16ToFloat(got[9]), 1.0f);  // ties to even
  EXPECT_EQ(Bf16ToFloat(got[10]), 1.015625f);
}

// More than one chunk, so that the staging memory is used again.
TEST(DefaultWeights, LargeWeightsGoInChunks) {
  constexpr int64_t kRows = 700, kCols = 4096;
  std::vector<uint16_t> file(kRows * kCols);
  for (size_t i = 0; i < file.size(); ++i)
    file[i] = static_cast<uint16_t>(0x3c00 + i % 997);  // positive bf16
  const float small = 1;
  Weight weight;
  weight.pieces = {Piece(QIAO_BF16, file.data(), kRows, kCols, kCols), Piece(QIAO_F32, &small, 1, 1, 1)};
  weight.pieces.pop_back();
  // A second dtype makes the first one travel through the staging memory.
  std::vector<float> last(kCols, 2.0f);
  weight.pieces.push_back(Piece(QIAO_F32, last.data(), 1, kCols, kCols));
  weight.Finish(1, kRows + 1, kCols);
  auto device = OpenPartial({{"weights", "default"}, {"deferred", "true"}});
  qiao_weight_choice choice{};
  const std::vector<char> back = Store(*device, weight, &choice);
  ASSERT_EQ(back.size(), static_cast<size_t>((kRows + 1) * kCols) * 4);
  int64_t wrong = 0;
  for (int64_t i = 0; i < (kRows + 1) * kCols; ++i) {
    float got;
    std::memcpy(&got, &back[static_cast<size_t>(i) * 4], 4);
    wrong += got != (i < kRows * kCols ? Bf16ToFloat(file[static_cast<size_t>(i)]) : 2.0f);
  }
  EXPECT_EQ(wrong, 0);
}

TEST(DefaultWeights, PiecesMustCoverTheWeight) {
  auto device = OpenPartial({{"weights", "default"}});
  const float data[64] = {};
  const auto refused = [&](std::vector<qiao_piece> pieces, int64_t groups, int64_t rows, int64_t cols) {
    Weight weight;
    weight.pieces = std::move(pieces);
    weight.Finish(groups, rows, cols);
    return device->ChooseWeight(weight.request).status().code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_FALSE(refused({Piece(QIAO_F32, data, 2, 3, 3)}, 1, 2, 3));
  EXPECT_TRUE(refused({}, 1, 2, 3));
  EXPECT_TRUE(refused({Piece(QIAO_F32, data, 2, 3, 3)}, 1, 3, 3));     // ends early
  EXPECT_TRUE(refused({Piece(QIAO_F32, data, 2, 3, 3)}, 1, 1, 3));     // ends late
  EXPECT_TRUE(refused({Piece(QIAO_F32, data, 2, 3, 3)}, 1, 2, 4));     // other width
  EXPECT_TRUE(refused({Piece(QIAO_F32, data, 2, 3, 2)}, 1, 2, 3));     // rows overlap
  EXPECT_TRUE(refused({Piece(QIAO_F32, nullptr, 2, 3, 3)}, 1, 2, 3));  // nothing there
  EXPECT_TRUE(refused({Piece(4711, data, 2, 3, 3)}, 1, 2, 3));         // no dtype
  EXPECT_TRUE(
      refused({Piece(QIAO_F32, data, 2, 3, 3, 1), Piece(QIAO_F32, data, 2, 3, 3, 0)}, 2, 2, 3));  // unsorted
  EXPECT_TRUE(
      refused({Piece(QIAO_F32, data, 2, 3, 3, 0), Piece(QIAO_F32, data, 2, 3, 3, 2)}, 3, 2, 3));  // a hole
  qiao_piece unscaled = Piece(QIAO_F32, data, 2, 3, 3);
  unscaled.scheme = QIAO_SCHEME_BLOCK;
  EXPECT_TRUE(refused({unscaled}, 1, 2, 3));
  // A size that does not fit is said before anything is allocated.
  qiao_piece vast = Piece(QIAO_F32, data, int64_t{1} << 40, int64_t{1} << 40, int64_t{1} << 40);
  EXPECT_TRUE(refused({vast}, 1, int64_t{1} << 40, int64_t{1} << 40));
}

TEST(DefaultCache, KindsLieOneAfterTheOther) {
  auto device = OpenPartial({});
  qiao_row_kind kinds[2] = {};
  for (qiao_row_kind& kind : kinds) kind.struct_size = sizeof(kind);
  kinds[0].dtype = QIAO_BF16;
  kinds[0].width = 33;
  kinds[1].dtype = QIAO_F32;
  kinds[1].width = 5;
  auto bytes = device->ChooseCache(3, 4, absl::MakeSpan(kinds));
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(kinds[0].offset, 0u);
  EXPECT_EQ(kinds[0].row_stride, 66u);
  EXPECT_EQ(kinds[0].page_stride, 264u);
  EXPECT_EQ(kinds[1].offset, 1024u);  // 792, up to the device's alignment of 256
  EXPECT_EQ(kinds[1].row_stride, 20u);
  EXPECT_EQ(kinds[1].page_stride, 80u);
  EXPECT_EQ(*bytes, 1280u);

  EXPECT_EQ(device->ChooseCache(0, 4, absl::MakeSpan(kinds)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(device->ChooseCache(3, 4, {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(device->ChooseCache(INT64_MAX, INT64_MAX, absl::MakeSpan(kinds)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(device->ChooseCache((int64_t{1} << 58) - 1, 1, absl::MakeSpan(kinds)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace qiao::hal
