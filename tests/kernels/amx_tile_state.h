// AMX's tiles in plain C++: what each instruction does to them, after the operation sections of Intel's
// Software Developer's Manual, volume 2. For tests; amx_emulator.h executes machine code on it.
#pragma once

#include <cstdint>

namespace qiao::kernels::cpu {

// The state of one thread. All zeros is the state after TILERELEASE.
struct TileState {
  bool configured;
  uint8_t start_row;
  uint8_t rows[8];
  uint16_t row_bytes[8];
  uint8_t data[8][16][64];
};

// Each returns null, or what the processor would raise an exception for; the state is unchanged then.
const char* LoadTileConfig(TileState& state, const uint8_t* memory);
void StoreTileConfig(const TileState& state, uint8_t* memory);
const char* ZeroTileData(TileState& state, int tile);
const char* LoadTileData(TileState& state, int tile, const uint8_t* memory, int64_t stride);
const char* StoreTileData(TileState& state, int tile, uint8_t* memory, int64_t stride);
const char* MultiplyBf16(TileState& state, int c, int a, int b);
const char* MultiplyInt8(TileState& state, int c, int a, int b, bool a_signed, bool b_signed);

// a * b + c as TDPBF16PS computes it: rounded once, to nearest even; subnormals are zeros on the way in and
// on the way out. Plain arithmetic; MultiplyBf16 uses the CPU's FMA where there is one.
float FlushedFma(float a, float b, float c);

// For tests: whether MultiplyBf16 may use the CPU's FMA. Not for while it runs.
void UseFmaForTiles(bool use);

}  // namespace qiao::kernels::cpu
