// The loops of limit_loops.h over AMX tiles: eight tiles that are loaded with zeros once and multiplied over
// and over.
#pragma once

namespace qiao::kernels::cpu {

// Whether the CPU has the tiles' products and the operating system lets this process use them, which is asked
// for here (once).
struct Tiles {
  bool bf16 = false, i8 = false;
};
Tiles UsableTiles();

inline constexpr int kTileRounds = 1 << 12;
// Four products a round, each of 16 x 16 sums over 32 pairs of bf16 or 64 of int8.
inline constexpr double kBf16TileOperations = 2.0 * kTileRounds * 4 * 16 * 16 * 32;
inline constexpr double kI8TileOperations = 2.0 * kTileRounds * 4 * 16 * 16 * 64;

// Only where UsableTiles says so.
void RunBf16Tiles();
void RunI8Tiles();

}  // namespace qiao::kernels::cpu
