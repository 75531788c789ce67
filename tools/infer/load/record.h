// What became of one request of a load, as whoever sent it saw it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/base/clock.h"

namespace qiao::tools {

struct RequestRecord {
  // kRefused: the server said that it has too much to do.
  enum class Outcome { kUnsent, kRunning, kFinished, kCancelled, kRefused, kFailed };

  Clock::time_point due, sent, ended;     // due: when it was to be sent
  std::vector<Clock::time_point> tokens;  // when each came; room for all is reserved before the start
  int64_t prompt_tokens = 0, asked_tokens = 0;
  Outcome outcome = Outcome::kUnsent;
  std::string error;  // why it failed or was refused, or ended before its tokens were made
  // As the server tells; below zero where it does not.
  double queue_seconds = -1;  // from sent to its first step
  int64_t cached_tokens = 0, drafted = 0, accepted = 0;
  int32_t preemptions = 0;
};

// How many requests have ended. Thread-safe.
class EndCount {
 public:
  // The calling thread no longer touches the request's record.
  void Add() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  // Returns the count, at `until` or as soon as it is more than `seen`.
  int64_t Wait(Clock::time_point until, int64_t seen) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_until(lock, until, [&] { return count_ > seen; });
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t count_ = 0;
};

}  // namespace qiao::tools
