#include "runtime/engine/service.h"

#include <utility>

namespace qiao::engine {

Service::Service(Runner& runner, const text::Tokenizer* tokenizer, SchedulerOptions options,
                 int32_t most_waiting)
    : most_waiting_(most_waiting), scheduler_(runner, tokenizer, options), thread_([this] { Loop(); }) {}

Service::~Service() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

absl::Status Service::Submit(std::unique_ptr<Request> request) {
  request->submitted = Clock::now();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t waiting = inbox_.size() + static_cast<size_t>(stats_.waiting);
    if (waiting >= static_cast<size_t>(most_waiting_)) {
      return ResourceExhausted("%d requests wait already, which is as many as may; try again later", waiting);
    }
    inbox_.push_back(std::move(request));
  }
  changed_.notify_all();
  return absl::OkStatus();
}

EngineStats Service::stats() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  EngineStats stats = stats_;
  stats.waiting += static_cast<int32_t>(inbox_.size());
  return stats;
}

void Service::Loop() {
  std::vector<std::unique_ptr<Request>> fresh;
  bool busy = false;
  for (;;) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stats_ = scheduler_.stats();
    }
    scheduler_.Deliver();  // whoever hears of an end finds it counted
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [&] { return busy || stop_ || !inbox_.empty(); });
      fresh.swap(inbox_);
      stats_.waiting += static_cast<int32_t>(fresh.size());
      if (stop_) break;
    }
    for (std::unique_ptr<Request>& request : fresh) scheduler_.Add(std::move(request));
    fresh.clear();
    busy = scheduler_.Step();
  }
  for (std::unique_ptr<Request>& request : fresh) scheduler_.Add(std::move(request));
  scheduler_.Stop();
}

}  // namespace qiao::engine
