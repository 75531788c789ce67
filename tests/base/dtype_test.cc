#include "runtime/base/dtype.h"

#include "gtest/gtest.h"

namespace qiao {
namespace {

TEST(DType, EveryDTypeHasItsRow) {
  for (uint32_t i = 1; i <= static_cast<uint32_t>(DType::kBool); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_GT(SizeOf(dtype), 0u) << i;
    EXPECT_EQ(DTypeFromSafetensors(SafetensorsName(dtype)), dtype) << i;
    EXPECT_NE(Name(dtype), "invalid") << i;
  }
  EXPECT_EQ(SizeOf(DType::kBF16), 2u);
  EXPECT_EQ(SizeOf(DType::kI64), 8u);
  EXPECT_EQ(Name(DType::kF8E4M3), "f8_e4m3");
  EXPECT_EQ(SafetensorsName(DType::kF8E5M2), "F8_E5M2");
  EXPECT_TRUE(IsFloat(DType::kF8E4M3));
  EXPECT_FALSE(IsFloat(DType::kBool));
}

TEST(DType, NumbersOutOfRangeAreInvalid) {
  EXPECT_EQ(SizeOf(static_cast<DType>(13)), 0u);
  EXPECT_EQ(Name(static_cast<DType>(0xffffffffu)), "invalid");
  EXPECT_EQ(SizeOf(DType::kInvalid), 0u);
  EXPECT_FALSE(DTypeFromSafetensors(""));
  EXPECT_FALSE(DTypeFromSafetensors("bf16"));
  EXPECT_FALSE(DTypeFromSafetensors("F8_E8M0"));
}

}  // namespace
}  // namespace qiao
