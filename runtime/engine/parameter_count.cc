#include "runtime/engine/parameter_count.h"

namespace qiao::engine {
namespace {

bool IsMtpCopy(const models::TensorSpec& tensor) {
  return tensor.part == models::Part::kMtp &&
         (tensor.name.ends_with(".embed_tokens.weight") || tensor.name.ends_with(".shared_head.head.weight"));
}

}  // namespace

ParameterCount CountParameters(const models::Model& model) {
  ParameterCount count;
  double active = 0;
  for (const models::TensorSpec& tensor : model.Tensors()) {
    const auto elements = static_cast<uint64_t>(tensor.shape.elements());
    count.stored += elements;
    if (!IsMtpCopy(tensor)) count.unique += elements;
    count.by_part[tensor.part] += elements;
    // As releases state it ("37B activated"): the embedding counts whole, although a token reads one row of
    // it.
    active += static_cast<double>(elements) * (tensor.part == models::Part::kEmbedding ? 1.0 : tensor.active);
  }
  count.active = static_cast<uint64_t>(active + 0.5);
  return count;
}

}  // namespace qiao::engine
