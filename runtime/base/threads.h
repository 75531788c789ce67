// A fixed team of threads for data-parallel loops.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"

namespace qiao {

// The number of CPUs this process may use: its affinity mask and, on Linux, its cgroup's CPU quota (v1 and
// v2).
int AvailableCpus();

// The calling thread is worker 0 and works too, so a pool of 1 has no threads of its own. Threads that share
// a pool take turns: one loop runs at a time. A call from inside a loop of the same pool runs serially in the
// calling worker, under its number. (Two pools must not call into each other's loops both ways round; that
// would deadlock.) Idle workers spin for some 50 us, so that back-to-back loops start within a few
// microseconds, and then sleep. A worker that wakes too late is not waited for. Signals are left to the
// program's own threads. Loops may not throw.
class ThreadPool {
 public:
  // threads <= 0 means AvailableCpus(). Where the system refuses to start as many, the pool is smaller: see
  // size().
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;

  // Calls body(begin, end, worker) for disjoint ranges that cover [0, n), with 0 <= worker < size(), and
  // returns when all have ended; what they wrote is then visible to the caller. Ranges are handed out
  // dynamically in pieces of at least `grain` (values below 1 mean 1; the last piece may be smaller), so
  // nothing about results may depend on which worker gets what. Allocates nothing.
  using Body = absl::FunctionRef<void(int64_t begin, int64_t end, int worker)>;
  void ParallelFor(int64_t n, int64_t grain, Body body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

namespace internal {

// The CPU quota, in CPUs, that the cgroups of a process impose: the least along each path from its cgroup to
// the root. `membership` is the text of /proc/self/cgroup, `mount` where cgroups are mounted
// (/sys/fs/cgroup). Absent when nothing limits it.
std::optional<double> CgroupCpuQuota(const std::string& membership, const std::string& mount);

}  // namespace internal

}  // namespace qiao
