#include "runtime/engine/census.h"

#include "absl/container/flat_hash_map.h"

namespace qiao::engine {

Census TakeCensus(const models::Model& model, const formats::Checkpoint& checkpoint) {
  Census census;
  const std::vector<models::TensorSpec> specs = model.Tensors();
  const std::string suffix = model.quantisation().scale_suffix;
  absl::flat_hash_map<absl::string_view, const models::TensorSpec*> by_name;
  by_name.reserve(specs.size());
  for (const models::TensorSpec& spec : specs) by_name.emplace(Abs(spec.name), &spec);

  double active = 0;
  for (const formats::Checkpoint::Entry& entry : checkpoint.tensors()) {
    const formats::TensorView& tensor = *entry.tensor;
    const uint64_t bytes = tensor.data.size();
    auto spec = by_name.find(Abs(tensor.name));
    const bool is_scale = spec == by_name.end() && !suffix.empty() && tensor.name.ends_with(suffix);
    if (is_scale) spec = by_name.find(Abs(tensor.name.substr(0, tensor.name.size() - suffix.size())));
    if (spec == by_name.end()) {
      census.unknown.emplace_back(tensor.name);
      census.unknown_bytes += bytes;
      continue;
    }
    PartCensus& part = census.parts[spec->second->part];
    part.bytes += bytes;
    active += static_cast<double>(bytes) * spec->second->active;
    if (is_scale) {
      ++census.scales.tensors;
      census.scales.bytes += bytes;
      census.scales.dtypes.emplace(tensor.dtype_name);
    } else {
      ++part.tensors;
      part.parameters += static_cast<uint64_t>(spec->second->shape.elements());
      part.dtypes.emplace(tensor.dtype_name);
    }
  }
  census.active_bytes = static_cast<uint64_t>(active + 0.5);
  for (const models::TensorSpec& spec : specs) {
    if (checkpoint.Find(spec.name) != nullptr) continue;
    if (spec.part == models::Part::kMtp) {
      ++census.missing_mtp;
    } else {
      census.missing.push_back(spec.name);
    }
  }
  return census;
}

}  // namespace qiao::engine
