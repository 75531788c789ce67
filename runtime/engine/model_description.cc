#include "runtime/engine/model_description.h"

#include <algorithm>

#include "runtime/engine/census.h"
#include "runtime/engine/parameter_count.h"

namespace qiao::engine {
namespace {

// Parameters that a token's hidden state is multiplied by, and those that a step of one token reads.
struct Used {
  double multiplied = 0, multiplied_dense = 0, read = 0;
};

Used CountUsed(const models::Model& model) {
  using models::Part;
  const std::vector<models::TensorSpec> tensors = model.Tensors();
  const bool tied = std::none_of(tensors.begin(), tensors.end(),
                                 [](const models::TensorSpec& t) { return t.part == Part::kHead; });
  Used used;
  for (const models::TensorSpec& t : tensors) {
    const auto elements = static_cast<double>(t.shape.elements());
    const bool head = tied && t.part == Part::kEmbedding;
    used.read += elements * (head ? 1.0 : t.active);
    if (t.part == Part::kNorm || t.part == Part::kMtp || (t.part == Part::kEmbedding && !head)) continue;
    used.multiplied += elements * (head ? 1.0 : t.active);
    used.multiplied_dense += elements;
  }
  return used;
}

uint64_t Rounded(double x) { return static_cast<uint64_t>(x + 0.5); }

}  // namespace

ModelDescription Describe(const models::Model& model, const formats::Checkpoint& checkpoint) {
  const models::ModelInfo& info = model.info();
  const ParameterCount count = CountParameters(model);
  const Census census = TakeCensus(model, checkpoint);
  const Used used = CountUsed(model);
  ModelDescription d;
  d.family = info.family;
  d.architecture = info.architecture;
  d.weight_format = info.weight_format;
  d.vocab = info.vocab;
  d.context = info.context;
  d.layers = info.layers;
  d.hidden = info.hidden;
  d.parameters = count.stored;
  d.active_parameters = count.active;
  d.experts = info.experts;
  d.experts_per_token = info.experts_per_token;
  d.shared_experts = info.shared_experts;
  d.mtp = model.drafts() && census.missing_mtp == 0;
  for (const auto& [part, held] : census.parts) {
    d.weight_bytes += held.bytes;
    d.weight_bytes_bf16 += held.parameters * SizeOf(DType::kBF16);
  }
  d.active_weight_bytes = census.active_bytes;
  d.active_weight_bytes_bf16 = Rounded(used.read * static_cast<double>(SizeOf(DType::kBF16)));
  d.flops_per_token = Rounded(2 * used.multiplied);
  d.flops_per_token_dense = Rounded(2 * used.multiplied_dense);
  return d;
}

}  // namespace qiao::engine
