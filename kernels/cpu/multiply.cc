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

template <int kValue>
inline constexpr std::integral_constant<int, kValue> kInt{};

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
template <class Mode, int kM, int kG, typename T>
HWY_INLINE void Tiles(const MultiplyCall& call, int64_t b, int64_t first, int64_t rows, const T* const* w,
                      const int64_t* ahead, const float* scale, bool nans) {
  const Blocks& blocks = *call.blocks;
  const int64_t columns = blocks.Padded(b), width = call.groups * kGroup;
  const auto* x = reinterpret_cast<const typename Mode::X*>(call.x) + b * blocks.padded_block * call.rows;
  TileCall<typename Mode::X> tile;
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
    MultiplyTile<Mode, kM, kG, T>(tile, from);
  }
}

template <class Mode, typename T>
void FewRows(const MultiplyCall& call, int64_t b, const T* const* w, const int64_t* ahead, const float* scale,
             bool nans) {
  const auto tiles = [&](auto m, auto g, int64_t first, int64_t rows)
                         HWY_ATTR { Tiles<Mode, m(), g(), T>(call, b, first, rows, w, ahead, scale, nans); };
  if (call.rows == 1) return tiles(kInt<1>, kInt<kFewGroups>, 0, 1);
  if (call.rows == 2) return tiles(kInt<2>, kInt<(kWide ? 2 : kFewGroups)>, 0, 2);
  if constexpr (kFewRows > 4) {
    if (call.rows > 4) return tiles(kInt<kFewRows>, kInt<1>, 0, call.rows);
  }
  if constexpr (kWide) {
    tiles(kInt<4>, kInt<2>, 0, call.rows);
  } else if constexpr (kV == 2 || kManyRegisters) {
    tiles(kInt<4>, kInt<1>, 0, call.rows);
  } else {
    for (int64_t m = 0; m < call.rows; m += 2)
      tiles(kInt<2>, kInt<1>, m, std::min<int64_t>(2, call.rows - m));
  }
}

template <class Mode>
void ManyRows(const MultiplyCall& call, int64_t b, const typename Mode::Decoded* const* w,
              const float* scale) {
  constexpr int64_t kNothingAhead[kMaxGroups] = {};  // decoded blocks lie in the first-level cache
  const auto tiles = [&](auto m, int64_t first, int64_t rows) HWY_ATTR {
    Tiles<Mode, m(), kManyGroups, typename Mode::Decoded>(call, b, first, rows, w, kNothingAhead, scale,
                                                          false);
  };
  int64_t m = 0;
  for (; m + kTileRows <= call.rows; m += kTileRows) tiles(kInt<kTileRows>, m, kTileRows);
  const int64_t rest = call.rows - m;
  if (rest == 0) return;
  if constexpr (kTileRows > 8) {
    if (rest > 8) return tiles(kInt<kTileRows>, m, rest);
    if (rest > 4) return tiles(kInt<8>, m, rest);
  } else if constexpr (kTileRows > 4) {
    if (rest > 4) return tiles(kInt<kTileRows>, m, rest);
  }
  if constexpr (kTileRows > 2) {
    if (rest > 2) return tiles(kInt<4>, m, rest);
  }
  if (rest == 2) return tiles(kInt<2>, m, 2);
  tiles(kInt<1>, m, 1);
}

static_assert(kMultiplyScratch >= kMaxGroups * kMaxBlock * kGroup * 2 * sizeof(float));

// x is [block][rows][padded columns].
template <class Mode, typename T>
void MultiplyAs(const MultiplyCall& call) {
  const Blocks& blocks = *call.blocks;
  std::memset(call.sum, 0, static_cast<size_t>(call.rows * call.groups * kGroup) * sizeof(float));
  T* raw = reinterpret_cast<T*>(call.scratch);
  using Decoded = typename Mode::Decoded;
  auto* decoded = reinterpret_cast<Decoded*>(call.scratch + kMultiplyScratch / 2);
  HWY_ALIGN float scale[kMaxGroups * kGroup];
  const float factor = call.factor * kLeftOver<T>;
  for (int64_t b = 0; b < blocks.count; ++b) {
    const T* w[kMaxGroups];
    const Decoded* wide[kMaxGroups];
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
      FewRows<Mode>(call, b, w, ahead, scale, nans);
      continue;
    }
    for (int g = 0; g < call.groups; ++g) {
      if constexpr (std::is_same_v<T, Decoded>) {
        wide[g] = w[g];
      } else {
        wide[g] = decoded + g * kMaxBlock * kGroup;
        DecodeBlock<typename Mode::template Decoder<T>>(w[g], blocks.Padded(b), nans, ahead[g],
                                                        decoded + g * kMaxBlock * kGroup);
      }
    }
    ManyRows<Mode>(call, b, wide, scale);
  }
}

