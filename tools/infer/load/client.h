// Whom a load is put on: an engine in this process, or whatever else answers requests.
#pragma once

#include <cstdint>
#include <optional>

#include "runtime/base/status.h"
#include "tools/infer/load/record.h"
#include "tools/infer/load/workload.h"

namespace qiao::tools {

// What the server has to do now, and its counters since some moment.
struct ServerState {
  int64_t running = 0, waiting = 0;  // sequences that are worked on; requests that have not begun
  int64_t prompt_tokens = 0, generated_tokens = 0;
  int64_t steps = 0, rows = 0;
  double step_seconds = 0;
};

// One thread calls it.
class LoadClient {
 public:
  virtual ~LoadClient() = default;

  // Sends the request and returns at once. Unless it returns an error, the record belongs to the client, which
  // fills it (tokens, ended, outcome, and what the server tells) on any thread and then calls ends.Add(), once.
  // The request is read during the call only; record and ends outlive the request.
  virtual absl::Status Send(const PlannedRequest& request, RequestRecord& record, EndCount& ends) = 0;
  // All that have been sent end soon, as cancelled.
  virtual void CancelAll() = 0;
  // Absent where the server does not tell.
  virtual std::optional<ServerState> State() = 0;
};

}  // namespace qiao::tools
