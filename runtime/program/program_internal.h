// What program.cc makes and program_run.cc runs.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "runtime/program/program.h"

namespace qiao::program {

// Two memories at most: the host's, which every unified device shares, and the named device's own.
inline constexpr int kHostSpace = 0;
inline constexpr int kDeviceSpace = 1;
inline constexpr int kSpaces = 2;

// Memory of a space: from a device, or plain host memory where no unified device is there to give it.
struct Block {
  hal::Buffer buffer;
  std::unique_ptr<std::byte[]> host;
  std::byte* data = nullptr;

  absl::Status Allocate(const hal::Device* device, uint64_t bytes);
};

struct ProgramSet::Memory {
  std::shared_ptr<const hal::Device> device;  // null: plain host memory
  uint64_t alignment = 64;
  bool in_use = false;
  uint64_t arena_bytes = 0, workspace_bytes = 0, input_bytes = 0;  // of the largest bucket
  Block arena, inputs;                                             // workspace lies behind the arena
  // Parameters that this space needs, -> offset in `values`: vectors by index in Parameters, constants by
  // kind of graph and index in the graph.
  absl::flat_hash_map<int32_t, uint64_t> vectors;
  absl::flat_hash_map<std::pair<size_t, int32_t>, uint64_t> constants;
  uint64_t value_bytes = 0;
  Block values;
  std::vector<Block> pools;  // by layer, where the caches live here
};

// One program, of one bucket of one graph: launches and copies in order.
struct ProgramSet::Compiled {
  struct Item {
    // A launch.
    int32_t node = -1;
    int32_t device = 0;
    std::shared_ptr<const hal::Plan> plan;
    std::vector<void*> pointers;
    void* workspace = nullptr;
    // A copy of a whole root value (node is -1).
    ops::ValueId value = ops::kNoValue;
    int from = 0, to = 0;
  };
  // Where a root value lies in a space: offset in the arena, or -1.
  struct Place {
    std::array<int64_t, kSpaces> arena{-1, -1};
    int home = -1;  // where it is computed
  };
  struct Output {
    std::string name;
    ops::ValueId value;
  };

  const LoweredGraph* lowered = nullptr;
  size_t kind = 0;  // GraphKind
  Bucket bucket;
  std::vector<Item> items;
  std::vector<Place> places;                  // by value
  std::vector<uint64_t> input_offsets;        // by StepInput, counts last
  uint64_t hidden_row_bytes = 0;              // of StepInput::kHidden; 0: the graph does not take it
  std::vector<BuiltGraph::Pool> pools;        // by Value::source
  std::vector<std::vector<float>> constants;  // by Value::source
  std::vector<Output> outputs;
};

// The rows of dim[0] that are live, as far as the host knows; routed rows count as rows * (dim[0] / bucket
// rows).
int64_t LiveRowsOf(const qiao_tensor& tensor, const Bucket& bucket, int64_t rows, int64_t seqs,
                   int64_t logit_rows);

// Bytes from the first element of a tensor to behind the last.
uint64_t ExtentBytes(const qiao_tensor& tensor, int64_t rows);

}  // namespace qiao::program
