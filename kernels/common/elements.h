// Elements of arguments as numbers: loading rows as floats (exact for every dtype here), storing with one
// rounding.
#pragma once

#include <qiao/ops.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/common/args.h"
#include "runtime/base/floats.h"

namespace qiao::kernels {

// Bytes of one element; 0 for a dtype that ops.h does not know.
constexpr int64_t ElementBytes(uint32_t dtype) {
  switch (dtype) {
    case QIAO_F32:
    case QIAO_I32:
      return 4;
    case QIAO_F16:
    case QIAO_BF16:
      return 2;
    case QIAO_F8E4M3:
    case QIAO_F8E5M2:
    case QIAO_I8:
    case QIAO_U8:
      return 1;
    case QIAO_I64:
      return 8;
    default:
      return 0;
  }
}

// All 256 values of E4M3.
inline const std::array<float, 256>& F8E4M3Table() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> t;
    for (int i = 0; i < 256; ++i) t[static_cast<size_t>(i)] = F8E4M3ToFloat(static_cast<uint8_t>(i));
    return t;
  }();
  return table;
}

// n consecutive elements as floats. Aligned for the dtype and no more.
inline void LoadFloats(uint32_t dtype, const void* from, int64_t n, float* out) {
  switch (dtype) {
    case QIAO_F32:
      std::memcpy(out, from, static_cast<size_t>(n) * sizeof(float));
      break;
    case QIAO_BF16: {
      const auto* p = static_cast<const uint16_t*>(from);
      for (int64_t i = 0; i < n; ++i) out[i] = Bf16ToFloat(p[i]);
      break;
    }
    case QIAO_F16: {
      const auto* p = static_cast<const uint16_t*>(from);
      for (int64_t i = 0; i < n; ++i) out[i] = F16ToFloat(p[i]);
      break;
    }
    case QIAO_F8E4M3: {
      const auto* p = static_cast<const uint8_t*>(from);
      const float* table = F8E4M3Table().data();
      for (int64_t i = 0; i < n; ++i) out[i] = table[p[i]];
      break;
    }
    case QIAO_F8E5M2: {
      const auto* p = static_cast<const uint8_t*>(from);
      for (int64_t i = 0; i < n; ++i) out[i] = F8E5M2ToFloat(p[i]);
      break;
    }
    case QIAO_I8: {
      const auto* p = static_cast<const int8_t*>(from);
      for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(p[i]);
      break;
    }
    default:
      break;  // no other dtype holds such numbers; callers check
  }
}

// double to bf16 in one rounding. Going through a nearest float would round twice; rounding to odd first
// keeps what the second rounding needs to know (Boldo and Melquiond, "Emulation of FMA and correctly rounded
// sums", 2008).
inline uint16_t DoubleToBf16(double v) {
  const float f = static_cast<float>(v);
  if (std::isnan(v) || static_cast<double>(f) == v) return FloatToBf16(f);
  uint32_t bits = std::bit_cast<uint32_t>(f);
  if (std::fabs(static_cast<double>(f)) > std::fabs(v)) --bits;  // toward zero
  return FloatToBf16(std::bit_cast<float>(bits | 1));
}

// The rows of an argument: its last dimension, for each index of the others. Row r counts those in row-major
// order, however the argument is strided; `inner` of them belong to each index of dim[0].
class Rows {
 public:
  Rows(const KernelCall& call, int i) : Rows(call.tensor[i], call.pointer[i]) {}
  Rows(const qiao_tensor& tensor, void* data) : tensor_(tensor), data_(static_cast<char*>(data)) {
    for (uint32_t d = 1; d + 1 < tensor.rank; ++d) inner_ *= tensor.dim[d];
  }

  uint32_t dtype() const { return tensor_.dtype; }
  int64_t width() const { return tensor_.rank ? tensor_.dim[tensor_.rank - 1] : 1; }
  int64_t inner() const { return inner_; }

  void* at(int64_t row) const {
    int64_t offset = 0;
    for (int d = static_cast<int>(tensor_.rank) - 2; d >= 0; --d) {
      offset += row % tensor_.dim[d] * tensor_.stride[d];
      row /= tensor_.dim[d];
    }
    return data_ + offset * ElementBytes(tensor_.dtype);
  }
  // width() floats.
  void Load(int64_t row, float* out) const { LoadFloats(tensor_.dtype, at(row), width(), out); }
  // Element c of a row at(..), rounded once. f32 or bf16.
  void Set(void* row, int64_t c, double v) const {
    if (tensor_.dtype == QIAO_BF16) {
      static_cast<uint16_t*>(row)[c] = DoubleToBf16(v);
    } else {
      static_cast<float*>(row)[c] = static_cast<float>(v);
    }
  }
  template <typename T>
  void Store(int64_t row, const T* values) const {
    void* to = at(row);
    const int64_t n = width();
    for (int64_t c = 0; c < n; ++c) Set(to, c, static_cast<double>(values[c]));
  }

 private:
  const qiao_tensor& tensor_;
  char* data_;
  int64_t inner_ = 1;
};

}  // namespace qiao::kernels
