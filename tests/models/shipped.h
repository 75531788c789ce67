// The model that ships with Qiao, and the perplexity of its test documents.
#pragma once

#include <limits>
#include <string_view>
#include <vector>

#include "runtime/engine/model_folder.h"
#include "runtime/engine/runner.h"

namespace qiao {

inline constexpr char kShipped[] = QIAO_MODELS "/demo";
// The figure of its README: of the framework that trained it, in f32. shipped_test holds that to 0.0005.
inline constexpr double kShippedPerplexity = 21.6867;

// All logits, and room for the longest document.
engine::RunnerOptions ShippedOptions(std::string_view numerics, std::string_view kv_dtype = "auto");

// The ids of its test documents, or of the first `at_most`, from begin-of-text to end-of-text.
std::vector<std::vector<int32_t>> ShippedDocuments(const engine::ModelFolder& folder,
                                                   size_t at_most = std::numeric_limits<size_t>::max());

// Of a model with ShippedOptions, over all ShippedDocuments, whose tokens it counts. NaN with a failed
// expectation where they cannot be scored.
double Perplexity(engine::Runner& runner, const std::vector<std::vector<int32_t>>& documents);

}  // namespace qiao
