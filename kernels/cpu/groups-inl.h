// Blocks of a group of weight rows, brought into the order that decode-inl.h reads: once per target.

#if defined(QIAO_KERNELS_CPU_GROUPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QIAO_KERNELS_CPU_GROUPS_INL_H_
#undef QIAO_KERNELS_CPU_GROUPS_INL_H_
#else
#define QIAO_KERNELS_CPU_GROUPS_INL_H_
#endif

#include <type_traits>

#include "kernels/cpu/decode-inl.h"
#include "kernels/cpu/multiply.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {

inline constexpr int64_t kCacheLine = 64;

#if HWY_TARGET != HWY_SCALAR

// A vector of one row's elements, of which each 128-bit block is stored apart, `stride` elements on.
template <class D, class V, typename U>
HWY_INLINE void StoreBlocks(D d, V v, U* to, int64_t stride) {
  constexpr size_t kBytes = hn::MaxLanes(d) * sizeof(U);
  if constexpr (kBytes <= 16) {
    hn::StoreU(v, d, to);
  } else {
    const hn::Half<D> half;
    StoreBlocks(half, hn::LowerHalf(half, v), to, stride);
    StoreBlocks(half, hn::UpperHalf(half, v), to + static_cast<int64_t>(kBytes) / 32 * stride, stride);
  }
}

// Rows of a whole vector each. Interleaving rows i and i + L/2 moves one bit of the row's number into the
// column's; log2 L times, and each block of L x L elements is transposed.
template <typename U>
HWY_INLINE void TransposeVector(const std::byte* const* row, int64_t k, U* to) {
  const hn::ScalableTag<U> d;
  constexpr int kL = static_cast<int>(16 / sizeof(U));  // elements of a 128-bit block
  for (int set = 0; set < 16 / kL; ++set) {
    hn::Vec<decltype(d)> a[kL], b[kL];
    for (int i = 0; i < kL; ++i) a[i] = hn::LoadU(d, reinterpret_cast<const U*>(row[set * kL + i]) + k);
    for (int stage = 1; stage < kL; stage *= 2) {
      for (int i = 0; i < kL / 2; ++i) {
        b[2 * i] = hn::InterleaveLower(d, a[i], a[i + kL / 2]);
        b[2 * i + 1] = hn::InterleaveUpper(d, a[i], a[i + kL / 2]);
      }
      for (int i = 0; i < kL; ++i) a[i] = b[i];
    }
    for (int i = 0; i < kL; ++i) StoreBlocks(d, a[i], to + i * kGroup + set * kL, kL * kGroup);
  }
}

// E4M3 to units: four rows' quadruples of k are transposed as 32-bit numbers, and the pairs of each gathered.
// `largest` collects the largest codes without sign: 127 is NaN.
using D8 = hn::ScalableTag<uint8_t>;
HWY_INLINE void TransposeUnits(const std::byte* const* row, int64_t k, uint8_t* to, hn::Vec<D8>& largest) {
  const D8 d8;
  const hn::Repartition<uint32_t, D8> d32;
  const hn::Repartition<uint64_t, D8> d64;
  alignas(16) constexpr uint8_t kPairs[16] = {0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15};
  const auto pairs = hn::LoadDup128(d8, kPairs);
  for (int set = 0; set < 4; ++set) {
    hn::Vec<decltype(d32)> a[4];
    for (int i = 0; i < 4; ++i) {
      const auto codes = hn::LoadU(d8, reinterpret_cast<const uint8_t*>(row[set * 4 + i]) + k);
      largest = hn::Max(largest, hn::And(codes, hn::Set(d8, uint8_t{0x7f})));
      a[i] = hn::BitCast(d32, codes);
    }
    const auto low01 = hn::BitCast(d64, hn::InterleaveLower(d32, a[0], a[1]));
    const auto low23 = hn::BitCast(d64, hn::InterleaveLower(d32, a[2], a[3]));
    const auto high01 = hn::BitCast(d64, hn::InterleaveUpper(d32, a[0], a[1]));
    const auto high23 = hn::BitCast(d64, hn::InterleaveUpper(d32, a[2], a[3]));
    const auto store = [&](auto unit, int i) HWY_ATTR {
      StoreBlocks(d8, hn::TableLookupBytes(hn::BitCast(d8, unit), pairs), to + i * 64 + set * 16, 4 * 64);
    };
    store(hn::InterleaveLower(d64, low01, low23), 0);
    store(hn::InterleaveUpper(d64, low01, low23), 1);
    store(hn::InterleaveLower(d64, high01, high23), 2);
    store(hn::InterleaveUpper(d64, high01, high23), 3);
  }
}

