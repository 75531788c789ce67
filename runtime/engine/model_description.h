// What a model is, from its config and the headers of its files.
#pragma once

#include <qiao/engine.h>

#include "models/model.h"
#include "runtime/formats/checkpoint.h"

namespace qiao::engine {

// All of it but the bytes of caches, which depend on how the model is run. Linear in the number of tensors.
ModelDescription Describe(const models::Model& model, const formats::Checkpoint& checkpoint);

}  // namespace qiao::engine
