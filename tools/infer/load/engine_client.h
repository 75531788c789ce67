// A load on an engine in this process.
#pragma once

#include <qiao/engine.h>

#include "tools/infer/load/client.h"

namespace qiao::tools {

// The engine outlives it. Its thread only notes the time of each token, in memory that was reserved before.
class EngineClient : public LoadClient {
 public:
  explicit EngineClient(Engine& engine) : engine_(engine) {}

  absl::Status Send(const PlannedRequest& request, RequestRecord& record, EndCount& ends) override;
  void CancelAll() override { cancel_.Cancel(); }
  std::optional<ServerState> State() override;

 private:
  Engine& engine_;
  CancelToken cancel_;
};

}  // namespace qiao::tools
