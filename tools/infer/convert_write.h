// Carries out a plan: reads the mapped tensors once, converts them with all threads, writes the file.
#pragma once

#include <string>

#include "runtime/base/progress.h"
#include "runtime/base/status.h"
#include "tools/infer/convert_plan.h"

namespace qiao::tools {

struct ConvertResult {
  uint64_t bytes = 0;      // of the file's payload
  uint64_t continued = 0;  // of them found in an unfinished file
};

// Memory is bounded by some tens of megabytes, whatever the size of a tensor; pages of the source do not stay
// resident. RESOURCE_EXHAUSTED with the numbers where the disk has no room, before anything is written;
// CANCELLED where `progress`, which counts bytes, says so. OUT.partial stays then, and the next call goes on
// with it (qiao_writer.h). INVALID_ARGUMENT names a tensor that holds a NaN or an infinity, which has no
// scale.
absl::StatusOr<ConvertResult> WriteConverted(const engine::ModelFolder& model, ConvertPlan plan,
                                             const std::string& out, const Progress& progress);

}  // namespace qiao::tools
