// DeepSeek-V2, V2-Lite, V3, R1 and Kimi-K2: multi-head latent attention (arXiv 2405.04434, 2.1), mixture of
// experts (arXiv 2412.19437, 2.1.2).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/deepseek/config.h"
#include "models/model.h"

namespace qiao::models {

absl::StatusOr<std::unique_ptr<Model>> MakeDeepseek(const formats::ConfigReader& config);

// presets.cc
std::optional<std::string> DeepseekPreset(std::string_view name);
std::vector<std::string> DeepseekPresetNames();

// tensors.cc
std::vector<TensorSpec> DeepseekTensors(const DeepseekConfig& config);

}  // namespace qiao::models
