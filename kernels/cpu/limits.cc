#include "kernels/cpu/limits.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <vector>

#include "kernels/cpu/limit_loops.h"
#include "runtime/base/checked.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"

namespace qiao::kernels::cpu {
namespace {

constexpr uint64_t kHugePage = 2 << 20, kSlice = 8 << 20;
constexpr int kWalks = 6, kBursts = 40;
// Where a loop is slow (an emulator, a sanitizer), a few repetitions must do.
constexpr double kMostSeconds = 3, kMostBurstSeconds = 0.25;

// Memory that begins on a huge page and asks for more of them.
class Mapping {
 public:
  explicit Mapping(uint64_t bytes) : bytes_(RoundUp(std::max(bytes, kHugePage), kHugePage)) {
    void* mapped = ::mmap(nullptr, bytes_ + kHugePage, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return;
    mapped_ = mapped;
    data_ = reinterpret_cast<std::byte*>(RoundUp<uint64_t>(reinterpret_cast<uintptr_t>(mapped), kHugePage));
#if defined(__linux__)
    huge_ = ::madvise(data_, bytes_, MADV_HUGEPAGE) == 0;
#endif
  }
  ~Mapping() {
    if (mapped_ != nullptr) ::munmap(mapped_, bytes_ + kHugePage);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::byte* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }
  bool huge() const { return huge_; }

 private:
  void* mapped_ = nullptr;
  std::byte* data_ = nullptr;
  uint64_t bytes_;
  bool huge_ = false;
};

Limit MeasureRead(uint64_t bytes, ThreadPool& pool) {
  Mapping memory(bytes);
  if (memory.data() == nullptr) return {0, "the system gives no memory to read from"};
  // The pool hands out an eighth of a thread's share at once, and whoever ends first would wait as long; here
  // each thread takes slices until none is left.
  const auto slices = static_cast<int64_t>(CeilDiv(memory.bytes(), kSlice));
  const auto for_slices = [&](auto&& body) {
    std::atomic<int64_t> next{0};
    pool.ParallelFor(pool.size(), 1, [&](int64_t, int64_t, int) {
      for (int64_t i; (i = next++) < slices;) {
        const uint64_t at = static_cast<uint64_t>(i) * kSlice;
        body(memory.data() + at, std::min(kSlice, memory.bytes() - at));
      }
    });
  };
  // Written, or every page would be the same one of zeros.
  for_slices([](std::byte* data, uint64_t size) { std::memset(data, 1, size); });
  const ReadLoop loop = BestReadLoop();
  std::atomic<unsigned> sink{0};
  double best = 0;
  const Clock::time_point begun = Clock::now();
  for (int walk = 0; walk < kWalks && (walk < 2 || Since(begun) < kMostSeconds); ++walk) {
    const Clock::time_point start = Clock::now();
    for_slices([&](std::byte* data, uint64_t size) { sink += loop.run(data, size); });
    best = std::max(best, static_cast<double>(memory.bytes()) / Since(start));
  }
  return {best,
          absl::StrFormat("%d MiB on %s pages, %s, %d threads, the best of %d walks", memory.bytes() >> 20,
                          memory.huge() ? "huge" : "small", loop.name, pool.size(), kWalks)};
}

Limit MeasureArithmetic(const std::vector<ArithmeticLoop>& loops, ThreadPool& pool) {
  Limit best;
  for (const ArithmeticLoop& loop : loops) {
    // Several runs a thread, so that one that is disturbed is helped by the others.
    const int64_t runs = int64_t{4} * pool.size();
    const Clock::time_point begun = Clock::now();
    double rate = 0;
    for (int burst = 0; burst < kBursts && (burst < 2 || Since(begun) < kMostBurstSeconds); ++burst) {
      const Clock::time_point start = Clock::now();
      pool.ParallelFor(runs, 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) loop.run();
      });
      rate = std::max(rate, static_cast<double>(runs) * loop.operations / Since(start));
    }
    if (rate > best.per_second) best = {rate, absl::StrFormat("%s, %d threads", loop.name, pool.size())};
  }
  return best;
}

}  // namespace

Limits MeasureLimits(uint64_t stream_bytes, ThreadPool& pool) {
  Limits limits;
  limits.read = MeasureRead(stream_bytes, pool);
  limits.f32 = MeasureArithmetic(F32Loops(), pool);
  limits.i8 = MeasureArithmetic(I8Loops(), pool);
  // bf16 widens to f32 without loss, so that f32's own rate is a limit of bf16 too.
  limits.bf16 = MeasureArithmetic(Bf16Loops(), pool);
  if (limits.bf16.per_second < limits.f32.per_second) {
    limits.bf16 = {limits.f32.per_second, "widened to f32: " + limits.f32.how};
  }
  return limits;
}

}  // namespace qiao::kernels::cpu
