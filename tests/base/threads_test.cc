#include "runtime/base/threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/base/temp_folder.h"

namespace qiao {
namespace {

TEST(ThreadPool, CoversEveryIndexOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    ASSERT_EQ(pool.size(), threads);
    for (const int64_t n : {0, 1, 2, 7, 64, 1000}) {
      for (const int64_t grain : {-5, 0, 1, 3, 100, 5000}) {
        std::vector<std::atomic<int>> hits(static_cast<size_t>(n));
        std::atomic<int64_t> short_pieces{0};
        pool.ParallelFor(n, grain, [&](int64_t begin, int64_t end, int worker) {
          EXPECT_LE(0, begin);
          EXPECT_LT(begin, end);
          EXPECT_LE(end, n);
          EXPECT_GE(worker, 0);
          EXPECT_LT(worker, threads);
          if (end - begin < grain) ++short_pieces;
          for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
        });
        EXPECT_LE(short_pieces, 1);
        EXPECT_TRUE(std::all_of(hits.begin(), hits.end(), [](const auto& h) { return h == 1; }))
            << threads << " threads, n " << n << ", grain " << grain;
      }
    }
  }
}

// The sums are plain memory: what a loop wrote must be visible after it, and to the next loop, without any
// lock.
TEST(ThreadPool, ManyLoopsInARow) {
  ThreadPool pool(4);
  constexpr int64_t kN = 64;
  std::vector<int64_t> values(kN, 0);
  for (int loop = 0; loop < 5000; ++loop) {
    pool.ParallelFor(kN, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) values[static_cast<size_t>(i)] += i;
    });
    ASSERT_EQ(values[kN - 1], (loop + 1) * (kN - 1));
  }
  EXPECT_EQ(std::accumulate(values.begin(), values.end(), int64_t{0}), 5000 * kN * (kN - 1) / 2);
}

// Between the loops the workers fall asleep, at every stage of doing so.
TEST(ThreadPool, LoopsAfterPauses) {
  ThreadPool pool(3);
  for (int loop = 0; loop < 300; ++loop) {
    std::this_thread::sleep_for(std::chrono::microseconds(loop));
    std::atomic<int64_t> sum{0};
    pool.ParallelFor(10, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) sum += i;
    });
    ASSERT_EQ(sum, 45);
  }
}

// Every worker has a number of its own at any time: scratch memory is indexed by it.
TEST(ThreadPool, WorkersDoNotShareANumber) {
  ThreadPool pool(4);
  std::vector<int64_t> scratch(4, 0);
  for (int loop = 0; loop < 200; ++loop) {
    pool.ParallelFor(100, 1, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t i = begin; i < end; ++i) ++scratch[static_cast<size_t>(worker)];
    });
  }
  EXPECT_EQ(std::accumulate(scratch.begin(), scratch.end(), int64_t{0}), 20000);
}

TEST(ThreadPool, NestedLoopsRunInTheCallingWorker) {
  ThreadPool pool(4);
  std::atomic<int64_t> count{0};
  pool.ParallelFor(16, 1, [&](int64_t begin, int64_t end, int worker) {
    const std::thread::id self = std::this_thread::get_id();
    for (int64_t i = begin; i < end; ++i) {
      pool.ParallelFor(10, 1, [&](int64_t inner_begin, int64_t inner_end, int inner_worker) {
        EXPECT_EQ(std::this_thread::get_id(), self);
        EXPECT_EQ(inner_worker, worker);
        count += inner_end - inner_begin;
      });
    }
  });
  EXPECT_EQ(count, 160);
}

TEST(ThreadPool, APoolInsideAnotherPoolsLoop) {
  ThreadPool outer(2), inner(3);
  std::atomic<int64_t> count{0};
  outer.ParallelFor(8, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      inner.ParallelFor(10, 1, [&](int64_t b, int64_t e, int) { count += e - b; });
    }
  });
  EXPECT_EQ(count, 80);
}

TEST(ThreadPool, ThreadsTakeTurns) {
  ThreadPool pool(3);
  std::vector<std::thread> callers;
  std::vector<int64_t> scratch(3, 0);  // guarded by the turns
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int loop = 0; loop < 200; ++loop) {
        pool.ParallelFor(30, 1, [&](int64_t begin, int64_t end, int worker) {
          scratch[static_cast<size_t>(worker)] += end - begin;
        });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(std::accumulate(scratch.begin(), scratch.end(), int64_t{0}), 4 * 200 * 30);
}

TEST(ThreadPool, HugeCountsDoNotOverflow) {
  ThreadPool pool(2);
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  std::atomic<uint64_t> covered{0};
  pool.ParallelFor(kMax, 1,
                   [&](int64_t begin, int64_t end, int) { covered += static_cast<uint64_t>(end - begin); });
  EXPECT_EQ(covered, static_cast<uint64_t>(kMax));
  covered = 0;
  pool.ParallelFor(kMax, kMax,
                   [&](int64_t begin, int64_t end, int) { covered += static_cast<uint64_t>(end - begin); });
  EXPECT_EQ(covered, static_cast<uint64_t>(kMax));
}

TEST(ThreadPool, ComesAndGoes) {
  for (int i = 0; i < 100; ++i) {
    ThreadPool pool(4);
    std::atomic<int> count{0};
    if (i % 2 == 0) pool.ParallelFor(4, 1, [&](int64_t, int64_t, int) { ++count; });
  }
  EXPECT_GE(ThreadPool().size(), 1);
  EXPECT_GE(AvailableCpus(), 1);
}

TEST(CgroupCpuQuota, ReadsBothVersions) {
  const TempFolder mount;
  mount.Write("a/b/cpu.max", "150000 100000\n");
  mount.Write("a/cpu.max", "max 100000\n");
  EXPECT_EQ(internal::CgroupCpuQuota("0::/a/b\n", mount.path()), 1.5);
  EXPECT_EQ(internal::CgroupCpuQuota("0::/a\n", mount.path()), std::nullopt);
  // A parent's limit holds for its children.
  mount.Write("cpu.max", "50000 100000\n");
  EXPECT_EQ(internal::CgroupCpuQuota("0::/a/b\n", mount.path()), 0.5);
  // Inside a container the path may not exist.
  EXPECT_EQ(internal::CgroupCpuQuota("0::/../elsewhere\n", mount.path()), 0.5);

  const TempFolder v1;
  v1.Write("cpu,cpuacct/job/cpu.cfs_quota_us", "300000\n");
  v1.Write("cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  v1.Write("cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  v1.Write("cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(internal::CgroupCpuQuota("12:memory:/job\n4:cpu,cpuacct:/job\n", v1.path()), 3.0);
  EXPECT_EQ(internal::CgroupCpuQuota("5:cpuset:/job\n", v1.path()), std::nullopt);
}

TEST(CgroupCpuQuota, NonsenseIsNoLimit) {
  const TempFolder mount;
  for (const char* text :
       {"", "\n", "100000", "x y", "0 100000", "100000 0", "-1 100000", "99999999999999999999 1"}) {
    mount.Write("cpu.max", text);
    EXPECT_EQ(internal::CgroupCpuQuota("0::/\n", mount.path()), std::nullopt) << text;
  }
  EXPECT_EQ(internal::CgroupCpuQuota("", "/nonexistent"), std::nullopt);
  EXPECT_EQ(internal::CgroupCpuQuota("no colons\n:\n", "/nonexistent"), std::nullopt);
}

}  // namespace
}  // namespace qiao
