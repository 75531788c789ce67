// What the coarse operations share: appending nodes, and running a decomposition as the definition.
#pragma once

#include <string>

#include "absl/types/span.h"
#include "runtime/ops/catalogue.h"

namespace qiao::ops {

// Appends a node whose arguments, outputs included, all exist.
void Append(Graph& graph, std::string name, uint32_t op, Params params, absl::Span<const ValueId> args);

// y = W_down swiglu(W_gate_up x) in three nodes NAME.gate_up, NAME.swiglu and NAME.down.
absl::Status AppendMlp(Graph& graph, const std::string& name, ValueId x, ValueId gate_up, ValueId down,
                       ValueId y);

// Sets decompose, and reference to the scalar kernels of the decomposition, one after the other over
// temporary host memory.
void MakeCoarse(OpSpec* spec, absl::Status (*decompose)(const Node&, Graph&));

}  // namespace qiao::ops
