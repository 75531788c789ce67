// Elements of every dtype as numbers, a row at a time, and back with one rounding. T is float, double or int64_t: the
// domain in which an operator computes. Integers and bool are exact in int64_t and double; narrow floats in all but
// int64_t, where they lose their fraction.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "backends/ascend/emulator/runtime/dtype.h"
#include "kernels/common/elements.h"
#include "runtime/base/floats.h"

namespace qiao::cann {
namespace internal {

// Toward zero, saturating; NaN is 0.
template <typename I, typename T>
I ToInteger(T v) {
  if constexpr (std::is_same_v<T, int64_t>) {
    return static_cast<I>(v);  // wraps, as integer casts do
  } else {
    if (std::isnan(v)) return 0;
    constexpr double kLow = static_cast<double>(std::numeric_limits<I>::min());
    constexpr double kHigh = static_cast<double>(std::numeric_limits<I>::max());
    const double d = static_cast<double>(v);
    if (d <= kLow) return std::numeric_limits<I>::min();
    if (d >= kHigh) return std::numeric_limits<I>::max();
    return static_cast<I>(d);
  }
}

template <typename I>
struct Number {
  using Stored = I;
  template <typename T>
  static T Get(I v) {
    return static_cast<T>(v);
  }
  template <typename T>
  static I Put(T v) {
    if constexpr (std::is_floating_point_v<I>) {
      return static_cast<I>(v);
    } else {
      return ToInteger<I>(v);
    }
  }
};
struct Bool {
  using Stored = uint8_t;
  template <typename T>
  static T Get(uint8_t v) {
    return static_cast<T>(v != 0);
  }
  template <typename T>
  static uint8_t Put(T v) {
    return v != 0 ? 1 : 0;
  }
};
struct Bf16 {
  using Stored = uint16_t;
  template <typename T>
  static T Get(uint16_t v) {
    return static_cast<T>(Bf16ToFloat(v));
  }
  template <typename T>
  static uint16_t Put(T v) {
    if constexpr (std::is_same_v<T, float>) return FloatToBf16(v);
    return kernels::DoubleToBf16(static_cast<double>(v));
  }
};
// By way of f32.
template <typename S, float (*kToFloat)(S), S (*kFromFloat)(float)>
struct Narrow {
  using Stored = S;
  template <typename T>
  static T Get(S v) {
    return static_cast<T>(kToFloat(v));
  }
  template <typename T>
  static S Put(T v) {
    return kFromFloat(static_cast<float>(v));
  }
};
using F16 = Narrow<uint16_t, F16ToFloat, FloatToF16>;
using E4M3 = Narrow<uint8_t, F8E4M3ToFloat, FloatToF8E4M3>;
using E5M2 = Narrow<uint8_t, F8E5M2ToFloat, FloatToF8E5M2>;

}  // namespace internal

// visit(codec) for the dtype's codec, where it has one; whether it had.
template <class Visit>
bool VisitDType(aclDataType dtype, Visit visit) {
  using namespace internal;
  switch (dtype) {
    case ACL_FLOAT:
      visit(Number<float>());
      return true;
    case ACL_DOUBLE:
      visit(Number<double>());
      return true;
    case ACL_FLOAT16:
      visit(F16());
      return true;
    case ACL_BF16:
      visit(Bf16());
      return true;
    case ACL_INT8:
      visit(Number<int8_t>());
      return true;
    case ACL_UINT8:
      visit(Number<uint8_t>());
      return true;
    case ACL_INT16:
      visit(Number<int16_t>());
      return true;
    case ACL_UINT16:
      visit(Number<uint16_t>());
      return true;
    case ACL_INT32:
      visit(Number<int32_t>());
      return true;
    case ACL_UINT32:
      visit(Number<uint32_t>());
      return true;
    case ACL_INT64:
      visit(Number<int64_t>());
      return true;
    case ACL_UINT64:
      visit(Number<uint64_t>());
      return true;
    case ACL_BOOL:
      visit(Bool());
      return true;
    case ACL_FLOAT8_E4M3FN:
      visit(E4M3());
      return true;
    case ACL_FLOAT8_E5M2:
      visit(E5M2());
      return true;
    default:
      return false;
  }
}

// Whether elements of this dtype can be loaded and stored.
inline bool HasElements(aclDataType dtype) {
  return VisitDType(dtype, [](auto) {});
}

// n elements, `stride` elements apart.
template <typename T>
void LoadRow(aclDataType dtype, const void* from, int64_t stride, int64_t n, T* out) {
  if constexpr (std::is_same_v<T, float>) {
    if (stride == 1 && IsFloat(dtype) && dtype != ACL_DOUBLE) {
      kernels::LoadFloats(QiaoDType(dtype), from, n, out);
      return;
    }
  }
  VisitDType(dtype, [&]<class Codec>(Codec) {
    const auto* p = static_cast<const typename Codec::Stored*>(from);
    for (int64_t i = 0; i < n; ++i) out[i] = Codec::template Get<T>(p[i * stride]);
  });
}
template <typename T>
void StoreRow(aclDataType dtype, void* to, int64_t stride, int64_t n, const T* values) {
  VisitDType(dtype, [&]<class Codec>(Codec) {
    auto* p = static_cast<typename Codec::Stored*>(to);
    for (int64_t i = 0; i < n; ++i) p[i * stride] = Codec::template Put<T>(values[i]);
  });
}

template <typename T>
T LoadElement(aclDataType dtype, const void* from) {
  T v{};
  LoadRow(dtype, from, 1, 1, &v);
  return v;
}

}  // namespace qiao::cann
