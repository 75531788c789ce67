// The products, for every instruction set: which tiles a call is made of, and what finishes the sums.
#include "kernels/cpu/multiply.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/multiply.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/common/elements.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/elements.h"
#include "kernels/cpu/groups-inl.h"
#include "kernels/cpu/multiply-inl.h"
#include "kernels/cpu/products_amx.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {
namespace {

// The scales of block b of a group, 16 floats, times what multiplies every sum.
HWY_INLINE void BlockScales(const Blocks& blocks, const GroupRef& group, int64_t b, float factor, float* to) {
  const DF d;
  const int64_t at = b / blocks.per_scale;
  const VF f = hn::Set(d, factor);
  for (int v = 0; v < kV; ++v) {
    VF scale = f;
    if (group.scale_each) {
      scale = hn::Mul(f, hn::LoadU(d, group.scale + at * kGroup + v * kLanes));
    } else if (group.scale != nullptr) {
      scale = hn::Set(d, group.scale[at] * factor);
    }
    hn::Store(scale, d, to + v * kLanes);
  }
}

// All tiles of kM x kG that cover `rows` rows from `first` on and the call's groups.
template <int kM, int kG, typename T>
HWY_INLINE void Tiles(const MultiplyCall& call, int64_t b, int64_t first, int64_t rows, const T* const* w,
                      const int64_t* ahead, const float* scale, bool nans) {
  const Blocks& blocks = *call.blocks;
  const int64_t columns = blocks.Padded(b), width = call.groups * kGroup;
  const float* x = call.x + b * blocks.padded_block * call.rows;
  TileCall tile;
  tile.columns = columns;
  tile.rows = static_cast<int>(rows);
  tile.nans = nans;
  for (int m = 0; m < kM; ++m) {
    const int64_t row = first + std::min<int64_t>(m, rows - 1);
    tile.x[m] = x + row * columns;
    tile.x_scale[m] = call.x_scale ? call.x_scale + b * call.rows + row : nullptr;
  }
  for (int g0 = 0; g0 < call.groups; g0 += kG) {
    const T* from[kG];
    tile.groups = std::min(kG, call.groups - g0);
    for (int g = 0; g < kG; ++g) {
      const int at = g0 + std::min(g, tile.groups - 1);
      from[g] = w[at];
      tile.ahead[g] = ahead[at];
      tile.scale[g] = scale + at * kGroup;
    }
    for (int m = 0; m < kM; ++m) tile.sum[m] = call.sum + (first + m) * width + g0 * kGroup;
    MultiplyTile<kM, kG, T>(tile, from);
  }
}

template <typename T>
void FewRows(const MultiplyCall& call, int64_t b, const T* const* w, const int64_t* ahead, const float* scale,
             bool nans) {
  if (call.rows == 1) return Tiles<1, kFewGroups, T>(call, b, 0, 1, w, ahead, scale, nans);
  if (call.rows == 2) return Tiles < 2, kWide ? 2 : kFewGroups, T > (call, b, 0, 2, w, ahead, scale, nans);
  if constexpr (kFewRows > 4) {
    if (call.rows > 4) return Tiles<kFewRows, 1, T>(call, b, 0, call.rows, w, ahead, scale, nans);
  }
  if constexpr (kWide) {
    Tiles<4, 2, T>(call, b, 0, call.rows, w, ahead, scale, nans);
  } else if constexpr (kV == 2 || kManyRegisters) {
    Tiles<4, 1, T>(call, b, 0, call.rows, w, ahead, scale, nans);
  } else {
    for (int64_t m = 0; m < call.rows; m += 2)
      Tiles<2, 1, T>(call, b, m, std::min<int64_t>(2, call.rows - m), w, ahead, scale, nans);
  }
}

// Decoded blocks lie in the first-level cache.
constexpr int64_t kNothingAhead[kMaxGroups] = {};

void ManyRows(const MultiplyCall& call, int64_t b, const float* const* w, const float* scale) {
  int64_t m = 0;
  for (; m + kTileRows <= call.rows; m += kTileRows)
    Tiles<kTileRows, kManyGroups, float>(call, b, m, kTileRows, w, kNothingAhead, scale, false);
  const int64_t rest = call.rows - m;
  if (rest == 0) return;
  if constexpr (kTileRows > 8) {
    if (rest > 8)
      return Tiles<kTileRows, kManyGroups, float>(call, b, m, rest, w, kNothingAhead, scale, false);
    if (rest > 4) return Tiles<8, kManyGroups, float>(call, b, m, rest, w, kNothingAhead, scale, false);
  } else if constexpr (kTileRows > 4) {
    if (rest > 4)
      return Tiles<kTileRows, kManyGroups, float>(call, b, m, rest, w, kNothingAhead, scale, false);
  }
  if constexpr (kTileRows > 2) {
    if (rest > 2) return Tiles<4, kManyGroups, float>(call, b, m, rest, w, kNothingAhead, scale, false);
  }
  if (rest == 2) return Tiles<2, kManyGroups, float>(call, b, m, 2, w, kNothingAhead, scale, false);
  Tiles<1, kManyGroups, float>(call, b, m, 1, w, kNothingAhead, scale, false);
}

static_assert(kMultiplyScratch >= kMaxGroups * kMaxBlock * kGroup * 2 * sizeof(float));

// [block][rows][padded columns]
template <typename T>
void MultiplyAs(const MultiplyCall& call) {
  const Blocks& blocks = *call.blocks;
  std::memset(call.sum, 0, static_cast<size_t>(call.rows * call.groups * kGroup) * sizeof(float));
  T* raw = reinterpret_cast<T*>(call.scratch);
  float* decoded = reinterpret_cast<float*>(call.scratch + kMultiplyScratch / 2);
  HWY_ALIGN float scale[kMaxGroups * kGroup];
  const float factor = call.factor * kLeftOver<T>;
  for (int64_t b = 0; b < blocks.count; ++b) {
    const T* w[kMaxGroups];
    const float* wide[kMaxGroups];
    int64_t ahead[kMaxGroups];
    bool nans = false;
    for (int g = 0; g < call.groups; ++g) {
      w[g] = FindBlock(blocks, call.group[g], b, raw + g * kMaxBlock * kGroup, &nans);
      ahead[g] = call.group[g].form == GroupRef::kPacked
                     ? AheadOf(blocks, b, blocks.padded_block * kGroup * static_cast<int64_t>(sizeof(T)),
                               call.group[g].ahead)
                     : 0;
      BlockScales(blocks, call.group[g], b, factor, scale + g * kGroup);
    }
    if (call.rows <= kFewRows) {
      FewRows(call, b, w, ahead, scale, nans);
      continue;
    }
    for (int g = 0; g < call.groups; ++g) {
      if constexpr (std::is_same_v<T, float>) {
        wide[g] = w[g];
      } else {
        wide[g] = decoded + g * kMaxBlock * kGroup;
        DecodeBlock(w[g], blocks.Padded(b), nans, ahead[g], decoded + g * kMaxBlock * kGroup);
      }
    }
    ManyRows(call, b, wide, scale);
  }
}

template <typename T>
void PackRows(const PackCall& call) {
  const Blocks& blocks = *call.blocks;
  for (int64_t r = call.begin; r < call.end; ++r) {
    const int64_t row = call.index ? call.index[r] : r;
    const T* from = reinterpret_cast<const T*>(call.x + row * call.stride);
    for (int64_t b = 0; b < blocks.count; ++b) {
      const int64_t length = blocks.Length(b), padded = blocks.Padded(b);
      const T* p = from + b * blocks.block;
      float* to = call.out + b * blocks.padded_block * call.rows + r * padded;
      int64_t k = 0;
      for (; k + 2 * kLanes <= length; k += 2 * kLanes) {
        VF low, high;
        LoadPair(p + k, low, high);
        hn::StoreU(low, DF(), to + k);
        hn::StoreU(high, DF(), to + k + kLanes);
      }
      if (k < padded) {
        VF low, high;
        LoadPairN(p + k, length - k, low, high);
        HWY_ALIGN float rest[2 * kLanes];
        hn::Store(low, DF(), rest);
        hn::Store(high, DF(), rest + kLanes);
        for (; k < padded; ++k) to[k] = rest[k - length / (2 * kLanes) * (2 * kLanes)];
      }
      if (call.scale)
        call.out_scale[b * call.rows + r] = call.scale[row * call.scale_stride + b / blocks.per_scale];
    }
  }
}

template <typename T>
bool PackGroupAs(const Blocks& blocks, const GroupRef& from, std::byte* to) {
  bool nans = false;
  HWY_ALIGN T scratch[kMaxBlock * kGroup];
  for (int64_t b = 0; b < blocks.count; ++b) {
    const T* block = FindBlock(blocks, from, b, scratch, &nans);
    std::memcpy(to + b * blocks.padded_block * kGroup * static_cast<int64_t>(sizeof(T)), block,
                static_cast<size_t>(blocks.Padded(b) * kGroup) * sizeof(T));
  }
  return nans;
}

template <typename Y, typename R>
HWY_INLINE void FinishAs(const float* sum, const float* bias, const R* residual, int64_t n, Y* y) {
  for (int64_t i = 0; i < n; i += kLanes) {
    VF v = LoadUpTo(sum + i, n - i);
    if (bias) v = hn::Add(v, LoadUpTo(bias + i, n - i));
    if (residual) v = hn::Add(v, LoadUpTo(residual + i, n - i));
    StoreUpTo(v, y + i, n - i);
  }
}

template <typename Y>
HWY_INLINE void SwiGluAs(const float* gate, const float* up, int64_t n, Y* y) {
  const DF d;
  for (int64_t i = 0; i < n; i += kLanes) {
    const VF g = LoadUpTo(gate + i, n - i);
    const VF silu = hn::Div(g, hn::Add(hn::Set(d, 1.0f), Exp(hn::Neg(g))));
    StoreUpTo(hn::Mul(silu, LoadUpTo(up + i, n - i)), y + i, n - i);
  }
}

}  // namespace

