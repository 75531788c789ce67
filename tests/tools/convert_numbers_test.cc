#include "tools/infer/convert_numbers.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "runtime/base/floats.h"

namespace qiao::tools {
namespace {

class Numbers {
 public:
  uint32_t Bits() { return state_ = state_ * 1664525 + 1013904223; }
  float Next() { return static_cast<float>(static_cast<int32_t>(Bits()) >> 8) / (1 << 20); }  // -8 .. 8

 private:
  uint32_t state_ = 12345;
};

TEST(ConvertNumbers, E4M3IsTheDefinitions) {
  auto check = [](float v) {
    if (!std::isfinite(v)) return;
    ASSERT_EQ(NumberToF8E4M3(v), FloatToF8E4M3(v)) << v;
  };
  // Every E4M3 value, what lies half way to the next, and their neighbours.
  for (int i = 0; i < 0x7e; ++i) {
    const float a = F8E4M3ToFloat(static_cast<uint8_t>(i)), b = F8E4M3ToFloat(static_cast<uint8_t>(i + 1));
    for (const float v : {a, (a + b) / 2}) {
      for (const float w : {v, std::nextafter(v, 0.0f), std::nextafter(v, 1e9f)}) {
        check(w);
        check(-w);
      }
    }
  }
  for (const float v : {447.9f, 448.0f, 464.0f, 500.0f, 1e30f, 1e-40f, 0.0f, -0.0f, 0x1p-10f, 0x1.8p-10f}) {
    check(v);
    check(-v);
  }
  Numbers numbers;
  for (int i = 0; i < 2'000'000; ++i) check(std::bit_cast<float>(numbers.Bits()));
}

SourceMatrix Matrix(const std::vector<float>& values, int64_t rows, int64_t cols) {
  SourceMatrix m;
  m.dtype = DType::kF32;
  m.rows = rows;
  m.cols = cols;
  m.data = reinterpret_cast<const std::byte*>(values.data());
  return m;
}

// Ragged in both directions, one block of zeros.
TEST(ConvertNumbers, F8BlocksHaveTheirLargestAt448) {
  constexpr int64_t kRows = 200, kCols = 300;
  Numbers numbers;
  std::vector<float> values(kRows * kCols);
  for (float& v : values) v = numbers.Next();
  for (int64_t r = 128; r < kRows; ++r)
    for (int64_t c = 256; c < kCols; ++c) values[static_cast<size_t>(r * kCols + c)] = 0;
  const SourceMatrix m = Matrix(values, kRows, kCols);
  std::vector<std::byte> out(kRows * kCols);
  std::vector<float> scales(2 * 3);
  ASSERT_TRUE(QuantisePanelF8(m, 0, 128, out.data(), scales.data()));
  ASSERT_TRUE(QuantisePanelF8(m, 128, 72, out.data() + 128 * kCols, scales.data() + 3));
  for (int64_t b = 0; b < 6; ++b) {
    float largest = 0;
    for (int64_t r = b / 3 * 128; r < std::min<int64_t>(kRows, b / 3 * 128 + 128); ++r) {
      for (int64_t c = b % 3 * 128; c < std::min<int64_t>(kCols, b % 3 * 128 + 128); ++c) {
        const float v = values[static_cast<size_t>(r * kCols + c)];
        largest = std::max(largest, std::fabs(v));
        ASSERT_EQ(static_cast<uint8_t>(out[static_cast<size_t>(r * kCols + c)]),
                  FloatToF8E4M3(v / scales[static_cast<size_t>(b)]));
      }
    }
    EXPECT_EQ(scales[static_cast<size_t>(b)], largest == 0 ? 1.0f : largest / 448.0f);
  }
  // And back: as the kernels multiply.
  SourceMatrix f8 = m;
  f8.dtype = DType::kF8E4M3;
  f8.data = out.data();
  f8.scale = reinterpret_cast<const std::byte*>(scales.data());
  f8.block[0] = f8.block[1] = 128;
  std::vector<float> row(kCols);
  ReadRow(f8, 150, 0, kCols, row.data());
  for (int64_t c = 0; c < kCols; ++c) {
    EXPECT_EQ(row[static_cast<size_t>(c)],
              F8E4M3ToFloat(static_cast<uint8_t>(out[static_cast<size_t>(150 * kCols + c)])) *
                  scales[static_cast<size_t>(3 + c / 128)]);
    EXPECT_NEAR(row[static_cast<size_t>(c)], values[static_cast<size_t>(150 * kCols + c)], 8.0 / 16);
  }
  std::vector<float> again(3);
  ASSERT_TRUE(QuantisePanelF8(m, 0, 128, nullptr, again.data()));
  EXPECT_EQ(again, std::vector<float>(scales.begin(), scales.begin() + 3)) << "the scales alone";
  // Reading from inside a row crosses blocks at the right columns.
  std::vector<float> part(60);
  ReadRow(f8, 150, 100, 60, part.data());
  EXPECT_EQ(part, std::vector<float>(row.begin() + 100, row.begin() + 160));
}

TEST(ConvertNumbers, I8RowsHaveTheirLargestAt127) {
  std::vector<float> values = {1, -2, 0.5f, 0, 0, 0, 127, 63.5f, 64.5f};
  const SourceMatrix m = Matrix(values, 3, 3);
  std::vector<std::byte> out(9);
  std::vector<float> scales(3);
  ASSERT_TRUE(QuantiseRowsI8(m, 0, 3, out.data(), scales.data()));
  EXPECT_EQ(scales, (std::vector<float>{2.0f / 127, 1, 1}));
  const std::vector<int8_t> want = {64, -127, 32, 0, 0, 0, 127, 64, 64};  // ties to even
  for (size_t i = 0; i < 9; ++i) EXPECT_EQ(static_cast<int8_t>(out[i]), want[i]) << i;
}

TEST(ConvertNumbers, WhatIsNotFiniteHasNoScale) {
  for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> values(128 * 2, 1.0f), scales(128);
    values[131] = bad;
    const SourceMatrix m = Matrix(values, 128, 2);
    std::vector<std::byte> out(256);
    EXPECT_FALSE(QuantisePanelF8(m, 0, 128, out.data(), scales.data()));
    EXPECT_FALSE(QuantiseRowsI8(m, 0, 128, out.data(), scales.data()));
  }
}

TEST(ConvertNumbers, CastsRoundOnce) {
  const std::vector<float> values = {1.00390625f, 3, -0.1f, 1e-3f};
  const SourceMatrix m = Matrix(values, 2, 2);
  std::vector<uint16_t> out(4);
  CastRows(m, 0, 2, DType::kBF16, reinterpret_cast<std::byte*>(out.data()));
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(out[i], FloatToBf16(values[i]));
  CastRows(m, 1, 1, DType::kF16, reinterpret_cast<std::byte*>(out.data()));
  EXPECT_EQ(out[0], FloatToF16(-0.1f));
}

}  // namespace
}  // namespace qiao::tools