// Four rows that hold 16 outputs side by side, to one unit.
HWY_INLINE void GatherUnit(const std::byte* const* line, int64_t column, uint8_t* to) {
  const hn::FixedTag<uint8_t, 16> d8;
  const hn::Repartition<uint64_t, decltype(d8)> d64;
  hn::Vec<decltype(d8)> k[4];
  for (int i = 0; i < 4; ++i) k[i] = hn::LoadU(d8, reinterpret_cast<const uint8_t*>(line[i]) + column);
  const auto low01 = hn::BitCast(d64, hn::InterleaveLower(d8, k[0], k[1]));
  const auto low23 = hn::BitCast(d64, hn::InterleaveLower(d8, k[2], k[3]));
  const auto high01 = hn::BitCast(d64, hn::InterleaveUpper(d8, k[0], k[1]));
  const auto high23 = hn::BitCast(d64, hn::InterleaveUpper(d8, k[2], k[3]));
  hn::StoreU(hn::BitCast(d8, hn::InterleaveLower(d64, low01, low23)), d8, to);
  hn::StoreU(hn::BitCast(d8, hn::InterleaveUpper(d64, low01, low23)), d8, to + 16);
  hn::StoreU(hn::BitCast(d8, hn::InterleaveLower(d64, high01, high23)), d8, to + 32);
  hn::StoreU(hn::BitCast(d8, hn::InterleaveUpper(d64, high01, high23)), d8, to + 48);
}

#endif

// Whether codes k0 .. k0 + n of E4M3 rows hold a NaN; of other elements it does not matter.
template <typename T>
bool HoldsNan(const T* from, int64_t n) {
  if constexpr (!std::is_same_v<T, E4m3>) return false;
  for (int64_t i = 0; i < n; ++i)
    if ((reinterpret_cast<const uint8_t*>(from)[i] & 0x7f) == 0x7f) return true;
  return false;
}

// Columns k0 .. k0 + n of 16 rows, and zeros up to `padded`. Returns whether there is a NaN among E4M3 codes.
template <typename T>
bool TransposeBlock(const std::byte* const* row, int64_t k0, int64_t n, int64_t padded, T* to) {
  int64_t k = 0;
  bool nans = false;
#if HWY_TARGET != HWY_SCALAR
  using U =
      std::conditional_t<sizeof(T) == 1, uint8_t, std::conditional_t<sizeof(T) == 2, uint16_t, uint32_t>>;
  constexpr int64_t kStep = hn::MaxLanes(hn::ScalableTag<U>());
  if constexpr (kUnits<T>) {
    const D8 d8;
    hn::Vec<D8> largest = hn::Zero(d8);
    for (; k + kStep <= n; k += kStep)
      TransposeUnits(row, k0 + k, reinterpret_cast<uint8_t*>(to) + k * kGroup, largest);
    nans = !hn::AllFalse(d8, hn::Eq(largest, hn::Set(d8, uint8_t{0x7f})));
  } else {
    for (; k + kStep <= n; k += kStep) TransposeVector(row, k0 + k, reinterpret_cast<U*>(to) + k * kGroup);
  }
#endif
  if (k == padded) return nans;
  std::memset(to + k * kGroup, 0, static_cast<size_t>((padded - k) * kGroup) * sizeof(T));
  for (int64_t r = 0; r < kGroup; ++r) {
    const T* from = reinterpret_cast<const T*>(row[r]) + k0;
    for (int64_t i = k; i < n; ++i) to[UnitIndex<T>(i, r)] = from[i];
    nans = HoldsNan(from + k, n - k) || nans;
  }
  return nans;
}

