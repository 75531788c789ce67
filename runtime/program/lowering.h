// From the graphs that a model wrote to the nodes that devices run: weights are negotiated, each operation is
// placed, coarse operations that nobody claims are taken apart.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/status.h"
#include "runtime/hal/device.h"
#include "runtime/ops/graph.h"
#include "runtime/program/builder.h"
#include "runtime/program/weight_store.h"

namespace qiao::program {

// Why an operation runs where it runs.
enum class Tier {
  kNative,      // the device's own operation
  kDecomposed,  // one part of a coarse operation that the device did not claim whole
  kFallback,    // the host's plugin, because the device does not claim it
};

// One call of `node`, as the plugin boundary describes it. Points at both arguments.
qiao_op_call MakeCall(const ops::Node& node, absl::Span<const qiao_tensor> tensors);

struct LoweredNode {
  ops::Node node;
  int32_t device = 0;  // index into LoweringOptions::devices
  Tier tier = Tier::kNative;
  absl::InlinedVector<qiao_tensor, 12> tensors;  // of the arguments, weights as they will be stored
  absl::InlinedVector<int32_t, 4> weights;       // of those that are weights, in order: index in the store
};

struct LoweredGraph {
  ops::Graph graph;  // all values; its list of nodes is empty
  std::vector<LoweredNode> nodes;
};

// One line of --placement; the same for all buckets.
struct PlacementRow {
  std::string name, op, device, shapes;
  Tier tier = Tier::kNative;
  std::string why;  // the named device's reason, for a fallback
};

struct LoweringOptions {
  // [0] is the device that was named, [1], if there, the host's plugin that takes what [0] does not.
  std::vector<std::shared_ptr<const hal::Device>> devices;
};

struct LoweringResult {
  std::vector<std::vector<LoweredGraph>> kinds;  // of each kind of graph, one a bucket
  std::vector<PlacementRow> placement;
  int32_t pool_device = 0;  // where the caches live
  // Layout of one layer's pool on pool_device, by layer.
  struct PoolLayout {
    uint64_t bytes = 0;
    std::vector<qiao_row_kind> kinds;
  };
  std::vector<PoolLayout> pools;
};

// Placement is decided for each node over all buckets together, so that weights and caches live where their
// operations run: the graphs of a kind, kinds[i], must be the same but for their buckets. All kinds share the
// caches and the weights; an operation on a cache that has to move moves the caches of all. Without a second
// device, an operation that devices[0] does not support is UNIMPLEMENTED, and the message lists all such
// operations with shapes and reasons.
absl::StatusOr<LoweringResult> Lower(const std::vector<std::vector<BuiltGraph>>& kinds,
                                     const LoweringOptions& options, const CacheGeometry& cache,
                                     WeightStore& weights);

}  // namespace qiao::program
