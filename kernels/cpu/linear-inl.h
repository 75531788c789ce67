// The inner loops of linear and grouped_linear, once per target.
//
// The order of a sum. x is widened to f32 and each block of K that shares a scale is padded with zeros to a
// multiple of two vectors. For output (m, n) one vector accumulator takes x * w of a block's vectors in turn,
// one fused multiply-add each; at the block's end the accumulator times the block's scale is added, lane by
// lane, to a second vector, whose lanes are summed at the end. Every tile shape below does exactly this for
// each of its outputs, so a row's bits do not depend on the tile it falls into.

#if defined(QIAO_KERNELS_CPU_LINEAR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QIAO_KERNELS_CPU_LINEAR_INL_H_
#undef QIAO_KERNELS_CPU_LINEAR_INL_H_
#else
#define QIAO_KERNELS_CPU_LINEAR_INL_H_
#endif

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

inline constexpr int64_t kPair = 2 * kLanes;
inline constexpr bool kManyRegisters = HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON;

// How K is cut: `count` blocks of `block` elements, the last one perhaps shorter, each padded.
struct Blocks {
  int64_t size, block, count, padded_block, padded;

  Blocks(int64_t k, int64_t block_cols)
      : size(k),
        block(std::min(k, block_cols)),
        count(k > 0 ? DivideUp(k, block) : 0),
        padded_block(RoundUp(block, kPair)),
        padded(count > 0 ? (count - 1) * padded_block + RoundUp(Length(count - 1), kPair) : 0) {}
  int64_t Length(int64_t i) const { return std::min(block, size - i * block); }
};

// Widens a row into the padded layout.
template <typename T>
HWY_INLINE void WidenRow(const T* from, const Blocks& blocks, float* to) {
  const DF d;
  for (int64_t b = 0; b < blocks.count; ++b) {
    const T* p = from + b * blocks.block;
    float* q = to + b * blocks.padded_block;
    const int64_t n = blocks.Length(b);
    for (int64_t k = 0; k < n; k += kPair) {
      VF low, high;
      if (k + kPair <= n) {
        LoadPair(p + k, low, high);
      } else {
        LoadPairN(p + k, n - k, low, high);
      }
      hn::StoreU(low, d, q + k);
      hn::StoreU(high, d, q + k + kLanes);
    }
  }
}

// kM rows of x times kN rows of w. `out` is [kM][out_stride]. Rows of w are in the padded layout already
// (kPadded, then T is float), or as they lie in the file. Scales: w_scale[n][b], or 1 where null; times
// x_scale[m][b], where given; times `factor`.
template <int kM, int kN, bool kPadded, typename T>
HWY_INLINE void MultiplyTile(const Blocks& blocks, const float* x, int64_t x_stride, const T* const* w,
                             const float* const* w_scale, const float* const* x_scale, float factor,
                             float* out, int64_t out_stride) {
  const DF d;
  VF total[kM][kN];
  for (int m = 0; m < kM; ++m)
    for (int n = 0; n < kN; ++n) total[m][n] = hn::Zero(d);

  for (int64_t b = 0; b < blocks.count; ++b) {
    VF part[kM][kN];
    for (int m = 0; m < kM; ++m)
      for (int n = 0; n < kN; ++n) part[m][n] = hn::Zero(d);
    const float* xb = x + b * blocks.padded_block;
    const int64_t length = blocks.Length(b);
    const int64_t whole = kPadded ? RoundUp(length, kPair) : length / kPair * kPair;
    const int64_t at = b * (kPadded ? blocks.padded_block : blocks.block);

    for (int64_t k = 0; k < whole; k += kPair) {
      VF x0[kM], x1[kM];
      for (int m = 0; m < kM; ++m) {
        x0[m] = hn::LoadU(d, xb + m * x_stride + k);
        x1[m] = hn::LoadU(d, xb + m * x_stride + k + kLanes);
      }
      for (int n = 0; n < kN; ++n) {
        VF w0, w1;
        LoadPair(w[n] + at + k, w0, w1);
        for (int m = 0; m < kM; ++m) part[m][n] = hn::MulAdd(w0, x0[m], part[m][n]);
        for (int m = 0; m < kM; ++m) part[m][n] = hn::MulAdd(w1, x1[m], part[m][n]);
      }
    }
    if (whole < length) {
      for (int n = 0; n < kN; ++n) {
        VF w0, w1;
        LoadPairN(w[n] + at + whole, length - whole, w0, w1);
        for (int m = 0; m < kM; ++m) {
          const float* xm = xb + m * x_stride + whole;
          part[m][n] = hn::MulAdd(w0, hn::LoadU(d, xm), part[m][n]);
          part[m][n] = hn::MulAdd(w1, hn::LoadU(d, xm + kLanes), part[m][n]);
        }
      }
    }
    for (int n = 0; n < kN; ++n) {
      const float ws = w_scale[n] ? w_scale[n][b] * factor : factor;
      for (int m = 0; m < kM; ++m) {
        const float scale = x_scale ? ws * x_scale[m][b] : ws;
        total[m][n] = hn::MulAdd(part[m][n], hn::Set(d, scale), total[m][n]);
      }
    }
  }
  for (int m = 0; m < kM; ++m)
    for (int n = 0; n < kN; ++n) out[m * out_stride + n] = Sum(total[m][n]);
}

