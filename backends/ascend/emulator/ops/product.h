// The one product that every matmul of the emulator is made of: through the kernels' `linear`, sums in f32 (int32 of
// integers), rounded once.
#pragma once

#include <cstdint>

#include "backends/ascend/emulator/nnopbase/view.h"

namespace qiao::cann {

// Matrix i, in row-major order, of a batch of `to`'s shape, to which v's leading dimensions broadcast.
View MatrixOf(View v, const View& to, int64_t i);

// What becomes of f32 operands: kept, rounded to 11 bits of mantissa (HF32), or to f16.
enum class F32Operands { kKeep, kHf32, kF16 };
// Of aclnn's cubeMathType, and of QIAO_CANN_EXACT.
F32Operands OperandsFor(int64_t cube_math_type);
// n f32 operands, in place.
void RoundOperands(float* values, int64_t n, F32Operands operands);

// out[m, n] = sum over k of a[m, k] b[k, n] (+ bias[n]). a [M, K], b [K, N], out [M, N]: f32, f16 or bf16, any strides
// (not overlapping in out); b may be FRACTAL_NZ, a or out may not. bias may be null.
void Product(const View& a, const View& b, const View& out, F32Operands operands,
             const float* bias = nullptr);

// out = f32(sum over k of a[m, k] b[k, n]) * (a_scale[m] * b_scale[n]) (+ bias[n]), the sum exact in int32 with
// integer_bias[n] added. a, b i8, b may be FRACTAL_NZ; out f32, f16, bf16, or i32: then the sums, and no scales.
// a_scale (null: 1), b_scale, bias, integer_bias: may be null but for b_scale where there are scales.
struct IntegerScales {
  const float* a_scale = nullptr;
  const float* b_scale = nullptr;
  const float* bias = nullptr;
  const int32_t* integer_bias = nullptr;
};
void IntegerProduct(const View& a, const View& b, const View& out, const IntegerScales& scales);

// The length of an FP8 operand's block along each dimension, and how many of them n elements have.
inline constexpr int32_t kBlock = 128;
inline int64_t Blocks(int64_t n) { return (n + kBlock - 1) / kBlock; }

// out = sum over blocks p of 128 along K of (sum over k in p of a[m, k] b[k, n]) * a_scale[m, p] * b_scale[p, n / 128]
// (+ bias[n]). a, b f8_e4m3, b may be FRACTAL_NZ; a_scale, b_scale f32 views [M, ceil(K/128)], [ceil(K/128), ceil(N/128)] with any strides;
// out f32, f16 or bf16.
void BlockProduct(const View& a, const View& b, const View& a_scale, const View& b_scale, const View& out,
                  const float* bias = nullptr);

// A matrix of FRACTAL_NZ as it was before conversion, and the other way round: both rank 2. The plain view's strides
// may be any; what the format's view means is in nnopbase/fractal.h.
void FromFractal(const View& plain, const View& fractal);
void ToFractal(const View& fractal, const View& plain);

}  // namespace qiao::cann
