// Random weights: the same for a seed and a tensor's name, in whatever order and pieces they are made, on any
// machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/threads.h"
#include "tools/infer/synth_layout.h"

namespace qiao::tools {

// Not thread-safe (it has threads of its own).
class SynthFiller {
 public:
  explicit SynthFiller(uint64_t seed, int threads = 0);

  // Bytes begin .. begin + out.size() of the tensor's data; both multiples of its element size.
  void Fill(const SynthTensor& tensor, uint64_t begin, absl::Span<std::byte> out);

 private:
  // kTableSize values of the dtype, mean + deviation * a standard normal variable.
  using Table = std::vector<std::byte>;
  const Table& GetTable(DType dtype, double mean, double deviation);

  uint64_t seed_;
  ThreadPool threads_;
  std::vector<float> normals_;  // kTableSize standard normal values
  std::map<std::pair<DType, std::pair<double, double>>, Table> tables_;
};

}  // namespace qiao::tools