template <class Mode, typename T>
void PackRows(const PackCall& call) {
  using X = typename Mode::X;
  const Blocks& blocks = *call.blocks;
  for (int64_t r = call.begin; r < call.end; ++r) {
    const int64_t row = call.index ? call.index[r] : r;
    const T* from = reinterpret_cast<const T*>(call.x + row * call.stride);
    for (int64_t b = 0; b < blocks.count; ++b) {
      const int64_t length = blocks.Length(b), padded = blocks.Padded(b);
      const T* p = from + b * blocks.block;
      X* to = reinterpret_cast<X*>(call.out) + b * blocks.padded_block * call.rows + r * padded;
      int64_t k = 0;
      for (; k + 2 * kLanes <= length; k += 2 * kLanes) {
        VF low, high;
        LoadPair(p + k, low, high);
        Store(low, to + k);
        Store(high, to + k + kLanes);
      }
      if (k < padded) {
        VF low, high;
        LoadPairN(p + k, length - k, low, high);
        HWY_ALIGN X rest[2 * kLanes + kBlockStep] = {};  // a narrow vector may hold less than the padding
        Store(low, rest);
        Store(high, rest + kLanes);
        std::memcpy(to + k, rest, static_cast<size_t>(padded - k) * sizeof(X));
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
      return MultiplyAs<F32, Bf16>(call);
    case QIAO_F16:
      return MultiplyAs<F32, F16>(call);
    case QIAO_F8E4M3:
      return MultiplyAs<F32, E4m3>(call);
    case QIAO_F8E5M2:
      return MultiplyAs<F32, E5m2>(call);
    default:
      return MultiplyAs<F32, float>(call);
  }
}

template <class Mode>
void Pack(const PackCall& call) {
  switch (call.dtype) {
    case QIAO_BF16:
      return PackRows<Mode, Bf16>(call);
    case QIAO_F8E4M3:
      return PackRows<Mode, E4m3>(call);
    default:
      return PackRows<Mode, float>(call);
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
                                   .pack = Pack<F32>,
                                   .multiply = Multiply,
                                   .finish = Finish,
                                   .swiglu = SwiGluRow,
                                   .accumulate = Accumulate,
                                   .pack_group = PackGroup};
  return &kTable;
}

#if HWY_TARGET == HWY_AVX3_DL
void MultiplyPairs(const MultiplyCall& call) {
  call.dtype == QIAO_BF16 ? MultiplyAs<Pairs, Bf16>(call) : MultiplyAs<Pairs, E4m3>(call);
}
const Products* PairsTable() {
  static const Products table = [] {
    Products t = *Table();
    t.pack = Pack<Pairs>;
    t.multiply = MultiplyPairs;
    return t;
  }();
  return &table;
}
#else
const Products* PairsTable() { return Table(); }
#endif

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qiao::kernels::cpu {

namespace {

// Operands that are bf16, or become it exactly.
bool PairsTake(uint32_t x, const qiao_tensor& w) {
  return x != QIAO_F32 && (w.dtype == QIAO_BF16 || w.dtype == QIAO_F8E4M3);
}

}  // namespace

HWY_EXPORT(Table);
HWY_EXPORT(PairsTable);
const Products& ProductsFor(Isa isa) { return *ChooseFrom(HWY_DISPATCH_TABLE(Table), isa)(); }

const Products& ProductsFor(Isa isa, uint32_t x, const qiao_tensor& w, const Blocks& blocks,
                            bool transposed) {
  if (isa == Isa::kAmx && AmxTakes(x, w, blocks, transposed)) return AmxProducts();
  if (isa == Isa::kAvx512Bf16 && PairsTake(x, w)) return *ChooseFrom(HWY_DISPATCH_TABLE(PairsTable), isa)();
  return ProductsFor(isa);
}

float DecodeFactor(uint32_t dtype) { return dtype == QIAO_F8E4M3 ? kDecodeFactor<E4m3> : 1.0f; }

}  // namespace qiao::kernels::cpu
#endif
