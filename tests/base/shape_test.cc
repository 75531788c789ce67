#include "runtime/base/shape.h"

#include <vector>

#include "gtest/gtest.h"

namespace qiao {
namespace {

TEST(Shape, HoldsItsDimensions) {
  const Shape scalar;
  EXPECT_EQ(scalar.rank(), 0);
  EXPECT_EQ(scalar.elements(), 1);
  EXPECT_EQ(scalar.ToString(), "[]");
  const Shape shape{3, 128};
  EXPECT_EQ(shape.rank(), 2);
  EXPECT_EQ(shape[1], 128);
  EXPECT_EQ(shape.elements(), 384);
  EXPECT_EQ(shape.ToString(), "[3, 128]");
  EXPECT_EQ(shape, Shape({3, 128}));
  EXPECT_FALSE(shape == Shape({3, 128, 1}));
  EXPECT_EQ(Shape({4, 0}).elements(), 0);
}

TEST(Shape, CountsOnlyWhatFits) {
  EXPECT_FALSE(Shape({int64_t{1} << 32, int64_t{1} << 31}).CheckedElements());
  EXPECT_FALSE(Shape({2, -1}).CheckedElements());
  EXPECT_EQ(Shape({int64_t{1} << 32, int64_t{1} << 31}).elements(), 0);
}

TEST(Shape, DropsDimensionsPastTheMost) {
  const std::vector<int64_t> seven = {1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(Shape(absl::MakeConstSpan(seven)), Shape({1, 2, 3, 4, 5}));
}

}  // namespace
}  // namespace qiao
