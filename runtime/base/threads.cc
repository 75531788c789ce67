#include "runtime/base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <mutex>
#include <sstream>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace qiao {
namespace {

constexpr std::chrono::microseconds kSpin{50};

inline void CpuRelax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until done() or for about `limit`; says whether done() came true. The clock is asked now and then
// only, since asking it takes longer than a look at the cache line.
template <typename Done>
bool SpinUntil(std::chrono::microseconds limit, const Done& done) {
  if (done()) return true;
  if (limit.count() == 0) return false;
  const auto end = std::chrono::steady_clock::now() + limit;
  do {
    for (int i = 0; i < 32; ++i) {
      CpuRelax();
      if (done()) return true;
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

// The loops that the current thread is inside of, innermost first.
struct Frame {
  const void* pool;
  int worker;
  const Frame* outer;
};
thread_local const Frame* current_frame = nullptr;

class ScopedFrame {
 public:
  ScopedFrame(const void* pool, int worker) : frame_{pool, worker, current_frame} { current_frame = &frame_; }
  ~ScopedFrame() { current_frame = frame_.outer; }
  ScopedFrame(const ScopedFrame&) = delete;
  ScopedFrame& operator=(const ScopedFrame&) = delete;

 private:
  Frame frame_;
};

std::string ReadSmallFile(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::optional<double> ParseNumber(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return std::nullopt;
  text.remove_prefix(begin);
  int64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc()) return std::nullopt;
  return static_cast<double>(value);
}

std::optional<double> Quota(std::optional<double> quota, std::optional<double> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return *quota / *period;
}

// cpu.max of cgroup v2: "150000 100000", or "max 100000" where there is no limit.
std::optional<double> QuotaV2(const std::string& folder) {
  const std::string text = ReadSmallFile(folder + "/cpu.max");
  const size_t space = text.find(' ');
  if (space == std::string::npos) return std::nullopt;
  return Quota(ParseNumber(std::string_view(text).substr(0, space)),
               ParseNumber(std::string_view(text).substr(space)));
}

// cgroup v1: a quota of -1 means none.
std::optional<double> QuotaV1(const std::string& folder) {
  return Quota(ParseNumber(ReadSmallFile(folder + "/cpu.cfs_quota_us")),
               ParseNumber(ReadSmallFile(folder + "/cpu.cfs_period_us")));
}

template <typename Read>
void TakeLeastUpwards(const std::string& mount, std::string path, const Read& read,
                      std::optional<double>& least) {
  while (true) {
    while (!path.empty() && path.back() == '/') path.pop_back();
    const std::optional<double> quota = read(mount + path);
    if (quota && (!least || *quota < *least)) least = quota;
    if (path.empty()) return;
    const size_t slash = path.rfind('/');
    path.resize(slash == std::string::npos ? 0 : slash);
  }
}

}  // namespace

namespace internal {

std::optional<double> CgroupCpuQuota(const std::string& membership, const std::string& mount) {
  std::optional<double> least;
  std::istringstream lines(membership);
  // Each line is "hierarchy:controllers:path"; v2 has hierarchy 0 and names no controllers. Inside a
  // container the path may not exist below the mount, and then its ancestors, the mount itself at last, are
  // what counts.
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      TakeLeastUpwards(mount, path, QuotaV2, least);
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      TakeLeastUpwards(mount + "/" + controllers, path, QuotaV1, least);
      if (controllers != "cpu") TakeLeastUpwards(mount + "/cpu", path, QuotaV1, least);
    }
  }
  return least;
}

}  // namespace internal

int AvailableCpus() {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  // hardware_concurrency already follows the mask in glibc; asking again keeps this true for other C
  // libraries. A machine with more CPUs than a cpu_set_t holds makes the call fail, and then the first answer
  // stands.
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) cpus = CPU_COUNT(&set);
  const std::optional<double> quota =
      internal::CgroupCpuQuota(ReadSmallFile("/proc/self/cgroup"), "/sys/fs/cgroup");
  if (quota && *quota < cpus) cpus = static_cast<int>(std::ceil(*quota));
#endif
  return std::max(cpus, 1);
}

// `state` holds, in one word, how many workers are inside the current loop (low bits), whether more may join
// (kOpen) and the loop's number (above). Joining, leaving, opening and closing are each one atomic step on
// it, so a worker can never read the job's fields outside of the time in which the caller keeps them alive:
//   caller:  writes job, state = {number + 1, open, 0}; works; clears kOpen; waits until no worker is inside.
//   worker:  sees a new number that is open, adds one by compare-and-swap; works; subtracts one.
struct ThreadPool::Impl {
  static constexpr uint64_t kInsideMask = (1u << 20) - 1;
  static constexpr uint64_t kOpen = 1u << 20;
  static constexpr int kNumberShift = 21;

  struct Job {
    const Body* body = nullptr;
    int64_t n = 0;
    int64_t grain = 1;
  };

