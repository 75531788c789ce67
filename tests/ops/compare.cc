#include "tests/ops/compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "runtime/base/floats.h"
#include "runtime/base/status.h"

namespace qiao::conformance {
namespace {

double Number(DType dtype, const std::byte* from) {
  uint16_t half = 0;
  float full = 0;
  int32_t i32 = 0;
  int64_t i64 = 0;
  switch (dtype) {
    case DType::kF32:
      std::memcpy(&full, from, 4);
      return static_cast<double>(full);
    case DType::kBF16:
      std::memcpy(&half, from, 2);
      return static_cast<double>(Bf16ToFloat(half));
    case DType::kF8E4M3:
      return static_cast<double>(F8E4M3ToFloat(static_cast<uint8_t>(*from)));
    case DType::kI8:
      return static_cast<double>(static_cast<int8_t>(*from));
    case DType::kI32:
      std::memcpy(&i32, from, 4);
      return i32;
    case DType::kI64:
      std::memcpy(&i64, from, 8);
      return static_cast<double>(i64);
    default:
      return static_cast<double>(*from);
  }
}

}  // namespace

Difference Compare(DType dtype, const std::byte* got, const std::byte* want, int64_t n,
                   const ops::Tolerance& tolerance) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const auto size = static_cast<int64_t>(SizeOf(dtype));
  double squares = 0, got_squares = 0, error_squares = 0, largest = 0;
  int64_t worst = -1;
  for (int64_t i = 0; i < n; ++i) {
    const double a = Number(dtype, got + i * size), b = Number(dtype, want + i * size);
    double error = 0;
    if (std::isnan(a) != std::isnan(b)) {
      error = kInfinity;
    } else if (!std::isnan(a) && a != b) {
      error = std::fabs(a - b);
    }
    if (std::isfinite(b)) squares += b * b;
    if (std::isfinite(a)) got_squares += a * a;
    error_squares += error * error;
    if (error > largest || worst < 0) {
      largest = error;
      worst = i;
    }
  }
  Difference d;
  if (largest == 0) return d;
  const double rms = std::sqrt(squares / static_cast<double>(n));
  d.max_abs_over_rms = rms > 0 ? largest / rms : kInfinity;
  // 1 - 2<x,y> / (|x|^2 + |y|^2), written without the cancellation.
  d.calc_diff = std::isfinite(error_squares) ? error_squares / (squares + got_squares) : kInfinity;
  if (tolerance.max_abs_over_rms == 0) {
    d.of_tolerance = kInfinity;
  } else {
    d.of_tolerance =
        std::max(d.max_abs_over_rms / tolerance.max_abs_over_rms, d.calc_diff / tolerance.calc_diff);
  }
  d.text = absl::StrFormat(
      "element %d of %d is %.9g, must be %.9g; rms %.4g, max/rms %.3g (%.3g), calc_diff %.3g (%.3g)", worst,
      n, Number(dtype, got + worst * size), Number(dtype, want + worst * size), rms, d.max_abs_over_rms,
      tolerance.max_abs_over_rms, d.calc_diff, tolerance.calc_diff);
  return d;
}

}  // namespace qiao::conformance
