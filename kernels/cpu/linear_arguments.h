// The arguments of linear and grouped_linear: their numbers, in the order of qiao/ops.h, and their elements'
// addresses.
#pragma once

#include <qiao/ops.h>

#include <cstddef>
#include <cstdint>

#include "kernels/common/args.h"
#include "kernels/common/elements.h"

namespace qiao::kernels::cpu {

inline constexpr int kX = 0, kXScale = 1;
namespace linear_arg {
inline constexpr int kW = 2, kBias = 3, kResidual = 4, kY = 5;
}
namespace grouped_arg {
inline constexpr int kEnds = 2, kW = 3, kY = 4;
}

// Rows [T,B,K], or [T,K] with B = 1; or an argument that is absent.
class Operand {
 public:
  Operand() = default;
  Operand(const KernelCall& call, int i)
      : tensor_(WithBatch(call.tensor[i])),
        element_(ElementBytes(tensor_.dtype)),
        data_(call.has(i) ? call.data<std::byte>(i) : nullptr) {}

  const qiao_tensor* operator->() const { return &tensor_; }
  bool absent() const { return data_ == nullptr; }
  int64_t row_bytes() const { return tensor_.stride[0] * element_; }
  // The element at (row, head, column); null where the argument is absent.
  template <typename T = std::byte>
  T* At(int64_t row, int64_t head, int64_t column = 0) const {
    if (absent()) return nullptr;
    return reinterpret_cast<T*>(data_ +
                                (row * tensor_.stride[0] + head * tensor_.stride[1] + column) * element_);
  }

 private:
  qiao_tensor tensor_{};
  int64_t element_ = 0;
  std::byte* data_ = nullptr;
};

}  // namespace qiao::kernels::cpu
