#include "runtime/base/floats.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace qiao {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// A format described by numbers only; the conversions are checked against what follows from them.
struct Format {
  const char* name;
  int exponent_bits;
  int mantissa_bits;
  bool has_infinity;  // else the largest exponent is an ordinary one, but for the mantissa of all ones (NaN)
  bool saturates;
  float (*to_float)(uint32_t);
  uint32_t (*from_float)(float);

  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  uint32_t codes() const { return 1u << (exponent_bits + mantissa_bits); }  // without the sign
  uint32_t sign() const { return codes(); }
};

const Format kFormats[] = {
    {"bf16", 8, 7, true, false, [](uint32_t v) { return Bf16ToFloat(static_cast<uint16_t>(v)); },
     [](float v) { return uint32_t{FloatToBf16(v)}; }},
    {"f16", 5, 10, true, false, [](uint32_t v) { return F16ToFloat(static_cast<uint16_t>(v)); },
     [](float v) { return uint32_t{FloatToF16(v)}; }},
    {"e4m3", 4, 3, false, true, [](uint32_t v) { return F8E4M3ToFloat(static_cast<uint8_t>(v)); },
     [](float v) { return uint32_t{FloatToF8E4M3(v)}; }},
    {"e5m2", 5, 2, true, false, [](uint32_t v) { return F8E5M2ToFloat(static_cast<uint8_t>(v)); },
     [](float v) { return uint32_t{FloatToF8E5M2(v)}; }},
};

// The value of a code without sign, by the definition; infinity and NaN where the format says so.
double Definition(const Format& f, uint32_t code) {
  const auto exponent = static_cast<int>(code >> f.mantissa_bits);
  const uint32_t mantissa = code & ((1u << f.mantissa_bits) - 1);
  const int top = (1 << f.exponent_bits) - 1;
  if (f.has_infinity && exponent == top) return mantissa == 0 ? kInfinity : kNan;
  if (!f.has_infinity && code == f.codes() - 1) return kNan;
  if (exponent == 0) return std::ldexp(mantissa, 1 - f.bias() - f.mantissa_bits);
  return std::ldexp(mantissa + (1u << f.mantissa_bits), exponent - f.bias() - f.mantissa_bits);
}

// Rounds by looking at every code: the nearest, of two equally near ones the even one. A value past the
// largest rounds to infinity from half a step beyond it on, or saturates.
uint32_t SlowRound(const Format& f, float v) {
  const uint32_t sign = std::signbit(v) ? f.sign() : 0;
  const double magnitude = std::fabs(static_cast<double>(v));
  uint32_t best = 0;
  double best_distance = kInfinity;
  uint32_t largest = 0;
  for (uint32_t code = 0; code < f.codes() && std::isfinite(Definition(f, code)); ++code) {
    const double distance = std::fabs(Definition(f, code) - magnitude);
    if (distance < best_distance || (distance == best_distance && code % 2 == 0)) {
      best = code;
      best_distance = distance;
    }
    largest = code;
  }
  if (!f.saturates) {
    const double step = Definition(f, largest) - Definition(f, largest - 1);
    if (magnitude >= Definition(f, largest) + step / 2) best = largest + 1;
  }
  return sign | best;
}

TEST(Floats, EveryCodeHasItsValueAndComesBack) {
  for (const Format& f : kFormats) {
    for (uint32_t code = 0; code < 2 * f.codes(); ++code) {
      const bool negative = (code & f.sign()) != 0;
      const double expected = Definition(f, code & ~f.sign());
      const float value = f.to_float(code);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(value)) << f.name << " " << code;
        ASSERT_TRUE(std::isnan(f.to_float(f.from_float(value)))) << f.name << " " << code;
        continue;
      }
      ASSERT_EQ(value, negative ? -expected : expected) << f.name << " " << code;
      ASSERT_EQ(std::signbit(value), negative) << f.name << " " << code;
      ASSERT_EQ(f.from_float(value), code) << f.name;
    }
  }
}

TEST(Floats, TiesGoToTheEvenCode) {
  for (const Format& f : kFormats) {
    for (uint32_t code = 0; code + 1 < f.codes(); ++code) {
      const double low = Definition(f, code), high = Definition(f, code + 1);
      if (!std::isfinite(low) || !std::isfinite(high)) continue;
      const double middle = (low + high) / 2;
      const auto tie = static_cast<float>(middle);
      if (tie != middle) continue;  // below the smallest float
      const uint32_t even = code % 2 == 0 ? code : code + 1;
      ASSERT_EQ(f.from_float(tie), even) << f.name << " " << code;
      ASSERT_EQ(f.from_float(-tie), even | f.sign()) << f.name << " " << code;
      ASSERT_EQ(f.from_float(std::nextafterf(tie, 0.0f)), code) << f.name << " " << code;
      ASSERT_EQ(f.from_float(std::nextafterf(tie, kInfinity)), code + 1) << f.name << " " << code;
    }
  }
}

TEST(Floats, RandomFloatsRoundAsTheDefinitionSays) {
  std::mt19937 random(20240501);
  for (const Format& f : kFormats) {
    std::vector<float> values;
    for (int i = 0; i < (f.codes() > 1000 ? 60 : 4000); ++i) {
      values.push_back(std::bit_cast<float>(static_cast<uint32_t>(random())));  // all magnitudes
      values.push_back(
          std::ldexp(static_cast<float>(random()) * 0x1p-32f, static_cast<int>(random() % 30) - 15));
    }
    for (const float v : values) {
      if (!std::isfinite(v)) continue;
      ASSERT_EQ(f.from_float(v), SlowRound(f, v)) << f.name << " " << v;
    }
  }
}

TEST(Floats, InfinityAndNan) {
  EXPECT_EQ(FloatToBf16(kInfinity), 0x7f80);
  EXPECT_EQ(FloatToBf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(FloatToF16(-kInfinity), 0xfc00);
  EXPECT_EQ(FloatToF16(65519.99f), 0x7bff);
  EXPECT_EQ(FloatToF16(65520.0f), 0x7c00);
  EXPECT_EQ(FloatToF8E5M2(kInfinity), 0x7c);
  EXPECT_EQ(FloatToF8E5M2(61440.0f), 0x7c);
  EXPECT_EQ(FloatToF8E5M2(61439.0f), 0x7b);
  // E4M3 has no infinity; Qiao saturates.
  EXPECT_EQ(FloatToF8E4M3(kInfinity), 0x7e);
  EXPECT_EQ(FloatToF8E4M3(-1e9f), 0xfe);
  EXPECT_EQ(F8E4M3ToFloat(0x7e), 448.0f);
  for (const Format& f : kFormats) {
    EXPECT_TRUE(std::isnan(f.to_float(f.from_float(kNan)))) << f.name;
    EXPECT_TRUE(std::isnan(f.to_float(f.from_float(-kNan)))) << f.name;
    EXPECT_EQ(f.from_float(0.0f), 0u) << f.name;
    EXPECT_EQ(f.from_float(-0.0f), f.sign()) << f.name;
  }
  // A NaN whose payload lies in the low bits only must not become an infinity.
  EXPECT_TRUE(std::isnan(Bf16ToFloat(FloatToBf16(std::bit_cast<float>(0x7f800001u)))));
}

}  // namespace
}  // namespace qiao
