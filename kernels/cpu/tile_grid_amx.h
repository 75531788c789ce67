// What products of tiles have in common, whatever their elements: two groups of 16 weight rows (panels) times
// two tiles of up to 16 columns. Tiles: sums of group g and column tile c in 2 g + c, weights of group g in
// 4 + g, columns c in 6 + c. Four sums in flight cover the latency of a product.
//
// For the sources that are compiled between HWY_PUSH_ATTRIBUTES(QIAO_AMX_TARGET) and HWY_POP_ATTRIBUTES.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/panel_amx.h"
#include "kernels/cpu/tiles_amx.h"
#include "kernels/cpu/transpose_avx512.h"

#if HWY_ARCH_X86_64

namespace qiao::kernels::cpu {

inline constexpr int kGridGroups = 2, kGridTiles = 2;

// Sums of all column tiles: [group][column tile][16 rows][width].
template <typename T>
struct GridSums {
  T* data;
  int64_t tiles, width;

  static int64_t Count(int64_t groups, int64_t tiles, int64_t width) { return groups * tiles * 16 * width; }
  T* At(int64_t group, int64_t tile) const { return data + Count(1, group * tiles + tile, width); }
};

HWY_PUSH_ATTRIBUTES(QIAO_AMX_TARGET)

// Columns are `width` wide.
HWY_INLINE void ConfigureGrid(int64_t width) {
  TileConfig config;
  for (int tile : {0, 1, 2, 3, 6, 7}) config.Set(tile, kTileRows, static_cast<int>(4 * width));
  for (int tile : {4, 5}) config.Set(tile, kTileRows, kTileBytes);
  ConfigureTiles(config);
}

// The sums of kG groups and kC column tiles, from `tile` on: to zero, and from and to memory.
template <int kG, int kC>
HWY_INLINE void ZeroGrid() {
  ZeroTile<0>();
  if constexpr (kC > 1) ZeroTile<1>();
  if constexpr (kG > 1) ZeroTile<2>();
  if constexpr (kG > 1 && kC > 1) ZeroTile<3>();
}
template <int kG, int kC, typename T>
HWY_INLINE void FetchGrid(const GridSums<T>& sums, int64_t tile) {
  LoadTile<0>(sums.At(0, tile), sums.width * 4);
  if constexpr (kC > 1) LoadTile<1>(sums.At(0, tile + 1), sums.width * 4);
  if constexpr (kG > 1) LoadTile<2>(sums.At(1, tile), sums.width * 4);
  if constexpr (kG > 1 && kC > 1) LoadTile<3>(sums.At(1, tile + 1), sums.width * 4);
}
template <int kG, int kC, typename T>
HWY_INLINE void KeepGrid(const GridSums<T>& sums, int64_t tile) {
  StoreTile<0>(sums.At(0, tile), sums.width * 4);
  if constexpr (kC > 1) StoreTile<1>(sums.At(0, tile + 1), sums.width * 4);
  if constexpr (kG > 1) StoreTile<2>(sums.At(1, tile), sums.width * 4);
  if constexpr (kG > 1 && kC > 1) StoreTile<3>(sums.At(1, tile + 1), sums.width * 4);
}

// How tiles are multiplied.
struct Bf16Tiles {
  template <int kC, int kA, int kB>
  static HWY_INLINE void Multiply() {
    MultiplyBf16Tiles<kC, kA, kB>();
  }
};
struct Int8Tiles {
  template <int kC, int kA, int kB>
  static HWY_INLINE void Multiply() {
    MultiplyInt8Tiles<kC, kA, kB>();
  }
};

// Adds steps [first, last) of the panels, each of which begins in memory at step `base`, times the columns'.
template <class Tiles, int kG, int kC>
HWY_INLINE void MultiplyGrid(const std::byte* panel0, const std::byte* panel1, const AmxColumns& x,
                             int64_t tile, int64_t base, int64_t first, int64_t last) {
  const int64_t x_stride = x.width() * 4;
  for (int64_t step = first; step < last; ++step) {
    const int64_t at = (step - base) * kPanelStep;
    LoadTile<6>(x.Tile(tile, step), x_stride);
    LoadTile<4>(panel0 + at, kStepBytes);
    Tiles::template Multiply<0, 4, 6>();
    if constexpr (kC > 1) {
      LoadTile<7>(x.Tile(tile + 1, step), x_stride);
      Tiles::template Multiply<1, 4, 7>();
    }
    if constexpr (kG > 1) {
      LoadTile<5>(panel1 + at, kStepBytes);
      Tiles::template Multiply<2, 5, 6>();
    }
    if constexpr (kG > 1 && kC > 1) Tiles::template Multiply<3, 5, 7>();
  }
}

// One tile's sums [16 rows][width] as columns: r[m] holds those of column m.
template <typename T>
HWY_INLINE void LoadColumns(const T* sums, int64_t width, __m512i (&r)[16]) {
  const auto first = static_cast<__mmask16>((1u << width) - 1);
  for (int64_t n = 0; n < 16; ++n) r[n] = _mm512_maskz_loadu_epi32(first, sums + n * width);
  Transpose16(r);
}

HWY_POP_ATTRIBUTES

}  // namespace qiao::kernels::cpu

#endif  // HWY_ARCH_X86_64
