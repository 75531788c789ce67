// How releases with quantised weights name and lay out what belongs to them.
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/base/json.h"

namespace qiao::tools {

// The scales of tensor NAME are NAME and this.
inline constexpr std::string_view kF8Suffix = "_scale_inv", kI8Suffix = "_scale";
// FP8 weights have a scale for each kF8Block x kF8Block elements.
inline constexpr int64_t kF8Block = 128;

// FP8's quantization_config, as in DeepSeek's releases.
inline OrderedJson F8Config() {
  return {{"activation_scheme", "dynamic"},
          {"fmt", "e4m3"},
          {"quant_method", "fp8"},
          {"weight_block_size", {kF8Block, kF8Block}}};
}

}  // namespace qiao::tools
