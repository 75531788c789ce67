#include "runtime/ops/tolerance.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/dtype.h"

namespace qiao::ops::tolerance {
namespace {

// Half the distance from 1 to the next f32 number.
constexpr double kF32Unit = 1.0 / (1 << 24);

// One unit in the last place, relative to the number, at its largest (just above a power of two). Two
// implementations that are both right may round to neighbours when the exact result lies near a midpoint.
double OneUlp(uint32_t dtype) {
  switch (dtype) {
    case QIAO_F32:
      return 1.0 / (1 << 23);
    case QIAO_F16:
      return 1.0 / (1 << 10);
    case QIAO_BF16:
      return 1.0 / (1 << 7);
    default:
      return 0;  // integers and E4M3: must be equal
  }
}

// Differences are measured against the rms of the output, but a rounding is relative to each number: the
// largest number of an output, in multiples of the rms. Sums of many terms look Gaussian (6 in a hundred
// million); products of two Gaussians (swiglu, rmsnorm gains) have longer tails.
constexpr double kGaussianPeak = 8;
constexpr double kProductPeak = 32;

// A sum of n terms in f32, in any order: each addition errs by up to one unit of the partial sum, which for
// terms of random sign stays within a few rms of the result; the errors are random too and add up like
// sqrt(n). The factor covers the peak of the partial sums and of the errors.
double SumError(double n) { return 16 * std::sqrt(n) * kF32Unit; }

// `bulk` is the error that any element may have, as a part of the rms; stored numbers may also flip to a
// neighbour. calc_diff is about half the mean square of the relative difference; not every element flips, and
// few by a full ulp: a quarter of an ulp rms is generous, and far below what a wrong scale or a lost block
// would give.
Tolerance Of(uint32_t dtype, double peak, double bulk) {
  const double ulp = OneUlp(dtype);
  Tolerance t;
  t.max_abs_over_rms = peak * ulp + bulk;
  t.calc_diff = (ulp / 4 + bulk) * (ulp / 4 + bulk) / 2;
  return t;
}

uint32_t TypeOf(const qiao_op_call& call, int arg) { return call.argument[arg].dtype; }

}  // namespace

// Copies, integers, sums of two numbers, and quantise, whose f32 divisions are part of its definition.
Tolerance Exact(const qiao_op_call&, int) { return {}; }

// A few f32 operations on each element: each may round another way.
Tolerance Stored(const qiao_op_call& call, int arg) {
  return Of(TypeOf(call, arg), kGaussianPeak, 4 * kGaussianPeak * kF32Unit);
}

// A copy; where the weight has scales, a product.
Tolerance Embedding(const qiao_op_call& call, int arg) {
  const bool exact = call.argument[1].scheme == QIAO_SCHEME_NONE;
  return exact ? Exact(call, arg) : Stored(call, arg);
}

// The mean of D squares has a relative error of SumError at most (all terms are positive: less), halved by
// the root. add_rmsnorm's `sum` output is one addition and exact.
Tolerance RmsNorm(const qiao_op_call& call, int arg) {
  if (call.op == QIAO_OP_ADD_RMSNORM && arg == 4) return {};
  const double width = static_cast<double>(call.argument[0].dim[call.argument[0].rank - 1]);
  return Of(TypeOf(call, arg), kProductPeak, kProductPeak * (4 * kF32Unit + SumError(width) / 16));
}

// The sum of INT8 products is exact; a few f32 operations follow.
Tolerance Linear(const qiao_op_call& call, int arg) {
  const qiao_tensor& x = call.argument[0];
  if (x.dtype == QIAO_I8) return Stored(call, arg);
  return Of(TypeOf(call, arg), kGaussianPeak, SumError(static_cast<double>(x.dim[x.rank - 1])));
}

Tolerance GroupedLinear(const qiao_op_call& call, int arg) { return Linear(call, arg); }

// ids must be equal: the cases keep choices apart by more than f32 noise, or exactly equal. The weights are
// f32 numbers between 0 and `scale` from one exponential and a few operations.
Tolerance MoeGate(const qiao_op_call& call, int arg) {
  return TypeOf(call, arg) == QIAO_F32 ? Of(QIAO_F32, kGaussianPeak, 64 * kF32Unit) : Tolerance{};
}

// k products and sums.
Tolerance MoeCombine(const qiao_op_call& call, int arg) {
  return Of(TypeOf(call, arg), kProductPeak, SumError(static_cast<double>(call.argument[1].dim[1]) + 1));
}

// One exponential (vector libraries err by up to 4 ulps), a division, two products.
Tolerance SwiGlu(const qiao_op_call& call, int arg) {
  return Of(TypeOf(call, arg), kProductPeak, 8 * kProductPeak * kF32Unit);
}

// sine and cosine of a given f32 angle, to 4 ulps of 1: enough for any library with a proper range reduction,
// and not for one without.
Tolerance RopeTable(const qiao_op_call&, int) { return {16 * kF32Unit, 64 * kF32Unit * kF32Unit}; }

// A logit is a sum of L + R products, times a scale; an error in it is a relative error of its weight; the
// output is again a sum. bf16 implementations may round the weights to bf16 for the matrix units: each by
// half an ulp at most, independently, so that the sum of many errs less; a short context errs by the full
// half.
Tolerance LatentAttention(const qiao_op_call& call, int arg) {
  const double width = static_cast<double>(call.argument[0].dim[2] + call.argument[1].dim[2]);
  const bool narrow = TypeOf(call, arg) == QIAO_BF16;
  return Of(TypeOf(call, arg), kGaussianPeak, 4 * SumError(width) + (narrow ? OneUlp(QIAO_BF16) / 2 : 0));
}

// Fused implementations may keep intermediates wider than the decomposition, which rounds them to act:
// gate_up and the product, half an ulp each for every term of the next sum; sums of many such errors are
// Gaussian.
Tolerance Mlp(const qiao_op_call& call, int arg) {
  const double rounded = 2 * OneUlp(TypeOf(call, 0)) / 2;
  const double widths = static_cast<double>(call.argument[1].dim[1] + call.argument[1].dim[2]);
  return Of(TypeOf(call, arg), kGaussianPeak, 2 * rounded + 4 * SumError(widths));
}

// As mlp, then the weighted sum of rounded rows. ids must be equal (cases keep them apart), w is f32
// arithmetic on f32 logits, which are sums of H products.
Tolerance MoeMlp(const qiao_op_call& call, int arg) {
  const double hidden = static_cast<double>(call.argument[0].dim[1]);
  if (TypeOf(call, arg) == QIAO_I32) return {};
  if (arg == 9) return Of(QIAO_F32, kGaussianPeak, 64 * kF32Unit + 4 * SumError(hidden));
  const double rounded = 3 * OneUlp(TypeOf(call, 0)) / 2;
  const double widths = static_cast<double>(call.argument[3].dim[1]) + hidden;
  return Of(TypeOf(call, arg), kProductPeak, 2 * rounded + 4 * SumError(widths));
}

// Up to three roundings to act in a row: q_a, its norm, q; then a rotation or one more product.
Tolerance MlaProlog(const qiao_op_call& call, int arg) {
  const double rounded = 3 * OneUlp(TypeOf(call, 0)) / 2;
  const double widths =
      static_cast<double>(call.argument[0].dim[1]) + static_cast<double>(call.argument[6].dim[2]);
  return Of(TypeOf(call, arg), kGaussianPeak, 3 * rounded + 8 * SumError(widths));
}

}  // namespace qiao::ops::tolerance