void Multiply(const MultiplyCall& call) {
  switch (call.dtype) {
    case QIAO_BF16:
      return MultiplyAs<Bf16>(call);
    case QIAO_F16:
      return MultiplyAs<F16>(call);
    case QIAO_F8E4M3:
      return MultiplyAs<E4m3>(call);
    case QIAO_F8E5M2:
      return MultiplyAs<E5m2>(call);
    default:
      return MultiplyAs<float>(call);
  }
}

void Pack(const PackCall& call) {
  switch (call.dtype) {
    case QIAO_BF16:
      return PackRows<Bf16>(call);
    case QIAO_F8E4M3:
      return PackRows<E4m3>(call);
    default:
      return PackRows<float>(call);
  }
}

bool PackGroup(const Blocks& blocks, uint32_t dtype, const GroupRef& from, std::byte* to) {
  switch (dtype) {
    case QIAO_F8E4M3:
      return PackGroupAs<E4m3>(blocks, from, to);
    case QIAO_F8E5M2:
      return PackGroupAs<E5m2>(blocks, from, to);
    case QIAO_BF16:
    case QIAO_F16:
      return PackGroupAs<Bf16>(blocks, from, to);
    default:
      return PackGroupAs<float>(blocks, from, to);
  }
}

void Finish(const float* sum, const float* bias, const void* residual, uint32_t residual_dtype, int64_t n,
            void* y, uint32_t y_dtype) {
  const auto finish = [&](auto* to) HWY_ATTR {
    if (residual_dtype == QIAO_BF16) {
      FinishAs(sum, bias, static_cast<const Bf16*>(residual), n, to);
    } else {
      FinishAs(sum, bias, static_cast<const float*>(residual), n, to);
    }
  };
  if (y_dtype == QIAO_BF16) {
    finish(static_cast<Bf16*>(y));
  } else {
    finish(static_cast<float*>(y));
  }
}

