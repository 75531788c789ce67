// GELU (arXiv 1606.08415), as float or double.
#pragma once

#include <cmath>

namespace qiao::cann {

// x times the normal distribution's value.
template <typename T>
T Gelu(T x) {
  constexpr T kHalfRoot = static_cast<T>(0.70710678118654752440);  // sqrt(1/2)
  return T{0.5} * x * std::erfc(-x * kHalfRoot);
}

// The approximation of the paper's section 2.
template <typename T>
T GeluTanh(T x) {
  constexpr T kFactor = static_cast<T>(0.79788456080286535588);  // sqrt(2/pi)
  return T{0.5} * x * (T{1} + std::tanh(kFactor * (x + static_cast<T>(0.044715) * x * x * x)));
}

}  // namespace qiao::cann
