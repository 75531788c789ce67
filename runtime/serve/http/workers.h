// The threads that run the handlers, and the queue before them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace qiao::serve {

class Workers {
 public:
  Workers(int threads, int64_t most_queued);
  ~Workers() { Stop(); }

  // False where the queue is full or the workers have been stopped. Exceptions of `job` are swallowed.
  bool Add(std::function<void()> job);
  int64_t queued() const;
  // Waits for the jobs that run; those that wait are dropped.
  void Stop();

 private:
  void Run();

  const size_t most_queued_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
};

}  // namespace qiao::serve