  alignas(64) std::atomic<uint64_t> state{0};
  alignas(64) std::atomic<int64_t> next{0};  // the first index that nobody has taken
  alignas(64) Job job;

  std::mutex turn;  // held by the caller for the length of a loop
  // Sleeping. A thread counts itself before it looks at `state` for the last time, and the other side changes
  // `state` before it looks at the count (all sequentially consistent), so one of the two always sees the
  // other.
  std::mutex mutex;
  std::condition_variable wake, all_left;
  std::atomic<int> sleepers{0};
  std::atomic<bool> caller_sleeps{false};
  std::atomic<bool> stop{false};

  std::chrono::microseconds spin{0};
  std::vector<std::thread> threads;

  void Work(int worker) {
    const ScopedFrame frame(this, worker);
    const Job now = job;
    // Ever smaller pieces of what is left: large ones first, for few hand-outs and long runs through memory,
    // small ones last, so that all end together.
    const int64_t shares = 3 * (static_cast<int64_t>(threads.size()) + 1);
    for (;;) {
      int64_t begin = next.load(std::memory_order_relaxed), count = 0;
      do {
        if (begin >= now.n) return;
        count = std::min(std::max(now.grain, (now.n - begin) / shares), now.n - begin);
      } while (!next.compare_exchange_weak(begin, begin + count, std::memory_order_relaxed));
      (*now.body)(begin, begin + count, worker);
    }
  }

  void WorkerMain(int worker) {
    uint64_t seen = 0;  // the number of the last loop joined or missed
    const auto news = [&] { return (state.load() >> kNumberShift) != seen || stop.load(); };
    for (;;) {
      if (!SpinUntil(spin, news)) {
        std::unique_lock lock(mutex);
        ++sleepers;
        wake.wait(lock, news);
        --sleepers;
      }
      if (stop.load()) return;
      uint64_t s = state.load();
      seen = s >> kNumberShift;
      while ((s & kOpen) != 0 && (s >> kNumberShift) == seen) {
        if (!state.compare_exchange_weak(s, s + 1)) continue;
        Work(worker);
        if (((state.fetch_sub(1) - 1) & (kInsideMask | kOpen)) == 0 && caller_sleeps.load()) {
          std::lock_guard lock(mutex);
          all_left.notify_one();
        }
        break;
      }
    }
  }

  void RunLoop(const Job& loop) {
    job = loop;
    next.store(0, std::memory_order_relaxed);
    state.store((((state.load() >> kNumberShift) + 1) << kNumberShift) | kOpen);
    if (sleepers.load() > 0) {
      { std::lock_guard lock(mutex); }
      wake.notify_all();
    }
    Work(0);
    state.fetch_and(~kOpen);
    const auto empty = [&] { return (state.load() & kInsideMask) == 0; };
    if (SpinUntil(spin, empty)) return;
    std::unique_lock lock(mutex);
    caller_sleeps.store(true);
    all_left.wait(lock, empty);
    caller_sleeps.store(false);
  }
};

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>()) {
  const int cpus = AvailableCpus();
  if (threads <= 0) threads = cpus;
  threads = std::min(threads, 4096);
  // Where threads outnumber CPUs, a spinning thread only keeps a working one from running.
  if (threads <= cpus) impl_->spin = kSpin;

  sigset_t all, before;
  sigfillset(&all);
  // A thread's own faults cannot wait: blocked, they would end the process past every handler.
  for (int fault : {SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGTRAP}) sigdelset(&all, fault);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  impl_->threads.reserve(static_cast<size_t>(threads - 1));
  for (int worker = 1; worker < threads; ++worker) {
    try {
      impl_->threads.emplace_back([impl = impl_.get(), worker] { impl->WorkerMain(worker); });
    } catch (const std::system_error&) {
      break;
    }
#if defined(__linux__)
    char name[16];
    std::snprintf(name, sizeof name, "qiao-%d", worker);
    pthread_setname_np(impl_->threads.back().native_handle(), name);
#endif
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stop.store(true);
  }
  impl_->wake.notify_all();
  for (std::thread& thread : impl_->threads) thread.join();
}

int ThreadPool::size() const { return static_cast<int>(impl_->threads.size()) + 1; }

void ThreadPool::ParallelFor(int64_t n, int64_t grain, Body body) {
  if (n <= 0) return;
  for (const Frame* frame = current_frame; frame != nullptr; frame = frame->outer) {
    if (frame->pool == impl_.get()) return body(0, n, frame->worker);
  }
  grain = std::max<int64_t>(grain, 1);
  std::lock_guard turn(impl_->turn);
  if (n <= grain || impl_->threads.empty()) {
    const ScopedFrame frame(impl_.get(), 0);
    return body(0, n, 0);
  }
  impl_->RunLoop({&body, n, grain});
}

}  // namespace qiao
