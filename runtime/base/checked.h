// Arithmetic on sizes that came from outside: every result is either right or absent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

namespace qiao {

template <typename T>
[[nodiscard]] std::optional<T> CheckedAdd(T a, std::type_identity_t<T> b) {
  T r;
  if (__builtin_add_overflow(a, b, &r)) return std::nullopt;
  return r;
}

template <typename T>
[[nodiscard]] std::optional<T> CheckedMul(T a, std::type_identity_t<T> b) {
  T r;
  if (__builtin_mul_overflow(a, b, &r)) return std::nullopt;
  return r;
}

// For a >= 0 and b > 0; never overflows.
template <typename T>
constexpr T CeilDiv(T a, std::type_identity_t<T> b) {
  return static_cast<T>(a / b + (a % b != 0));
}

// For a >= 0 and b > 0, where the result is known to fit.
template <typename T>
constexpr T RoundUp(T a, std::type_identity_t<T> b) {
  return CeilDiv(a, b) * b;
}

}  // namespace qiao
