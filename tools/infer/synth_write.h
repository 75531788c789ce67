// Writes a planned checkpoint.
#pragma once

#include <string>

#include "runtime/base/progress.h"
#include "runtime/base/status.h"
#include "tools/infer/synth_layout.h"

namespace qiao::tools {

struct SynthWriteOptions {
  uint64_t seed = 0;
  bool sparse = false;  // holes instead of weights
  Progress progress;    // bytes
};

// Makes `folder` where it does not exist. Memory is bounded by a piece of some megabytes. An error: weights
// or a config that are there already; less free disk than needed. After an error nothing that was written
// stays.
absl::Status WriteSynth(const SynthPlan& plan, const std::string& folder, const SynthWriteOptions& options);

}  // namespace qiao::tools
