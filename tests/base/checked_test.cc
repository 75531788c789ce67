#include "runtime/base/checked.h"

#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

namespace qiao {
namespace {

TEST(Checked, AddAndMultiplyAreRightOrAbsent) {
  constexpr auto kMax = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(CheckedAdd(kMax - 1, 1), kMax);
  EXPECT_FALSE(CheckedAdd(kMax, 1));
  EXPECT_FALSE(CheckedAdd(-kMax, -2));
  EXPECT_EQ(CheckedMul(int64_t{1} << 31, int64_t{1} << 31), int64_t{1} << 62);
  EXPECT_FALSE(CheckedMul(int64_t{1} << 32, int64_t{1} << 31));
  EXPECT_EQ(CheckedMul(kMax, 0), 0);
  EXPECT_FALSE(CheckedAdd(std::numeric_limits<uint64_t>::max(), 1));
  EXPECT_FALSE(CheckedMul(uint8_t{16}, uint8_t{16}));
}

TEST(Checked, CeilDivDoesNotOverflow) {
  constexpr auto kMax = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(CeilDiv(0, 7), 0);
  EXPECT_EQ(CeilDiv(7, 7), 1);
  EXPECT_EQ(CeilDiv(8, 7), 2);
  EXPECT_EQ(CeilDiv(kMax, 2), kMax / 2 + 1);
  EXPECT_EQ(CeilDiv(kMax, kMax), 1);
  EXPECT_EQ(RoundUp(129, 128), 256);
  EXPECT_EQ(RoundUp(size_t{128}, 128), 128u);
}

}  // namespace
}  // namespace qiao
