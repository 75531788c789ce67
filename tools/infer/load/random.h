// Random numbers for a load: the same on every machine and with every standard library, as the distributions
// of <random> are not.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "runtime/base/split_mix.h"

namespace qiao::tools {

class Random {
 public:
  // What is drawn for one purpose does not depend on how much is drawn for another: each has its stream.
  Random(uint64_t seed, uint64_t stream) : state_(SplitMix64(seed) ^ SplitMix64(~stream)) {}

  uint64_t Bits() { return NextSplitMix64(state_); }
  // In [0, 1), with 53 bits.
  double Uniform() { return static_cast<double>(Bits() >> 11) * 0x1p-53; }
  // In 0 .. n - 1; n is far below 2^53.
  int64_t Below(int64_t n) { return static_cast<int64_t>(Uniform() * static_cast<double>(n)); }
  // Of mean 1.
  double Exponential() { return -std::log1p(-Uniform()); }
  // Of mean 0 and deviation 1 (Box and Muller 1958; its second number is dropped).
  double Normal() {
    const double radius = std::sqrt(2 * Exponential());
    return radius * std::cos(2 * std::numbers::pi * Uniform());
  }

 private:
  uint64_t state_;
};

}  // namespace qiao::tools
