// What loads have in common, wherever they go.
#pragma once

#include "tools/infer/args.h"
#include "tools/infer/load/report.h"

namespace qiao::tools {

// A report with the plan and the deadlines of the command line.
absl::StatusOr<LoadReport> PlanLoad(const BenchArgs& args);
// Drive, with a progress bar.
LoadRun DriveWatched(LoadClient& client, const Workload& workload);
// Prints the report, draws it where that is asked for, and says how the command ends.
absl::Status Conclude(const BenchArgs& args, const LoadReport& report);

}  // namespace qiao::tools
