#include "kernels/cpu/limit_tiles.h"

#include "kernels/cpu/tiles_amx.h"

#if HWY_ARCH_X86_64

namespace qiao::kernels::cpu {

HWY_PUSH_ATTRIBUTES(QIAO_AMX_TARGET)

namespace {

HWY_INLINE void ConfigureAll() {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) config.Set(tile, kTileRows, kTileBytes);
  ConfigureTiles(config);
}

}  // namespace

void RunBf16Tiles() {
  ConfigureAll();
  for (int i = 0; i < kTileRounds; ++i) {
    MultiplyBf16Tiles<0, 4, 6>();
    MultiplyBf16Tiles<1, 4, 7>();
    MultiplyBf16Tiles<2, 5, 6>();
    MultiplyBf16Tiles<3, 5, 7>();
  }
  ReleaseTiles();
}

void RunI8Tiles() {
  ConfigureAll();
  for (int i = 0; i < kTileRounds; ++i) {
    MultiplyInt8Tiles<0, 4, 6>();
    MultiplyInt8Tiles<1, 4, 7>();
    MultiplyInt8Tiles<2, 5, 6>();
    MultiplyInt8Tiles<3, 5, 7>();
  }
  ReleaseTiles();
}

HWY_POP_ATTRIBUTES

}  // namespace qiao::kernels::cpu

#endif  // HWY_ARCH_X86_64
