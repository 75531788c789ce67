// The inner loops of the products, once per target: tiles of multiply-adds whose lanes run over the 16
// outputs of a group.

#if defined(QIAO_KERNELS_CPU_MULTIPLY_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QIAO_KERNELS_CPU_MULTIPLY_INL_H_
#undef QIAO_KERNELS_CPU_MULTIPLY_INL_H_
#else
#define QIAO_KERNELS_CPU_MULTIPLY_INL_H_
#endif

#include <type_traits>

#include "kernels/cpu/decode-inl.h"
#include "kernels/cpu/multiply.h"
#include "kernels/cpu/simd-inl.h"

#undef QIAO_UNROLL
#if defined(__clang__)
#define QIAO_UNROLL _Pragma("clang loop unroll(full)")
#else
#define QIAO_UNROLL _Pragma("GCC unroll 4")
#endif

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

// The shapes of tiles that leave the accumulators in registers: rows of x times groups. Few rows must make
// chains enough to hide an addition's latency, so one row takes several groups.
inline constexpr bool kManyRegisters = kWide || HWY_TARGET == HWY_NEON;
inline constexpr int kFewRows = kWide ? 8 : 4;
inline constexpr int kFewGroups = kWide ? 4 : (kV == 2 || kManyRegisters ? 2 : 1);
inline constexpr int kManyGroups = kWide ? 2 : 1;
inline constexpr int kTileRows = kWide ? 12 : (kV == 2 || kManyRegisters ? 6 : 2);

// Two ways to multiply. F32: x and w widened, one column at a time. Pairs: x and w in bf16, two columns at a
// time with vdpbf16ps, for CPUs where that is faster; subnormal bf16 and sums count as zero in it.
struct F32 {
  using X = float;
  using Decoded = float;  // of a block that many rows share: [k][16]
  template <typename T>
  using Decoder = Decode<T>;
  static constexpr int kColumns = 1;
  static HWY_INLINE VF Broadcast(const X* x) { return hn::Set(DF(), *x); }
  static HWY_INLINE VF MulAdd(VF w, VF x, VF sum) { return hn::MulAdd(w, x, sum); }
};

#if HWY_TARGET == HWY_AVX3_DL
struct Pairs {
  using X = Bf16;
  using Decoded = Pair;  // [k / 2][16]
  template <typename T>
  using Decoder = DecodePairs<T>;
  static constexpr int kColumns = 2;
  static HWY_INLINE VF Broadcast(const X* x) {
    uint32_t pair;
    std::memcpy(&pair, x, sizeof pair);
    return hn::BitCast(DF(), hn::Set(DU(), pair));
  }
  // As assembly, since the target that this is compiled for does not name the instruction.
  static HWY_INLINE VF MulAdd(VF w, VF x, VF sum) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(w.raw), "v"(x.raw));
    return sum;
  }
};
#endif

// One block of kM rows of x and kG groups. Rows and groups that the call does not have repeat its last one;
// they are computed and not stored.
template <typename X>
struct TileCall {
  int64_t columns;  // of the block, padded
  const X* x[12];
  const float* scale[kMaxGroups];  // 16 each, the factor multiplied in
  const float* x_scale[12];        // one number each; null without
  float* sum[12];                  // += part * scale; [groups][16]
  int64_t ahead[kMaxGroups];       // bytes from the block to what is read after it
  int rows, groups;
  bool nans;  // of E4M3 codes
};

template <class Mode, int kM, int kG, typename T>
HWY_INLINE void MultiplyTile(const TileCall<typename Mode::X>& call, const T* const* w) {
  using Decoder = typename Mode::template Decoder<T>;
  constexpr int kSteps = Decoder::kSteps, kParts = kSteps / Mode::kColumns;
  const DF d;
  const Decoder decode(call.nans);
  VF part[kM][kG][kV];
  for (int m = 0; m < kM; ++m)
    for (int g = 0; g < kG; ++g)
      for (int v = 0; v < kV; ++v) part[m][g][v] = hn::Zero(d);

  const typename Mode::X* x[kM];
  for (int m = 0; m < kM; ++m) x[m] = call.x[m];
  for (int64_t k = 0; k < call.columns; k += kSteps) {
    if constexpr (std::is_same_v<T, typename Mode::Decoded>) {
      // Each x serves all groups: loads would be the limit.
      VF wk[kG][kParts][kV];
      for (int g = 0; g < kG; ++g) decode(w[g] + Decoder::At(k), wk[g]);
      for (int s = 0; s < kParts; ++s) {
        for (int m = 0; m < kM; ++m) {
          const VF xk = Mode::Broadcast(x[m] + k + s * Mode::kColumns);
          for (int g = 0; g < kG; ++g)
            for (int v = 0; v < kV; ++v) part[m][g][v] = Mode::MulAdd(wk[g][s][v], xk, part[m][g][v]);
        }
      }
    } else {
      // One group after the other: decoding takes registers, and its time covers the loads. Not unrolled, the
      // accumulators would go through memory.
      QIAO_UNROLL
      for (int g = 0; g < kG; ++g) {
        VF wk[kParts][kV];
        decode(w[g] + Decoder::At(k), wk);
        PrefetchFar(w[g] + Decoder::At(k), call.ahead[g]);
        for (int s = 0; s < kParts; ++s) {
          for (int m = 0; m < kM; ++m) {
            const VF xk = Mode::Broadcast(x[m] + k + s * Mode::kColumns);
            for (int v = 0; v < kV; ++v) part[m][g][v] = Mode::MulAdd(wk[s][v], xk, part[m][g][v]);
          }
        }
      }
    }
  }
  for (int m = 0; m < kM && m < call.rows; ++m) {
    for (int g = 0; g < kG && g < call.groups; ++g) {
      for (int v = 0; v < kV; ++v) {
        VF scale = hn::Load(d, call.scale[g] + v * kLanes);
        if (call.x_scale[m]) scale = hn::Mul(scale, hn::Set(d, *call.x_scale[m]));
        float* to = call.sum[m] + g * kGroup + v * kLanes;
        hn::Store(hn::MulAdd(part[m][g][v], scale, hn::Load(d, to)), d, to);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // QIAO_KERNELS_CPU_MULTIPLY_INL_H_
