#include "runtime/program/piece_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <mutex>

namespace qiao::program {
namespace {

// Remembers which bytes were let go.
class Recorder : public TensorSource {
 public:
  absl::StatusOr<std::optional<HostTensor>> Find(std::string_view) const override {
    return std::optional<HostTensor>();
  }
  void LetGo(absl::Span<const std::byte> bytes) const override {
    std::lock_guard<std::mutex> lock(mutex_);
    released_ += bytes.size();
  }
  std::string where() const override { return "recorder"; }
  uint64_t released() const { return released_; }

 private:
  mutable std::mutex mutex_;
  mutable uint64_t released_ = 0;
};

qiao_piece Piece(const std::vector<uint8_t>& tensor, int64_t cols, int64_t row0, int64_t rows) {
  qiao_piece piece{};
  piece.struct_size = sizeof(piece);
  piece.dtype = QIAO_F8E4M3;
  piece.data = tensor.data() + row0 * cols;
  piece.rows = rows;
  piece.cols = piece.ld = cols;
  piece.row0 = row0;
  return piece;
}

std::vector<uint8_t> Bytes(size_t n, uint32_t seed) {
  std::vector<uint8_t> bytes(n);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>((seed = seed * 1664525 + 1013904223) >> 24);
  return bytes;
}

TEST(PieceCopy, PiecesReadTheSameAfterwards) {
  // Large enough for several rounds with several threads; an odd width, so that places are rounded up.
  const std::vector<uint8_t> a = Bytes(70'000'001, 1), b = Bytes(4'000'003, 2);
  const std::vector<float> scale(100, 0.5f);
  std::vector<qiao_piece> pieces = {Piece(a, 70'000'001, 0, 1), Piece(b, 1003, 10, 300)};
  pieces[1].scheme = QIAO_SCHEME_BLOCK;
  pieces[1].scale = scale.data();
  pieces[1].scale_ld = 8;
  pieces[1].block[0] = pieces[1].block[1] = 128;
  PieceCopy copy;
  copy.Add(pieces);
  copy.Place();
  std::vector<std::byte> block(copy.bytes() + 64, std::byte{0xee});
  Recorder source;
  uint64_t told = 0;
  int reports = 0;
  ASSERT_TRUE(copy.Run(block.data(), source, 2,
                       [&](uint64_t bytes) {
                         told += bytes;
                         ++reports;
                         return absl::OkStatus();
                       })
                  .ok());
  for (const qiao_piece& piece : pieces) {
    const qiao_piece moved = copy.Moved(piece, block.data());
    const auto* data = static_cast<const std::byte*>(moved.data);
    EXPECT_TRUE(data >= block.data() && data < block.data() + copy.bytes());
    EXPECT_EQ((data - block.data()) % 64, 0);
    EXPECT_EQ(std::memcmp(data, piece.data, static_cast<size_t>(piece.rows * piece.cols)), 0);
  }
  // Rows 10..309 lie in the scale blocks of rows 0, 1 and 2.
  const qiao_piece moved = copy.Moved(pieces[1], block.data());
  EXPECT_NE(moved.scale, pieces[1].scale);
  EXPECT_EQ(std::memcmp(moved.scale, scale.data(), 3 * 8 * sizeof(float)), 0);
  const uint64_t bytes = a.size() + 300 * 1003 + 3 * 8 * sizeof(float);
  EXPECT_EQ(told, bytes);
  EXPECT_EQ(source.released(), bytes);
  EXPECT_GE(reports, 2);
  EXPECT_EQ(block[copy.bytes()], std::byte{0xee}) << "nothing is written behind the block";
}

TEST(PieceCopy, WhatSeveralPiecesReadIsCopiedOnce) {
  const std::vector<uint8_t> a = Bytes(64 * 128, 3);
  const std::vector<float> scale(8, 2.0f);
  std::vector<qiao_piece> heads;
  for (int64_t h = 0; h < 8; ++h) {  // rows of keys and of values, as kv_b has them
    heads.push_back(Piece(a, 128, h * 8, 4));
    heads.push_back(Piece(a, 128, h * 8 + 4, 4));
  }
  for (qiao_piece& piece : heads) {
    piece.scheme = QIAO_SCHEME_BLOCK;
    piece.scale = scale.data();
    piece.scale_ld = 1;
    piece.block[0] = piece.block[1] = 128;
  }
  PieceCopy copy;
  copy.Add(heads);
  copy.Add(heads);                                          // another weight of the same tensor
  copy.Add(std::vector<qiao_piece>{Piece(a, 128, 2, 30)});  // and one that overlaps
  copy.Add(std::vector<qiao_piece>{Piece(a, 128, 0, 0)});   // an empty one
  copy.Place();
  EXPECT_EQ(copy.bytes(), 64u * 128 + 64) << "all rows once, and one scale on a cache line";
}

TEST(PieceCopy, StopsWhenTheReportIsAnError) {
  const std::vector<uint8_t> a = Bytes(150'000'000, 4);
  PieceCopy copy;
  copy.Add(std::vector<qiao_piece>{Piece(a, 150'000'000, 0, 1)});
  copy.Place();
  std::vector<std::byte> block(copy.bytes());
  Recorder source;
  const absl::Status status = copy.Run(block.data(), source, 1, [](uint64_t) { return Cancelled("enough"); });
  EXPECT_TRUE(absl::IsCancelled(status));
  EXPECT_LT(source.released(), 100'000'000u);
}

}  // namespace
}  // namespace qiao::program
