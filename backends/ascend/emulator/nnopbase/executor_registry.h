// The executors that live: a handle that was used up or never made is told apart from one that is good.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "backends/ascend/emulator/nnopbase/executor.h"

struct aclOpExecutor {
  const char* name = "";
  std::vector<qiao::cann::Slot> slots;
  uint64_t workspace = 0;
  std::shared_ptr<const qiao::cann::Compute> compute;
  bool repeatable = false;
};

namespace qiao::cann {

// Thread-safe. An executor that was taken stays in memory for a while, so that its address is not soon another's.
class ExecutorRegistry {
 public:
  static ExecutorRegistry& Get();

  aclOpExecutor* Add(std::unique_ptr<aclOpExecutor> executor);

  // Runs visit(executor) under the registry's lock, if the handle is good; whether it was. *what says otherwise what
  // is known of it.
  template <class Visit>
  bool With(aclOpExecutor* handle, std::string* what, Visit visit) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto it = live_.find(handle);
    if (it == live_.end()) {
      *what = Epitaph(handle);
      return false;
    }
    visit(*it->second);
    return true;
  }
  // Ends the handle.
  bool Remove(aclOpExecutor* handle, std::string* what);
  // Of With's visit, which may not call Remove.
  void RemoveLocked(aclOpExecutor* handle);

 private:
  static constexpr size_t kGraves = 4096;

  std::string Epitaph(const aclOpExecutor* handle) const;

  std::mutex mutex_;
  std::unordered_map<aclOpExecutor*, std::unique_ptr<aclOpExecutor>> live_;
  std::deque<std::unique_ptr<aclOpExecutor>> graves_;  // stripped of all but their names
};

}  // namespace qiao::cann
