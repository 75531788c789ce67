// What a checkpoint holds, by what it is for in its model.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "models/model.h"
#include "runtime/formats/checkpoint.h"

namespace qiao::engine {

struct PartCensus {
  uint64_t tensors = 0, parameters = 0, bytes = 0;  // scales count in bytes only
  std::set<std::string> dtypes;                     // as the files spell them
};

struct Census {
  std::map<models::Part, PartCensus> parts;
  PartCensus scales;                 // of quantised tensors; their bytes are in the parts as well
  uint64_t active_bytes = 0;         // that one token reads: its experts, one row of the embedding, no MTP
  std::vector<std::string> unknown;  // tensors that the model has no use for
  uint64_t unknown_bytes = 0;
  std::vector<std::string>
      missing;  // tensors that the model needs and the files lack; MTP layers may be absent
  uint64_t missing_mtp = 0;
};

// Linear in the number of tensors.
Census TakeCensus(const models::Model& model, const formats::Checkpoint& checkpoint);

}  // namespace qiao::engine
