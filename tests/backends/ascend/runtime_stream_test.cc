// Streams: what is ordered and what is not, what waits and what returns.
#include <atomic>
#include <thread>
#include <vector>

#include "tests/backends/ascend/runtime_fixture.h"

namespace qiao::cann {
namespace {

using CannStream = CannTest;

TEST_F(CannStream, RunsTasksInOrder) {
  TestStream stream;
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(Enqueue(stream, {"Append", {}, [&order, i] { order.push_back(i); }}));
  }
  ASSERT_OK(aclrtSynchronizeStream(stream));
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST_F(CannStream, LaunchesDoNotWaitAndQueriesTell) {
  TestStream stream;
  Gate gate;
  aclrtStreamStatus status = ACL_STREAM_STATUS_RESERVED;
  ASSERT_OK(aclrtStreamQuery(stream, &status));
  EXPECT_EQ(status, ACL_STREAM_STATUS_COMPLETE);
  ASSERT_OK(gate.Put(stream));
  ASSERT_OK(aclrtStreamQuery(stream, &status));
  EXPECT_EQ(status, ACL_STREAM_STATUS_NOT_READY);
  EXPECT_REFUSED(aclrtSynchronizeStreamWithTimeout(stream, 1), ACL_ERROR_RT_STREAM_SYNC_TIMEOUT, "at Gate");
  gate.Open();
  ASSERT_OK(aclrtSynchronizeStream(stream));
  ASSERT_OK(aclrtStreamQuery(stream, &status));
  EXPECT_EQ(status, ACL_STREAM_STATUS_COMPLETE);
}

TEST_F(CannStream, PinnedCopiesReturnAtOnce) {
  TestStream stream;
  DeviceMemory device(4);
  PinnedMemory pinned(4), back(4);
  Gate gate;
  *pinned.ints() = 1;
  *back.ints() = 0;
  ASSERT_OK(gate.Put(stream));
  ASSERT_OK(aclrtMemcpyAsync(device.get(), 4, pinned.get(), 4, ACL_MEMCPY_HOST_TO_DEVICE, stream));
  ASSERT_OK(aclrtMemcpyAsync(back.get(), 4, device.get(), 4, ACL_MEMCPY_DEVICE_TO_HOST, stream));
  // Both are still queued: what is written now is what will be copied.
  EXPECT_EQ(*back.ints(), 0);
  *pinned.ints() = 2;
  gate.Open();
  ASSERT_OK(aclrtSynchronizeStream(stream));
  EXPECT_EQ(*back.ints(), 2);
}

TEST_F(CannStream, PageableCopiesReturnAfterTheCopyInStreamOrder) {
  TestStream stream;
  DeviceMemory device(4);
  Gate gate;
  std::atomic<bool> opened{false};
  ASSERT_OK(gate.Put(stream));
  ASSERT_OK(aclrtMemsetAsync(device.get(), 4, 0x22, 4, stream));
  std::thread opener([&] {
    opened = true;
    gate.Open();
  });
  int back = 0;
  ASSERT_OK(aclrtMemcpyAsync(&back, 4, device.get(), 4, ACL_MEMCPY_DEVICE_TO_HOST, stream));
  EXPECT_TRUE(opened);
  EXPECT_EQ(back, 0x22222222);
  opener.join();
}

TEST_F(CannStream, HostToHostIsNotServed) {
  TestStream stream;
  PinnedMemory a(4), b(4);
  int local = 0;
  EXPECT_REFUSED(aclrtMemcpyAsync(a.get(), 4, b.get(), 4, ACL_MEMCPY_HOST_TO_HOST, stream),
                 ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "host to host");
  EXPECT_REFUSED(aclrtMemcpyAsync(&local, 4, b.get(), 4, ACL_MEMCPY_DEVICE_TO_HOST, stream),
                 ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "src is");
}

TEST_F(CannStream, SynchronousCopiesWaitForNoStream) {
  TestStream stream;
  DeviceMemory device(4);
  ASSERT_OK(aclrtMemset(device.get(), 4, 0, 4));
  Gate gate;
  ASSERT_OK(gate.Put(stream));
  ASSERT_OK(aclrtMemsetAsync(device.get(), 4, 1, 4, stream));
  int now = -1;
  ASSERT_OK(aclrtMemcpy(&now, 4, device.get(), 4, ACL_MEMCPY_DEVICE_TO_HOST));
  EXPECT_EQ(now, 0) << "the set is still queued";
  gate.Open();
  ASSERT_OK(aclrtSynchronizeStream(stream));
}

TEST_F(CannStream, TheDefaultStreamWaitsForNoOther) {
  TestStream stream;
  Gate gate;
  bool ran = false;
  ASSERT_OK(gate.Put(stream));
  ASSERT_OK(Enqueue(nullptr, {"Default", {}, [&] { ran = true; }}));
  ASSERT_OK(aclrtSynchronizeStream(nullptr)) << "would hang if it waited";
  EXPECT_TRUE(ran);
  gate.Open();
  // And the device waits for all.
  std::atomic<int> done{0};
  ASSERT_OK(Enqueue(nullptr, {"One", {}, [&] { ++done; }}));
  ASSERT_OK(Enqueue(stream, {"Two", {}, [&] { ++done; }}));
  ASSERT_OK(aclrtSynchronizeDevice());
  EXPECT_EQ(done, 2);
}

TEST_F(CannStream, DestroyingWaitsForTheQueue) {
  aclrtStream stream = nullptr;
  ASSERT_OK(aclrtCreateStreamWithConfig(&stream, 3, ACL_STREAM_FAST_LAUNCH | ACL_STREAM_FAST_SYNC));
  int count = 0;
  for (int i = 0; i < 50; ++i) ASSERT_OK(Enqueue(stream, {"Count", {}, [&] { ++count; }}));
  ASSERT_OK(aclrtDestroyStream(stream));
  EXPECT_EQ(count, 50);
  EXPECT_REFUSED(aclrtDestroyStream(stream), ACL_ERROR_RT_INVALID_HANDLE, "which was destroyed");
  EXPECT_REFUSED(Enqueue(stream, {"Late", {}, [] {}}), ACL_ERROR_RT_INVALID_HANDLE, "Late: stream #");
  EXPECT_REFUSED(aclrtDestroyStream(nullptr), ACL_ERROR_RT_PARAM_INVALID, "default stream");
  EXPECT_REFUSED(aclrtCreateStreamWithConfig(&stream, 8, 0), ACL_ERROR_RT_PARAM_INVALID, "priority 8");
}

TEST_F(CannStream, AbortDropsWhatHasNotBegun) {
  TestStream stream, waiter;
  Gate gate;
  TestEvent event;
  std::atomic<bool> ran{false};
  std::atomic<bool> begun{false};
  ASSERT_OK(Enqueue(stream, {"Begin", {}, [&] { begun = true; }}));
  ASSERT_OK(gate.Put(stream));
  ASSERT_OK(Enqueue(stream, {"Dropped", {}, [&] { ran = true; }}));
  ASSERT_OK(aclrtRecordEvent(event, stream));
  ASSERT_OK(aclrtStreamWaitEvent(waiter, event));
  while (!begun) std::this_thread::yield();
  std::thread opener([&] { gate.Open(); });
  ASSERT_OK(aclrtStreamAbort(stream));
  opener.join();
  ASSERT_OK(aclrtSynchronizeStream(stream));
  ASSERT_OK(aclrtSynchronizeStream(waiter)) << "nobody waits for what was dropped";
  // Whether the gate opened before the abort is chance; afterwards nothing of the queue runs.
  const bool ran_before = ran;
  bool later = false;
  ASSERT_OK(Enqueue(stream, {"Later", {}, [&] { later = true; }}));
  ASSERT_OK(aclrtSynchronizeStream(stream));
  EXPECT_TRUE(later);
  EXPECT_EQ(ran, ran_before);
}

TEST_F(CannStream, TasksThatFailAreReportedByTheNextWait) {
  TestStream stream;
  ASSERT_OK(Enqueue(stream, {"Broken", {}, [] { throw std::runtime_error("no luck"); }}));
  bool ran = false;
  ASSERT_OK(Enqueue(stream, {"Next", {}, [&] { ran = true; }}));
  EXPECT_REFUSED(aclrtSynchronizeStream(stream), ACL_ERROR_RT_AICORE_EXCEPTION, "Broken on stream #");
  EXPECT_TRUE(ran);
  EXPECT_OK(aclrtSynchronizeStream(stream));
}

// Memory freed under a queued task stays until the task has run; under stress it is gone at once.
TEST_F(CannStream, FreedMemoryStaysForQueuedTasks) {
  TestStream stream;
  Gate gate;
  void* at = nullptr;
  ASSERT_OK(aclrtMalloc(&at, 4096, ACL_MEM_MALLOC_HUGE_FIRST));
  ASSERT_OK(gate.Put(stream));
  ASSERT_OK(
      Enqueue(stream, {"Write", {{at, 4096, true, "out"}}, [at] { static_cast<char*>(at)[4095] = 1; }}));
  ASSERT_OK(aclrtFree(at));
  gate.Open();
  EXPECT_EQ(aclrtSynchronizeStream(stream), StressWorkspace() ? ACL_ERROR_RT_AICORE_EXCEPTION : ACL_SUCCESS);
}

TEST_F(CannStream, ManyThreadsShareStreams) {
  constexpr int kThreads = 4, kLaunches = 200;
  TestStream streams[2];
  std::atomic<int> count{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      EXPECT_OK(aclrtSetDevice(0));
      for (int i = 0; i < kLaunches; ++i) {
        EXPECT_OK(Enqueue(streams[(t + i) % 2], {"Count", {}, [&] { ++count; }}));
        if (i % 50 == 0) {
          EXPECT_OK(aclrtSynchronizeStream(streams[i % 2]));
        }
        void* at = nullptr;
        EXPECT_OK(aclrtMalloc(&at, 64, ACL_MEM_MALLOC_HUGE_FIRST));
        EXPECT_OK(aclrtMemsetAsync(at, 64, t, 64, streams[t % 2]));
        EXPECT_OK(aclrtSynchronizeStream(streams[t % 2]));
        EXPECT_OK(aclrtFree(at));
      }
      EXPECT_OK(aclrtResetDevice(0));
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_OK(aclrtSynchronizeDevice());
  EXPECT_EQ(count, kThreads * kLaunches);
}

}  // namespace
}  // namespace qiao::cann
