#include "kernels/cpu/limit_tiles.h"

#include <cstdint>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace qiao::kernels::cpu {
namespace {

struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  TileConfig() {
    for (int i = 0; i < 8; ++i) {
      row_bytes[i] = 64;
      rows[i] = 16;
    }
  }
};
static_assert(sizeof(TileConfig) == 64);

Tiles Ask() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  // OSXSAVE, and the system saves both parts of the tiles' state.
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27))) return {};
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr uint32_t kTileState = 3u << 17;
  if ((low & kTileState) != kTileState) return {};
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & (1u << 24))) return {};
  // Linux gives the state's memory to those who ask, once for all threads of the process.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  if (::syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) return {};
  return {.bf16 = (d & (1u << 22)) != 0, .i8 = (d & (1u << 25)) != 0};
}

__attribute__((target("amx-tile"))) void ZeroTiles() {
  const TileConfig config;
  // Without the barrier GCC 12 drops the stores to a local configuration at -O3.
  asm volatile("" ::"r"(&config) : "memory");
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
}

}  // namespace

Tiles UsableTiles() {
  static const Tiles tiles = Ask();
  return tiles;
}

__attribute__((target("amx-tile,amx-bf16"))) void RunBf16Tiles() {
  ZeroTiles();
  for (int i = 0; i < kTileRounds; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}

__attribute__((target("amx-tile,amx-int8"))) void RunI8Tiles() {
  ZeroTiles();
  for (int i = 0; i < kTileRounds; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
}

}  // namespace qiao::kernels::cpu

#else

namespace qiao::kernels::cpu {

Tiles UsableTiles() { return {}; }
void RunBf16Tiles() {}
void RunI8Tiles() {}

}  // namespace qiao::kernels::cpu

#endif
