// Which files a synthetic checkpoint has and which tensors lie in them, as releases do it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/model.h"
#include "runtime/base/dtype.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"

namespace qiao::tools {

enum class SynthDType { kFp8, kInt8, kBf16, kF32 };
// "fp8", "int8", "bf16", "f32".
absl::StatusOr<SynthDType> ParseSynthDType(std::string_view name);

// Quantised FP8 tensors have one f32 scale for each block of kF8Block rows and columns, as in DeepSeek's
// releases; INT8 ones have one for each row, [rows, 1], as compressed-tensors stores them.
struct SynthTensor {
  enum Kind {
    kMatrix,  // normal, standard deviation 1/sqrt(columns): a row's product with a unit-variance vector has
              // variance 1
    kEmbedding,    // normal, standard deviation 1
    kGain,         // around 1
    kBias,         // around 0, small
    kScale,        // of the blocks of a quantised FP8 matrix with `fan_in` columns
    kChannelScale  // of the rows of a quantised INT8 matrix with `fan_in` columns
  };
  std::string name;
  DType dtype = DType::kBF16;
  std::vector<int64_t> dims;
  Kind kind = kMatrix;
  bool quantised = false;  // its values are multiplied by those of a tensor of scales
  int64_t fan_in = 1;
  uint64_t bytes = 0;
};

struct SynthFile {
  std::string name;  // "model-00001-of-00163.safetensors", or "model.safetensors" where there is one
  std::vector<SynthTensor> tensors;
  uint64_t bytes = 0;  // of the data
};

struct SynthPlan {
  std::string config;  // text of config.json
  std::vector<SynthFile> files;
  uint64_t bytes = 0;       // of all data
  uint64_t parameters = 0;  // without scales
};

// What a release's files hold at most, as DeepSeek-V3's 163 do.
inline constexpr uint64_t kSynthFileBytes = 4'300'000'000;

// `config`: a preset's, changed as the caller likes. `file_bytes` is for tests.
absl::StatusOr<SynthPlan> PlanSynth(OrderedJson config, SynthDType dtype,
                                    uint64_t file_bytes = kSynthFileBytes);

}  // namespace qiao::tools
