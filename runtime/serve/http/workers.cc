#include "runtime/serve/http/workers.h"

#include <utility>

namespace qiao::serve {

Workers::Workers(int threads, int64_t most_queued) : most_queued_(static_cast<size_t>(most_queued)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

bool Workers::Add(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || jobs_.size() >= most_queued_) return false;
    jobs_.push_back(std::move(job));
    // Under the lock: once the job has run, nobody need know of this call any more, and the destructor may follow.
    changed_.notify_one();
  }
  return true;
}

int64_t Workers::queued() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(jobs_.size());
}

void Workers::Stop() {
  std::deque<std::function<void()>> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(jobs_);
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Workers::Run() {
  while (true) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    // What the job held answers for it: a Responder that is dropped sends a 500.
    try {
      job();
    } catch (...) {
    }
  }
}

}  // namespace qiao::serve
