// Sebastiano Vigna's splitmix64 (public domain, prng.di.unimi.it).
#pragma once

#include <cstdint>

namespace qiao {

inline constexpr uint64_t kSplitMixStep = 0x9e3779b97f4a7c15u;

// A good hash of a counter.
inline uint64_t SplitMix64(uint64_t x) {
  x += kSplitMixStep;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// The next number of a sequence; every state, 0 included, begins a good one.
inline uint64_t NextSplitMix64(uint64_t& state) {
  const uint64_t number = SplitMix64(state);
  state += kSplitMixStep;
  return number;
}

}  // namespace qiao
