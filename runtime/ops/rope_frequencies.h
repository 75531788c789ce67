// The frequencies of rotary position embeddings, with the scalings that checkpoints name.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/base/status.h"

namespace qiao::ops {

// What a config's rope_scaling (rope_parameters) says. Fields are used by the kinds that name them.
struct RopeScaling {
  enum Kind { kNone, kLinear, kYarn, kLlama3 };
  Kind kind = kNone;
  double factor = 1;         // kLinear, kYarn, kLlama3
  int64_t original_max = 0;  // positions that the model was first trained for: kYarn, kLlama3
  // kYarn: "YaRN", arXiv 2309.00071
  double beta_fast = 32, beta_slow = 1;
  double mscale = 0, mscale_all_dim = 0;  // 0: not given
  double attention_factor = 0;            // 0: not given, computed
  bool truncate = true;                   // corrections are rounded to whole dimensions
  // kLlama3: Llama 3.1's
  double low_freq_factor = 1, high_freq_factor = 4;
};

struct RopeFrequencies {
  std::vector<float> inv_freq;  // [width / 2], radians a position
  float factor = 1;             // multiplies cos and sin
};

// `width` is the number of rotated channels, even. The arithmetic is f32 in the order of transformers
// (modeling_rope_utils.py), so that angles, which are products of these numbers with positions up to a
// million, agree.
absl::StatusOr<RopeFrequencies> ComputeRopeFrequencies(double theta, int64_t width,
                                                       const RopeScaling& scaling);

// YaRN's magnitude correction: 0.1 m ln(s) + 1, and 1 for s <= 1. DeepSeek multiplies its softmax scale by
// the square of YarnMscale(factor, mscale_all_dim).
double YarnMscale(double scale, double m = 1);

}  // namespace qiao::ops
