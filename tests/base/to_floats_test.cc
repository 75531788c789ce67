#include "runtime/base/to_floats.h"

#include <cstring>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/floats.h"

namespace qiao {
namespace {

// Every bit pattern of a dtype, from an address that no element is aligned to.
template <typename T>
void ExpectEach(DType dtype, float (*convert)(T)) {
  constexpr int kValues = 1 << (8 * sizeof(T));
  std::vector<std::byte> from(1 + kValues * sizeof(T));
  for (int i = 0; i < kValues; ++i) {
    const auto bits = static_cast<T>(i);
    std::memcpy(&from[1 + static_cast<size_t>(i) * sizeof(T)], &bits, sizeof(T));
  }
  std::vector<float> to(kValues);
  ASSERT_TRUE(HasFloats(dtype));
  ASSERT_TRUE(ToFloats(dtype, &from[1], kValues, to.data()));
  for (int i = 0; i < kValues; ++i) {
    const float expected = convert(static_cast<T>(i));
    ASSERT_EQ(std::memcmp(&to[static_cast<size_t>(i)], &expected, sizeof(float)), 0)
        << Name(dtype) << " " << i;
  }
}

TEST(ToFloats, ConvertsEveryValueExactly) {
  ExpectEach<uint16_t>(DType::kBF16, Bf16ToFloat);
  ExpectEach<uint16_t>(DType::kF16, F16ToFloat);
  ExpectEach<uint8_t>(DType::kF8E4M3, F8E4M3ToFloat);
  ExpectEach<uint8_t>(DType::kF8E5M2, F8E5M2ToFloat);
  ExpectEach<int8_t>(DType::kI8, [](int8_t v) { return static_cast<float>(v); });
}

TEST(ToFloats, CopiesF32) {
  const float values[] = {1.5f, -0.0f, 1e-45f, 3e38f};
  std::vector<std::byte> from(1 + sizeof(values));
  std::memcpy(&from[1], values, sizeof(values));
  float to[4];
  ASSERT_TRUE(ToFloats(DType::kF32, &from[1], 4, to));
  EXPECT_EQ(std::memcmp(to, values, sizeof(values)), 0);
}

TEST(ToFloats, TouchesNothingForOtherDTypes) {
  const std::byte from[8] = {};
  for (const DType dtype :
       {DType::kInvalid, DType::kU8, DType::kI16, DType::kI32, DType::kI64, DType::kF64, DType::kBool}) {
    float to = 7;
    EXPECT_FALSE(HasFloats(dtype));
    EXPECT_FALSE(ToFloats(dtype, from, 1, &to));
    EXPECT_EQ(to, 7);
  }
}

}  // namespace
}  // namespace qiao
