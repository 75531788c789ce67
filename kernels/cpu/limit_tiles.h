// The loops of limit_loops.h over AMX tiles: eight tiles that are loaded with zeros once and multiplied over
// and over. x86-64 only; where HostIsas().Runs(Isa::kAmx).
#pragma once

namespace qiao::kernels::cpu {

inline constexpr int kTileRounds = 1 << 12;
// Four products a round, each of 16 x 16 sums over 32 pairs of bf16 or 64 of int8.
inline constexpr double kBf16TileOperations = 2.0 * kTileRounds * 4 * 16 * 16 * 32;
inline constexpr double kI8TileOperations = 2.0 * kTileRounds * 4 * 16 * 16 * 64;

void RunBf16Tiles();
void RunI8Tiles();

}  // namespace qiao::kernels::cpu
