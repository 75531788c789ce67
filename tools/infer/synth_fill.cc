#include "tools/infer/synth_fill.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/base/floats.h"
#include "runtime/base/split_mix.h"

namespace qiao::tools {
namespace {

// Runs of so many values are copied from a table of normal values, each from a place of its own: as fast as
// memory, and as random as weights need to be.
constexpr uint64_t kRun = 256;
constexpr uint64_t kTableSize = uint64_t{1} << 19;

// E4M3 holds 448 at most; values of this deviation use its range and are cut, rarely, beyond 4.48 deviations.
constexpr double kFp8Deviation = 100;
// INT8 holds 127, which is as many deviations of this.
constexpr double kInt8Deviation = 28;

uint64_t HashName(std::string_view name, uint64_t seed) {
  uint64_t hash = SplitMix64(seed);
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;  // FNV-1a
  return SplitMix64(hash);
}

struct Distribution {
  double mean, deviation;
};

Distribution DistributionOf(const SynthTensor& tensor) {
  const double deviation = 1.0 / std::sqrt(static_cast<double>(std::max<int64_t>(tensor.fan_in, 1)));
  switch (tensor.kind) {
    case SynthTensor::kMatrix:
      return {0, !tensor.quantised ? deviation : tensor.dtype == DType::kI8 ? kInt8Deviation : kFp8Deviation};
    case SynthTensor::kEmbedding:
      return {0, 1};
    case SynthTensor::kGain:
      return {1, 0.05};
    case SynthTensor::kBias:
      return {0, 0.01};
    // Different from block to block, so that a scale that is used in the wrong place shows.
    case SynthTensor::kScale:
      return {deviation / kFp8Deviation, 0.1 * deviation / kFp8Deviation};
    case SynthTensor::kChannelScale:
      return {deviation / kInt8Deviation, 0.1 * deviation / kInt8Deviation};
  }
  return {0, 0};
}

void Convert(float value, DType dtype, std::byte* out) {
  if (dtype == DType::kF32) {
    std::memcpy(out, &value, sizeof value);
  } else if (dtype == DType::kF8E4M3) {
    *out = static_cast<std::byte>(FloatToF8E4M3(std::clamp(value, -448.0f, 448.0f)));
  } else if (dtype == DType::kI8) {
    *out = static_cast<std::byte>(static_cast<int8_t>(std::clamp(std::nearbyint(value), -127.0f, 127.0f)));
  } else {
    const uint16_t bits = FloatToBf16(value);
    std::memcpy(out, &bits, sizeof bits);
  }
}

}  // namespace

// The sum of twelve uniform variables, less its mean, is nearly normal with variance 1, and made of integers
// it is the same everywhere, as logarithms and cosines of different libraries are not.
SynthFiller::SynthFiller(uint64_t seed, int threads) : seed_(seed), threads_(threads), normals_(kTableSize) {
  uint64_t counter = SplitMix64(seed) | 1;
  for (float& normal : normals_) {
    int64_t sum = 0;
    for (int word = 0; word < 3; ++word) {
      const uint64_t bits = SplitMix64(++counter);
      for (int part = 0; part < 4; ++part) sum += static_cast<int64_t>((bits >> (16 * part)) & 0xffff);
    }
    normal = static_cast<float>(sum - 6 * 65535) / 65536.0f;
  }
}

const SynthFiller::Table& SynthFiller::GetTable(DType dtype, double mean, double deviation) {
  Table& table = tables_[{dtype, {mean, deviation}}];
  if (table.empty()) {
    const size_t size = SizeOf(dtype);
    table.resize(kTableSize * size);
    for (uint64_t i = 0; i < kTableSize; ++i) {
      Convert(static_cast<float>(mean + deviation * static_cast<double>(normals_[i])), dtype,
              table.data() + i * size);
    }
  }
  return table;
}

void SynthFiller::Fill(const SynthTensor& tensor, uint64_t begin, absl::Span<std::byte> out) {
  const Distribution distribution = DistributionOf(tensor);
  const Table& table = GetTable(tensor.dtype, distribution.mean, distribution.deviation);
  const uint64_t size = SizeOf(tensor.dtype);
  const uint64_t hash = HashName(tensor.name, seed_);
  const uint64_t first = begin / size, end = first + out.size() / size;
  const auto runs = static_cast<int64_t>((end + kRun - 1) / kRun - first / kRun);
  threads_.ParallelFor(runs, 4096, [&](int64_t from, int64_t to, int) {
    for (int64_t r = from; r < to; ++r) {
      const uint64_t run = first / kRun + static_cast<uint64_t>(r);
      const uint64_t place = SplitMix64(hash + run) % (kTableSize - kRun);
      const uint64_t lo = std::max(first, run * kRun), hi = std::min(end, (run + 1) * kRun);
      std::memcpy(out.data() + (lo - first) * size, table.data() + (place + lo - run * kRun) * size,
                  (hi - lo) * size);
    }
  });
}

}  // namespace qiao::tools
