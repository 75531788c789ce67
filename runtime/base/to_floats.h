// Elements of a dtype as f32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/base/dtype.h"

namespace qiao {

// `n` elements from `from`, which need not be aligned, to `to`. Exact: every value of f32, f16, bf16,
// f8_e4m3, f8_e5m2 and i8 is one of f32. False, and nothing written, for other dtypes.
bool ToFloats(DType dtype, const std::byte* from, int64_t n, float* to);
// Whether ToFloats takes it.
bool HasFloats(DType dtype);

}  // namespace qiao
