// The table of --placement: where each operation runs and why.
#pragma once

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "runtime/program/lowering.h"

namespace qiao::tools {

// Layers that agree in everything are one line: "layers.1-26.mlp".
std::string PlacementTable(absl::Span<const program::PlacementRow> rows);

}  // namespace qiao::tools
