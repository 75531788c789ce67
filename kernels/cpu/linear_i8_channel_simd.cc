// The tiles of INT8 products on every instruction set: both operands become 16-bit integers, whose pairwise
// products are added exactly in 32 bits (one instruction on x86). See linear_i8_channel.h.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/linear_i8_channel_simd.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/elements.h"
#include "kernels/cpu/linear_i8_channel.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

inline constexpr int64_t kI8Lanes = kLanes, kI8Few = 8;

// Two neighbours of a row side by side, then those of the next row.
void PackI8(const int8_t* x, int64_t x_row, int64_t rows, int64_t k, void* panel) {
  auto* to = static_cast<int16_t*>(panel);
  for (int64_t r = 0; r < kI8Lanes; ++r) {
    for (int64_t i = 0; i < RoundUp(k, 2); ++i) {
      const bool there = r < rows && i < k;
      to[(i / 2 * kI8Lanes + r) * 2 + i % 2] = there ? x[r * x_row + i] : int16_t{0};
    }
  }
}

#if HWY_TARGET == HWY_SCALAR

inline constexpr int64_t kI8TileOutputs = 1;

template <typename X>
int32_t Dot(const X* x, const int8_t* w, int64_t k) {
  int32_t sum = 0;
  for (int64_t i = 0; i < k; ++i) sum += x[i] * w[i];
  return sum;
}

void TileI8(const void* panel, int64_t panel_bytes, int panels, const int8_t* const* w, const int8_t* const*,
            int64_t k, void*, int32_t* sum) {
  for (int p = 0; p < panels; ++p) {
    const void* row = static_cast<const char*>(panel) + p * panel_bytes;
    sum[p * kI8Chunk] = Dot(static_cast<const int16_t*>(row), w[0], k);
  }
}

#else

using VI16 = hn::Vec<DI16>;
using VI = hn::Vec<DI>;
inline constexpr int64_t kI8TileOutputs = kLanes == 16 ? 12 : 4;

// kPanels panels times kI8TileOutputs rows of widened weights, `w_row` apart.
template <int kPanels>
HWY_INLINE void MultiplyPanels(const int16_t* panel, int64_t panel_stride, const int16_t* w, int64_t w_row,
                               int64_t pairs, int32_t* sum) {
  const DI d;
  const DI16 d16;
  VI even[kPanels][kI8TileOutputs], odd[kPanels][kI8TileOutputs];
  for (int p = 0; p < kPanels; ++p)
    for (int n = 0; n < kI8TileOutputs; ++n) even[p][n] = odd[p][n] = hn::Zero(d);
  for (int64_t i = 0; i < pairs; ++i) {
    VI16 x[kPanels];
    for (int p = 0; p < kPanels; ++p) x[p] = hn::LoadU(d16, panel + p * panel_stride + i * 2 * kLanes);
    for (int n = 0; n < kI8TileOutputs; ++n) {
      int32_t pair;
      std::memcpy(&pair, w + n * w_row + 2 * i, sizeof(pair));
      const VI16 both = hn::BitCast(d16, hn::Set(d, pair));
      for (int p = 0; p < kPanels; ++p)
        even[p][n] = hn::ReorderWidenMulAccumulate(d, x[p], both, even[p][n], odd[p][n]);
    }
  }
  HWY_ALIGN int32_t lanes[kLanes];
  for (int p = 0; p < kPanels; ++p) {
    for (int n = 0; n < kI8TileOutputs; ++n) {
      hn::Store(hn::RearrangeToOddPlusEven(even[p][n], odd[p][n]), d, lanes);
      for (int64_t m = 0; m < kLanes; ++m) sum[(p * kLanes + m) * kI8Chunk + n] = lanes[m];
    }
  }
}

void TileI8(const void* panel, int64_t panel_bytes, int panels, const int8_t* const* w,
            const int8_t* const* next, int64_t k, void* scratch, int32_t* sum) {
  const DI16 d16;
  const DI8Half d8;
  constexpr int64_t kWide = hn::MaxLanes(DI16());
  auto* wide = static_cast<int16_t*>(scratch);
  const int64_t w_row = k + 2;  // with room for the zero that completes a pair
  for (int64_t n = 0; n < kI8TileOutputs; ++n) {
    int16_t* to = wide + n * w_row;
    int64_t i = 0;
    for (; i + kWide <= k; i += kWide) {
      hn::StoreU(hn::PromoteTo(d16, hn::LoadU(d8, w[n] + i)), d16, to + i);
      if (i % 64 == 0) hwy::Prefetch(next[n] + i);
    }
    for (; i < k; ++i) to[i] = w[n][i];
    to[k] = 0;
  }
  const auto* x = static_cast<const int16_t*>(panel);
  if (panels == 2) {
    MultiplyPanels<2>(x, panel_bytes / 2, wide, w_row, DivideUp(k, 2), sum);
  } else {
    MultiplyPanels<1>(x, panel_bytes / 2, wide, w_row, DivideUp(k, 2), sum);
  }
}