// The transposed form: lanes run over kPair neighbouring outputs n, and each output's sum goes through k in
// order, one fused multiply-add each. Where the scale changes along k, the part so far times its scale is
// added to the total. `w` is [K][kPair], decoded; `run_end[r]` is where run r of equal scales ends and
// `run_scale` [run][kPair].
template <int kM>
HWY_INLINE void MultiplyTransposedTile(const float* x, int64_t x_stride, const float* w, int64_t runs,
                                       const int64_t* run_end, const float* run_scale, float* out,
                                       int64_t out_stride) {
  const DF d;
  VF total[kM][2];
  for (int m = 0; m < kM; ++m) total[m][0] = total[m][1] = hn::Zero(d);
  int64_t k = 0;
  for (int64_t r = 0; r < runs; ++r) {
    VF part[kM][2];
    for (int m = 0; m < kM; ++m) part[m][0] = part[m][1] = hn::Zero(d);
    for (; k < run_end[r]; ++k) {
      const VF w0 = hn::LoadU(d, w + k * kPair);
      const VF w1 = hn::LoadU(d, w + k * kPair + kLanes);
      for (int m = 0; m < kM; ++m) {
        const VF xk = hn::Set(d, x[m * x_stride + k]);
        part[m][0] = hn::MulAdd(w0, xk, part[m][0]);
        part[m][1] = hn::MulAdd(w1, xk, part[m][1]);
      }
    }
    const VF s0 = hn::LoadU(d, run_scale + r * kPair);
    const VF s1 = hn::LoadU(d, run_scale + r * kPair + kLanes);
    for (int m = 0; m < kM; ++m) {
      total[m][0] = hn::MulAdd(part[m][0], s0, total[m][0]);
      total[m][1] = hn::MulAdd(part[m][1], s1, total[m][1]);
    }
  }
  for (int m = 0; m < kM; ++m) {
    hn::StoreU(total[m][0], d, out + m * out_stride);
    hn::StoreU(total[m][1], d, out + m * out_stride + kLanes);
  }
}

// Sum + bias + residual, in f32, rounded once.
template <typename Y, typename R>
HWY_INLINE void FinishRow(const float* sum, const float* bias, const R* residual, int64_t n, Y* y) {
  for (int64_t i = 0; i < n; i += kLanes) {
    VF v = LoadUpTo(sum + i, n - i);
    if (bias) v = hn::Add(v, LoadUpTo(bias + i, n - i));
    if (residual) v = hn::Add(v, LoadUpTo(residual + i, n - i));
    StoreUpTo(v, y + i, n - i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // QIAO_KERNELS_CPU_LINEAR_INL_H_