// The same from rows that hold the outputs side by side.
template <typename T>
bool CopyColumns(const std::byte* const* line, int64_t column, int64_t count, int64_t n, int64_t padded,
                 T* to) {
  int64_t k = 0;
  bool nans = false;
  if (count == kGroup && !kUnits<T>) {
    for (; k < n; ++k)
      std::memcpy(to + k * kGroup, reinterpret_cast<const T*>(line[k]) + column, kGroup * sizeof(T));
  }
#if HWY_TARGET != HWY_SCALAR
  if constexpr (kUnits<T>) {
    if (count == kGroup) {
      for (; k + 4 <= n; k += 4) GatherUnit(line + k, column, reinterpret_cast<uint8_t*>(to) + k * kGroup);
      const D8 d8;
      hn::Vec<D8> largest = hn::Zero(d8);
      for (int64_t i = 0; i < k * kGroup; i += hn::MaxLanes(d8)) {
        const auto codes = hn::LoadU(d8, reinterpret_cast<const uint8_t*>(to) + i);
        largest = hn::Max(largest, hn::And(codes, hn::Set(d8, uint8_t{0x7f})));
      }
      nans = !hn::AllFalse(d8, hn::Eq(largest, hn::Set(d8, uint8_t{0x7f})));
    }
  }
#endif
  if (k == padded) return nans;
  std::memset(to + k * kGroup, 0, static_cast<size_t>((padded - k) * kGroup) * sizeof(T));
  for (; k < n; ++k) {
    const T* from = reinterpret_cast<const T*>(line[k]) + column;
    for (int64_t i = 0; i < count; ++i) to[UnitIndex<T>(k, i)] = from[i];
    nans = HoldsNan(from, count) || nans;
  }
  return nans;
}

// To the second-level cache: there is room for more requests on the way than the first level has.
HWY_INLINE void PrefetchFar(const void* p, int64_t ahead) {
  __builtin_prefetch(static_cast<const std::byte*>(p) + ahead, 0, 2);
}

// Bytes from block b of a packed group, or of one of its rows, to what is read after it; 0: not known.
HWY_INLINE int64_t AheadOf(const Blocks& blocks, int64_t b, int64_t block_bytes, int64_t group_ahead) {
  if (b + 1 < blocks.count) return block_bytes;
  return group_ahead ? group_ahead - b * block_bytes : 0;
}

// Block b of a group: where it lies, if it is packed, else in `scratch` (kMaxBlock * kGroup elements). *nans
// becomes true where E4M3 codes hold a NaN.
template <typename T>
HWY_INLINE const T* FindBlock(const Blocks& blocks, const GroupRef& group, int64_t b, T* scratch,
                              bool* nans) {
  const int64_t k = b * blocks.block;
  switch (group.form) {
    case GroupRef::kPacked:
      *nans = *nans || group.nans;
      return reinterpret_cast<const T*>(group.data) + b * blocks.padded_block * kGroup;
    case GroupRef::kRows:
      for (int64_t r = 0; r < kGroup; ++r) {
        const auto bytes = static_cast<int64_t>(sizeof(T)) * blocks.block;
        const int64_t ahead = AheadOf(blocks, b, bytes, group.ahead);
        for (int64_t at = 0; at < bytes; at += kCacheLine) PrefetchFar(group.line[r] + b * bytes + at, ahead);
      }
      *nans = TransposeBlock(group.line, k, blocks.Length(b), blocks.Padded(b), scratch) || *nans;
      return scratch;
    default:
      *nans = CopyColumns(group.line + k, group.column, group.count, blocks.Length(b), blocks.Padded(b),
                          scratch) ||
              *nans;
      return scratch;
  }
}

// A block, decoded once for many rows.
template <class Decoder, typename T, typename Decoded>
void DecodeBlock(const T* from, int64_t columns, bool nans, int64_t ahead, Decoded* to) {
  const Decoder decode(nans);
  constexpr int kSteps = Decoder::kSteps;
  constexpr int kParts = std::is_same_v<Decoded, float> ? kSteps : kSteps / 2;
  float* out = reinterpret_cast<float*>(to);
  for (int64_t k = 0; k < columns; k += kSteps) {
    VF w[kParts][kV];
    decode(from + Decoder::At(k), w);
    PrefetchFar(from + Decoder::At(k), ahead);
    for (int s = 0; s < kParts; ++s)
      for (int v = 0; v < kV; ++v) hn::Store(w[s][v], DF(), out + s * kGroup + v * kLanes);
    out += kParts * kGroup;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // QIAO_KERNELS_CPU_GROUPS_INL_H_
