// AMX's tiles: the instructions as functions, for code that is compiled between HWY_PUSH_ATTRIBUTES(
// QIAO_AMX_TARGET) and HWY_POP_ATTRIBUTES and runs where Isa::kAmx was chosen (isa.h). x86-64 only.
//
// A tile has up to 16 rows of up to 64 bytes. Multiply adds to c [rows of a][columns of b] the products of a
// [rows][K] and b [K / g][columns][g], g values of K side by side in 4 bytes: 2 bf16 or 4 bytes.
// Specification: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, TDPBF16PS and
// TDPBSSD.
//
// Inline assembly and not the compilers' intrinsics: GCC 12's tell the optimiser neither that a tile load
// reads the memory before it nor that a configuration is read whole.
#pragma once

#include <cstdint>

#include "hwy/base.h"

#if HWY_ARCH_X86_64

#define QIAO_AMX_TARGET \
  "avx2,fma,f16c,bmi,bmi2,avx512f,avx512vl,avx512dq,avx512bw,avx512vbmi,amx-tile,amx-bf16,amx-int8"

namespace qiao::kernels::cpu {

inline constexpr int kTileRows = 16;
inline constexpr int kTileBytes = 64;  // of a row

// What LDTILECFG reads. A tile with rows or bytes of 0 is not there.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void Set(int tile, int tile_rows, int bytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};
static_assert(sizeof(TileConfig) == 64);

HWY_PUSH_ATTRIBUTES(QIAO_AMX_TARGET)

// Zeros all tiles.
HWY_INLINE void ConfigureTiles(const TileConfig& config) {
  asm volatile("ldtilecfg %0" ::"m"(config) : "memory");
}
// Until the next ConfigureTiles a switch of threads need not save tiles.
HWY_INLINE void ReleaseTiles() { asm volatile("tilerelease" ::: "memory"); }

template <int kTile>
HWY_INLINE void ZeroTile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
}
// Rows begin `stride` bytes apart.
template <int kTile>
HWY_INLINE void LoadTile(const void* from, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
HWY_INLINE void StoreTile(void* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(kTile) : "memory");
}
// bf16 products, f32 sums: within one instruction the even and the odd k are summed apart, in order of k, by
// fused multiply-adds from zero; then even plus odd is added to c. Subnormals count as zero.
template <int kC, int kA, int kB>
HWY_INLINE void MultiplyBf16Tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
}
// Signed bytes, i32 sums that wrap.
template <int kC, int kA, int kB>
HWY_INLINE void MultiplyInt8Tiles() {
  asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
}

HWY_POP_ATTRIBUTES

}  // namespace qiao::kernels::cpu

#endif  // HWY_ARCH_X86_64