HWY_INLINE VI16 Widen(const int8_t* p) { return hn::PromoteTo(DI16(), hn::LoadU(DI8Half(), p)); }
HWY_INLINE VI16 WidenN(const int8_t* p, int64_t n) {
  int8_t padded[hn::MaxLanes(DI16())] = {};
  std::memcpy(padded, p, static_cast<size_t>(n));
  return Widen(padded);
}

template <int kM>
void MultiplyFew(const int8_t* x, int64_t x_row, const int8_t* const* w, int64_t count, int64_t k,
                 int32_t* sum) {
  constexpr int kN = kM <= 4 ? 4 : 2;
  constexpr int64_t kWide = hn::MaxLanes(DI16());
  const DI d;
  for (int64_t n0 = 0; n0 < count; n0 += kN) {
    VI even[kM][kN], odd[kM][kN];
    for (int m = 0; m < kM; ++m)
      for (int n = 0; n < kN; ++n) even[m][n] = odd[m][n] = hn::Zero(d);
    const auto add = [&](const VI16(&xs)[kM], VI16 row, int n) HWY_ATTR {
      for (int m = 0; m < kM; ++m)
        even[m][n] = hn::ReorderWidenMulAccumulate(d, xs[m], row, even[m][n], odd[m][n]);
    };
    int64_t i = 0;
    for (; i + kWide <= k; i += kWide) {
      VI16 xs[kM];
      for (int m = 0; m < kM; ++m) xs[m] = Widen(x + m * x_row + i);
      for (int n = 0; n < kN; ++n) {
        if (i % 64 == 0) hwy::Prefetch(w[n0 + kN + n] + i);
        add(xs, Widen(w[n0 + n] + i), n);
      }
    }
    if (i < k) {
      VI16 xs[kM];
      for (int m = 0; m < kM; ++m) xs[m] = WidenN(x + m * x_row + i, k - i);
      for (int n = 0; n < kN; ++n) add(xs, WidenN(w[n0 + n] + i, k - i), n);
    }
    for (int m = 0; m < kM; ++m) {
      for (int n = 0; n < kN; ++n) {
        const VI all = hn::SumOfLanes(d, hn::RearrangeToOddPlusEven(even[m][n], odd[m][n]));
        sum[m * kI8Chunk + n0 + n] = hn::GetLane(all);
      }
    }
  }
}

#endif

void FewI8(const int8_t* x, int64_t x_row, int64_t rows, const int8_t* const* w, int64_t count, int64_t k,
           int32_t* sum) {
#if HWY_TARGET == HWY_SCALAR
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t n = 0; n < count; ++n) sum[m * kI8Chunk + n] = Dot(x + m * x_row, w[n], k);
#else
  constexpr decltype(&MultiplyFew<1>) kRows[kI8Few] = {MultiplyFew<1>, MultiplyFew<2>, MultiplyFew<3>,
                                                       MultiplyFew<4>, MultiplyFew<5>, MultiplyFew<6>,
                                                       MultiplyFew<7>, MultiplyFew<8>};
  kRows[rows - 1](x, x_row, w, count, k, sum);
#endif
}

template <typename Y>
HWY_INLINE void FinishI8As(const I8Row& row) {
  const DF d;
  const DI di;
  const auto* residual = static_cast<const Y*>(row.residual);
  auto* y = static_cast<Y*>(row.y);
  const VF x_scale = hn::Set(d, row.x_scale);
  for (int64_t n = 0; n < row.count; n += kLanes) {
    const int64_t left = row.count - n;
    HWY_ALIGN int32_t sums[kLanes];
    std::memcpy(sums, row.sum + n, static_cast<size_t>(std::min(left, kLanes)) * sizeof(int32_t));
    const VF scale = hn::Mul(x_scale, LoadUpTo(row.w_scale + n, left));
    VF v = hn::Mul(hn::ConvertTo(d, hn::Load(di, sums)), scale);
    if (row.bias) v = hn::Add(v, LoadUpTo(row.bias + n, left));
    if (residual) v = hn::Add(v, LoadUpTo(residual + n, left));
    StoreUpTo(v, y + n, left);
  }
}

void FinishI8(const I8Row& row) {
  return row.y_dtype == QIAO_BF16 ? FinishI8As<Bf16>(row) : FinishI8As<float>(row);
}

constexpr I8Tiles kI8Tiles{.panel_rows = kI8Lanes,
                           .panels = 2,
                           .outputs = kI8TileOutputs,
                           .few = kI8Few,
                           .group = 2,
                           .pack = PackI8,
                           .tile = TileI8,
                           .few_rows = FewI8,
                           .finish = FinishI8};

const I8Tiles* I8Table() { return &kI8Tiles; }

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qiao::kernels::cpu {

HWY_EXPORT(I8Table);
const I8Tiles& SimdI8Tiles(Isa isa) { return *ChooseFrom(HWY_DISPATCH_TABLE(I8Table), isa)(); }

const I8Tiles& I8TilesFor(Isa isa) {
#if HWY_ARCH_X86_64
  if (isa >= Isa::kAvx512Vbmi) {  // all of one Highway target, and so of one `finish`
    static const I8Tiles vnni = VnniI8Tiles(SimdI8Tiles(isa).finish);
    return vnni;
  }
#endif
  return SimdI8Tiles(isa);
}

}  // namespace qiao::kernels::cpu
#endif