void SwiGluRow(const float* gate, const float* up, int64_t n, void* y, uint32_t y_dtype) {
  if (y_dtype == QIAO_BF16) {
    SwiGluAs(gate, up, n, static_cast<Bf16*>(y));
  } else {
    SwiGluAs(gate, up, n, static_cast<float*>(y));
  }
}

void Accumulate(const float* sum, float weight, int64_t n, float* y) {
  const VF w = hn::Set(DF(), weight);
  for (int64_t i = 0; i < n; i += kLanes)
    StoreUpTo(hn::MulAdd(w, LoadUpTo(sum + i, n - i), LoadUpTo(y + i, n - i)), y + i, n - i);
}

const Products* Table() {
  static constexpr Products kTable{.few_rows = kFewRows,
                                   .few_groups = kFewGroups,
                                   .many_groups = kManyGroups,
                                   .row_tile = kTileRows,
                                   .row_block = 120,
                                   .pack = Pack,
                                   .multiply = Multiply,
                                   .finish = Finish,
                                   .swiglu = SwiGluRow,
                                   .accumulate = Accumulate,
                                   .pack_group = PackGroup};
  return &kTable;
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qiao::kernels::cpu {

HWY_EXPORT(Table);
const Products& ProductsFor(Isa isa) { return *ChooseFrom(HWY_DISPATCH_TABLE(Table), isa)(); }

const Products& ProductsFor(Isa isa, uint32_t x, const qiao_tensor& w, const Blocks& blocks,
                            bool transposed) {
  if (isa == Isa::kAmx && AmxTakes(x, w, blocks, transposed)) return AmxProducts();
  return ProductsFor(isa);
}

float DecodeFactor(uint32_t dtype) { return dtype == QIAO_F8E4M3 ? kDecodeFactor<E4m3> : 1.0f; }

}  // namespace qiao::kernels::cpu
#endif
