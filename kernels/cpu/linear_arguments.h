// The numbers of linear's and grouped_linear's arguments, in the order of qiao/ops.h.
#pragma once

namespace qiao::kernels::cpu {

inline constexpr int kX = 0, kXScale = 1;
namespace linear_arg {
inline constexpr int kW = 2, kBias = 3, kResidual = 4, kY = 5;
}
namespace grouped_arg {
inline constexpr int kEnds = 2, kW = 3, kY = 4;
}

}  // namespace qiao::kernels::cpu
