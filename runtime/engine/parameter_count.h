// How many parameters a model has, and how many of them one token uses.
#pragma once

#include <cstdint>
#include <map>

#include "models/model.h"

namespace qiao::engine {

struct ParameterCount {
  uint64_t stored = 0;  // all tensors of a complete checkpoint
  uint64_t unique = 0;  // without the MTP layers' copies of embedding and head
  uint64_t active = 0;  // one token's share: chosen experts, embedding and head whole, no MTP
  std::map<models::Part, uint64_t> by_part;
};

ParameterCount CountParameters(const models::Model& model);

}  // namespace qiao::engine
