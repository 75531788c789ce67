// Events. A recording is an object of its own: waiting means waiting for the one that was the event's last when the wait
// was called.
#pragma once

#include <acl/acl_rt.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "backends/ascend/emulator/runtime/race.h"

namespace qiao::cann {

struct Capture;

struct Record {
  // Set by the worker under the lock of all recordings.
  bool done = false;
  std::chrono::steady_clock::time_point when;

  race::Clock clock;
  // Recorded while capturing: never done; whoever waits for it joins the capture after these nodes.
  std::shared_ptr<Capture> capture;
  std::vector<size_t> nodes;
};

struct Event {
  uint64_t id = 0;
  void* handle = nullptr;
  uint32_t flags = 0;
  std::mutex mutex;
  std::shared_ptr<Record> last;  // null: never recorded
};

// Marks it done and wakes who waits.
void Complete(Record& record);
// Until done, or *cancelled (may be null), or timeout_ms (< 0: for ever) passed. True where it is done.
bool Await(Record& record, int timeout_ms, const std::atomic<bool>* cancelled);
// Wakes waiters, so that they look at `cancelled`.
void WakeWaiters();
bool IsDone(Record& record);

}  // namespace qiao::cann
