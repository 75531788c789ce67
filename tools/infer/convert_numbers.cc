#include "tools/infer/convert_numbers.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "runtime/base/checked.h"
#include "runtime/base/floats.h"
#include "runtime/base/to_floats.h"

namespace qiao::tools {
namespace {

float ScaleAt(const SourceMatrix& m, int64_t row, int64_t col) {
  float scale;
  const int64_t at = row / m.block[0] * CeilDiv(m.cols, m.block[1]) + col / m.block[1];
  std::memcpy(&scale, m.scale + at * static_cast<int64_t>(sizeof(float)), sizeof(float));
  return scale;
}

// Infinity where a value is not finite.
float Largest(const float* values, int64_t count) {
  // Among the bits, so that a NaN is larger than all numbers and is not lost.
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i)
    largest = std::max(largest, std::bit_cast<uint32_t>(values[i]) & 0x7fffffffu);
  return largest >= 0x7f800000u ? std::numeric_limits<float>::infinity() : std::bit_cast<float>(largest);
}

}  // namespace

void ReadRow(const SourceMatrix& m, int64_t row, int64_t col, int64_t count, float* out) {
  const std::byte* from = m.data + (row * m.cols + col) * static_cast<int64_t>(SizeOf(m.dtype));
  if (!ToFloats(m.dtype, from, count, out)) std::fill_n(out, count, 0.0f);  // the plan admits no other
  if (m.scale == nullptr) return;
  for (int64_t c = 0; c < count;) {
    const int64_t end = std::min(count, c + m.block[1] - (col + c) % m.block[1]);
    const float scale = ScaleAt(m, row, col + c);
    for (; c < end; ++c) out[c] *= scale;
  }
}

uint8_t NumberToF8E4M3(float v) {
  const uint32_t bits = std::bit_cast<uint32_t>(v);
  const uint32_t magnitude = std::min(bits & 0x7fffffffu, std::bit_cast<uint32_t>(448.0f));
  // Normal numbers: round the mantissa at its third bit, ties to even, and move the exponent's bias from 127
  // to 7.
  const uint32_t normal = ((magnitude + 0x7ffffu + ((magnitude >> 20) & 1)) >> 20) - ((127 - 7) << 3);
  // Below 2^-6 the quantum is 2^-9, which is the last bit of numbers around 2^14: the addition rounds to it.
  constexpr float kMagic = 16384.0f;
  const uint32_t subnormal =
      std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + kMagic) - std::bit_cast<uint32_t>(kMagic);
  const uint32_t code = magnitude < std::bit_cast<uint32_t>(0x1p-6f) ? subnormal : normal;
  return static_cast<uint8_t>((bits >> 24 & 0x80) | code);
}

void CastRows(const SourceMatrix& m, int64_t row, int64_t count, DType dtype, std::byte* out) {
  std::vector<float> values(static_cast<size_t>(m.cols));
  for (int64_t r = row; r < row + count; ++r) {
    ReadRow(m, r, 0, m.cols, values.data());
    if (dtype == DType::kF32) {
      std::memcpy(out, values.data(), values.size() * sizeof(float));
    } else {
      for (size_t c = 0; c < values.size(); ++c) {
        const uint16_t v = dtype == DType::kF16 ? FloatToF16(values[c]) : FloatToBf16(values[c]);
        std::memcpy(out + 2 * c, &v, sizeof(v));
      }
    }
    out += values.size() * SizeOf(dtype);
  }
}

bool QuantisePanelF8(const SourceMatrix& m, int64_t row, int64_t count, std::byte* out, float* scales) {
  std::vector<float> block(static_cast<size_t>(kF8Block * kF8Block));
  for (int64_t col = 0; col < m.cols; col += kF8Block) {
    const int64_t width = std::min(kF8Block, m.cols - col);
    for (int64_t r = 0; r < count; ++r)
      ReadRow(m, row + r, col, width, &block[static_cast<size_t>(r * width)]);
    const float largest = Largest(block.data(), count * width);
    if (std::isinf(largest)) return false;
    // The smallest scale that is a normal number; nothing that a model computes with is as small.
    const float scale = largest == 0 ? 1.0f : std::max(largest / 448.0f, std::numeric_limits<float>::min());
    scales[col / kF8Block] = scale;
    if (out == nullptr) continue;
    for (int64_t r = 0; r < count; ++r) {
      const float* from = &block[static_cast<size_t>(r * width)];
      auto* to = reinterpret_cast<uint8_t*>(out + r * m.cols + col);
      for (int64_t c = 0; c < width; ++c) to[c] = NumberToF8E4M3(from[c] / scale);
    }
  }
  return true;
}

bool QuantiseRowsI8(const SourceMatrix& m, int64_t row, int64_t count, std::byte* out, float* scales) {
  std::vector<float> values(static_cast<size_t>(m.cols));
  for (int64_t r = 0; r < count; ++r) {
    ReadRow(m, row + r, 0, m.cols, values.data());
    const float largest = Largest(values.data(), m.cols);
    if (std::isinf(largest)) return false;
    scales[r] = largest == 0 ? 1.0f : std::max(largest / 127.0f, std::numeric_limits<float>::min());
    if (out == nullptr) continue;
    auto* to = reinterpret_cast<int8_t*>(out + r * m.cols);
    for (int64_t c = 0; c < m.cols; ++c) {
      to[c] = static_cast<int8_t>(std::nearbyint(values[static_cast<size_t>(c)] / scales[r]));
    }
  }
  return true;
}

}  // namespace qiao::tools
