#include "runtime/base/to_floats.h"

#include <array>
#include <cstring>

#include "runtime/base/floats.h"

namespace qiao {
namespace {

using Converter = void (*)(const std::byte* from, int64_t n, float* to);

template <typename T, float (*Convert)(T)>
void Each(const std::byte* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; ++i) {
    T bits;
    std::memcpy(&bits, from + static_cast<size_t>(i) * sizeof(T), sizeof(T));
    to[i] = Convert(bits);
  }
}

// The conversions of 8-bit floats take several steps, and there are few values.
template <float (*Convert)(uint8_t)>
void Look(const std::byte* from, int64_t n, float* to) {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> t;
    for (size_t i = 0; i < t.size(); ++i) t[i] = Convert(static_cast<uint8_t>(i));
    return t;
  }();
  for (int64_t i = 0; i < n; ++i) to[i] = table[static_cast<uint8_t>(from[i])];
}

float I8ToFloat(int8_t v) { return v; }
float Same(float v) { return v; }

// Null where f32 does not hold every value.
Converter ConverterOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return Each<float, Same>;
    case DType::kF16:
      return Each<uint16_t, F16ToFloat>;
    case DType::kBF16:
      return Each<uint16_t, Bf16ToFloat>;
    case DType::kF8E4M3:
      return Look<F8E4M3ToFloat>;
    case DType::kF8E5M2:
      return Look<F8E5M2ToFloat>;
    case DType::kI8:
      return Each<int8_t, I8ToFloat>;
    default:
      return nullptr;
  }
}

}  // namespace

bool HasFloats(DType dtype) { return ConverterOf(dtype) != nullptr; }

bool ToFloats(DType dtype, const std::byte* from, int64_t n, float* to) {
  const Converter convert = ConverterOf(dtype);
  if (convert == nullptr) return false;
  convert(from, n, to);
  return true;
}

}  // namespace qiao
