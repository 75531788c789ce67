// The inner loops of the products, once per target: decoding a weight's elements, bringing rows as they lie
// in files into lanes, and tiles of multiply-adds whose lanes run over the 16 outputs of a group.

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

// One block of kM rows of x and kG groups. Rows and groups that the call does not have repeat its last one;
// they are computed and not stored.
struct TileCall {
  int64_t columns;  // of the block, padded
  const float* x[12];
  const float* scale[kMaxGroups];  // 16 each, the factor multiplied in
  const float* x_scale[12];        // one number each; null without
  float* sum[12];                  // += part * scale; [groups][16]
  int64_t ahead[kMaxGroups];       // bytes from the block to what is read after it
  int rows, groups;
  bool nans;  // of E4M3 codes
};

template <int kM, int kG, typename T>
HWY_INLINE void MultiplyTile(const TileCall& call, const T* const* w) {
  const DF d;
  const Decode<T> decode(call.nans);
  constexpr int kSteps = Decode<T>::kSteps;
  VF part[kM][kG][kV];
  for (int m = 0; m < kM; ++m)
    for (int g = 0; g < kG; ++g)
      for (int v = 0; v < kV; ++v) part[m][g][v] = hn::Zero(d);

  const float* x[kM];
  for (int m = 0; m < kM; ++m) x[m] = call.x[m];
  for (int64_t k = 0; k < call.columns; k += kSteps) {
    if constexpr (std::is_same_v<T, float>) {  // each x serves all groups: loads would be the limit
      VF wk[kG][kSteps][kV];
      for (int g = 0; g < kG; ++g) decode(w[g] + k * kGroup, wk[g]);
      for (int s = 0; s < kSteps; ++s) {
        for (int m = 0; m < kM; ++m) {
          const VF xk = hn::Set(d, x[m][k + s]);
          for (int g = 0; g < kG; ++g)
            for (int v = 0; v < kV; ++v) part[m][g][v] = hn::MulAdd(wk[g][s][v], xk, part[m][g][v]);
        }
      }
    } else {       // one group after the other: decoding takes registers, and its time covers the loads
      QIAO_UNROLL  // or the accumulators go through memory
          for (int g = 0; g < kG; ++g) {
        VF wk[kSteps][kV];
        decode(w[g] + k * kGroup, wk);
        PrefetchFar(w[g] + k * kGroup, call.ahead[g]);
        for (int s = 0; s < kSteps; ++s) {
          for (int m = 0; m < kM; ++m) {
            const VF xk = hn::Set(d, x[m][k + s]);
            for (int v = 0; v < kV; ++v) part[m][g][v] = hn::MulAdd(wk[s][v], xk, part[m][g][v]);
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
