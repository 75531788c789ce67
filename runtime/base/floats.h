// The narrow floating-point formats, one element at a time. To float every conversion is exact; from float it
// rounds to nearest, ties to even. E4M3 and E5M2 as in "FP8 Formats for Deep Learning" (arXiv 2209.05433,
// section 3) and the OCP 8-bit floating point specification.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace qiao {

inline float Bf16ToFloat(uint16_t v) { return std::bit_cast<float>(static_cast<uint32_t>(v) << 16); }

inline uint16_t FloatToBf16(float v) {
  uint32_t bits = std::bit_cast<uint32_t>(v);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>((bits >> 16) | 0x40);  // keep NaN a NaN
  bits += 0x7fffu + ((bits >> 16) & 1);
  return static_cast<uint16_t>(bits >> 16);
}

inline float F16ToFloat(uint16_t v) {
  const uint32_t sign = static_cast<uint32_t>(v & 0x8000u) << 16;
  const uint32_t exponent = (v >> 10) & 0x1f;
  const uint32_t mantissa = v & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

namespace internal {

// Rounds |v| to a format of `mantissa_bits` and exponent bias `bias`; the caller has dealt with NaN and
// overflow. Returns exponent and mantissa bits without the sign.
inline uint32_t RoundMagnitude(float magnitude, int mantissa_bits, int bias) {
  int exponent;
  std::frexp(magnitude, &exponent);  // magnitude = f * 2^exponent, f in [0.5, 1)
  int scale = exponent - 1;          // of the leading one
  if (scale < 1 - bias) scale = 1 - bias;
  // nearbyint rounds ties to even in the default rounding mode.
  auto units = static_cast<uint32_t>(std::nearbyint(std::ldexp(magnitude, mantissa_bits - scale)));
  // A carry out of the mantissa or into the normal range adds itself into the exponent field.
  const auto biased = static_cast<uint32_t>(scale + bias);
  return ((biased - 1) << mantissa_bits) + units;
}

}  // namespace internal

inline uint16_t FloatToF16(float v) {
  const uint32_t bits = std::bit_cast<uint32_t>(v);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const float magnitude = std::fabs(v);
  if (std::isnan(v)) return sign | 0x7e00;
  if (magnitude >= 65520.0f) return sign | 0x7c00;
  if (magnitude == 0) return sign;
  return static_cast<uint16_t>(sign | internal::RoundMagnitude(magnitude, 10, 15));
}

inline float F8E4M3ToFloat(uint8_t v) {
  const bool negative = v & 0x80;
  const int exponent = (v >> 3) & 0xf;
  const int mantissa = v & 7;
  if (exponent == 0xf && mantissa == 7) return std::bit_cast<float>(negative ? 0xffc00000u : 0x7fc00000u);
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                        : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return negative ? -magnitude : magnitude;
}

// Saturates to +-448, as DeepSeek's and PyTorch's casts of already scaled values never exceed it.
inline uint8_t FloatToF8E4M3(float v) {
  const auto sign = static_cast<uint8_t>(std::signbit(v) ? 0x80 : 0);
  if (std::isnan(v)) return sign | 0x7f;
  const float magnitude = std::fabs(v);
  if (magnitude >= 448.0f) return sign | 0x7e;
  if (magnitude == 0) return sign;
  return static_cast<uint8_t>(sign | internal::RoundMagnitude(magnitude, 3, 7));
}

inline float F8E5M2ToFloat(uint8_t v) { return F16ToFloat(static_cast<uint16_t>(v << 8)); }

inline uint8_t FloatToF8E5M2(float v) {
  const auto sign = static_cast<uint8_t>(std::signbit(v) ? 0x80 : 0);
  if (std::isnan(v)) return sign | 0x7e;
  const float magnitude = std::fabs(v);
  if (magnitude >= 61440.0f) return sign | 0x7c;
  if (magnitude == 0) return sign;
  return static_cast<uint8_t>(sign | internal::RoundMagnitude(magnitude, 2, 15));
}

}  // namespace qiao
