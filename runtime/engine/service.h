// The scheduler on a thread of its own, and how requests get to it.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/engine/scheduler.h"

namespace qiao::engine {

// Thread-safe.
class Service {
 public:
  // `most_waiting`: requests that have not begun.
  Service(Runner& runner, const text::Tokenizer* tokenizer, SchedulerOptions options, int32_t most_waiting);
  // Ends everything as cancelled. Not from a callback.
  ~Service();

  // RESOURCE_EXHAUSTED where too many wait; then the request is dropped without a call of its on_done.
  absl::Status Submit(std::unique_ptr<Request> request);
  EngineStats stats() const;

 private:
  void Loop();

  const int32_t most_waiting_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Request>> inbox_;
  EngineStats stats_;
  bool stop_ = false;
  Scheduler scheduler_;  // of the thread alone
  std::thread thread_;
};

}  // namespace qiao::engine
