// Capture and replay.
#include <thread>
#include <vector>

#include "tests/backends/ascend/runtime_fixture.h"

namespace qiao::cann {
namespace {

constexpr aclmdlRICaptureMode kGlobal = ACL_MODEL_RI_CAPTURE_MODE_GLOBAL;

class CannCapture : public CannTest {
 protected:
  aclmdlRICaptureStatus StatusOf(aclrtStream stream) {
    aclmdlRICaptureStatus status = ACL_MODEL_RI_CAPTURE_STATUS_NONE;
    aclmdlRI graph = nullptr;
    EXPECT_OK(aclmdlRICaptureGetInfo(stream, &status, &graph));
    EXPECT_EQ(graph == nullptr, status == ACL_MODEL_RI_CAPTURE_STATUS_NONE);
    return status;
  }

  // The capture was invalidated by what `words` name, and the stream works again afterwards.
  void ExpectInvalidated(aclrtStream stream, const std::string& words) {
    EXPECT_EQ(StatusOf(stream), ACL_MODEL_RI_CAPTURE_STATUS_INVALIDATED);
    EXPECT_REFUSED(Enqueue(stream, {"Add", {}, [] {}}), ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT, words);
    aclmdlRI graph = &graph;
    EXPECT_REFUSED(aclmdlRICaptureEnd(stream, &graph), ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT, words);
    EXPECT_EQ(graph, nullptr);
    EXPECT_EQ(StatusOf(stream), ACL_MODEL_RI_CAPTURE_STATUS_NONE);
    EXPECT_OK(aclrtSynchronizeStream(stream));
  }
};

TEST_F(CannCapture, RecordsAndReplays) {
  TestStream stream;
  DeviceMemory a(4), b(4);
  std::vector<int> order;
  ASSERT_OK(aclmdlRICaptureBegin(stream, kGlobal));
  EXPECT_EQ(StatusOf(stream), ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE);
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(Enqueue(stream, {"Append", {}, [&order, i] { order.push_back(i); }}));
  }
  ASSERT_OK(aclrtMemsetAsync(a.get(), 4, 5, 4, stream));
  ASSERT_OK(aclrtMemcpyAsync(b.get(), 4, a.get(), 4, ACL_MEMCPY_DEVICE_TO_DEVICE, stream));
  aclmdlRI graph = nullptr;
  ASSERT_OK(aclmdlRICaptureEnd(stream, &graph));
  ASSERT_NE(graph, nullptr);
  EXPECT_EQ(StatusOf(stream), ACL_MODEL_RI_CAPTURE_STATUS_NONE);
  ASSERT_OK(aclrtSynchronizeStream(stream));
  EXPECT_TRUE(order.empty()) << "capturing executes nothing";

  ASSERT_OK(aclmdlRIExecuteAsync(graph, stream));
  ASSERT_OK(aclmdlRIExecuteAsync(graph, stream));
  ASSERT_OK(aclmdlRIDestroy(graph)) << "what was launched still runs";
  ASSERT_OK(aclrtSynchronizeStream(stream));
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 0, 1, 2}));
  int value = 0;
  ASSERT_OK(aclrtMemcpy(&value, 4, b.get(), 4, ACL_MEMCPY_DEVICE_TO_HOST));
  EXPECT_EQ(value, 0x05050505);
  EXPECT_REFUSED(aclmdlRIExecuteAsync(graph, stream), ACL_ERROR_RT_INVALID_HANDLE, "captured graph #");
  EXPECT_REFUSED(aclmdlRIDestroy(graph), ACL_ERROR_RT_INVALID_HANDLE, "which was destroyed");
}

TEST_F(CannCapture, OtherStreamsJoinThroughEvents) {
  TestStream main, side;
  TestEvent fork, join;
  std::vector<std::string> order;
  const auto append = [&](const char* name) {
    return Task{name, {}, [&order, name] { order.push_back(name); }};
  };
  ASSERT_OK(aclmdlRICaptureBegin(main, kGlobal));
  ASSERT_OK(Enqueue(main, append("one")));
  ASSERT_OK(aclrtRecordEvent(fork, main));
  EXPECT_EQ(StatusOf(side), ACL_MODEL_RI_CAPTURE_STATUS_NONE);
  ASSERT_OK(aclrtStreamWaitEvent(side, fork));
  EXPECT_EQ(StatusOf(side), ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE);
  ASSERT_OK(Enqueue(side, append("two")));
  ASSERT_OK(aclrtRecordEvent(join, side));
  ASSERT_OK(aclrtStreamWaitEvent(main, join));
  ASSERT_OK(Enqueue(main, append("three")));
  aclmdlRI graph = nullptr;
  EXPECT_REFUSED(aclmdlRICaptureEnd(side, &graph), ACL_ERROR_RT_PARAM_INVALID, "it joined that of stream #");
  ASSERT_OK(aclmdlRICaptureEnd(main, &graph));
  EXPECT_EQ(StatusOf(side), ACL_MODEL_RI_CAPTURE_STATUS_NONE);
  ASSERT_OK(aclmdlRIExecuteAsync(graph, side));
  ASSERT_OK(aclrtSynchronizeStream(side));
  EXPECT_EQ(order, (std::vector<std::string>{"one", "two", "three"}));
  ASSERT_OK(aclmdlRIDestroy(graph));
  EXPECT_REFUSED(aclrtSynchronizeEvent(join), ACL_ERROR_RT_STREAM_CAPTURED, "captured into a graph");
}

TEST_F(CannCapture, StreamsMustBeJoinedBack) {
  TestStream main, side;
  TestEvent fork;
  ASSERT_OK(aclmdlRICaptureBegin(main, kGlobal));
  ASSERT_OK(aclrtRecordEvent(fork, main));
  ASSERT_OK(aclrtStreamWaitEvent(side, fork));
  ASSERT_OK(Enqueue(side, {"Lost", {}, [] {}}));
  aclmdlRI graph = nullptr;
  EXPECT_REFUSED(aclmdlRICaptureEnd(main, &graph), ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT,
                 "Lost was captured on a stream");
  EXPECT_EQ(graph, nullptr);
  EXPECT_OK(aclrtSynchronizeStream(side));
}

TEST_F(CannCapture, SynchronisingTheCapturedStreamBreaksIt) {
  TestStream stream;
  for (aclmdlRICaptureMode mode : {kGlobal, ACL_MODEL_RI_CAPTURE_MODE_RELAXED}) {
    ASSERT_OK(aclmdlRICaptureBegin(stream, mode));
    EXPECT_REFUSED(aclrtSynchronizeStream(stream), ACL_ERROR_RT_STREAM_CAPTURED, "is being captured");
    ExpectInvalidated(stream, "aclrtSynchronizeStream was called");
  }
}

TEST_F(CannCapture, UnsafeCallsBreakAGlobalCapture) {
  TestStream stream, other;
  TestEvent event;
  DeviceMemory device(64);
  PinnedMemory pinned(64);
  char host[64] = {};
  aclrtStreamStatus stream_status;
  aclrtEventRecordedStatus event_status;
  const std::vector<std::pair<std::string, std::function<aclError()>>> calls = {
      {"aclrtSynchronizeStream", [&] { return aclrtSynchronizeStream(other); }},
      {"aclrtSynchronizeDevice", [&] { return aclrtSynchronizeDevice(); }},
      {"aclrtStreamQuery", [&] { return aclrtStreamQuery(other, &stream_status); }},
      {"aclrtSynchronizeEvent", [&] { return aclrtSynchronizeEvent(event); }},
      {"aclrtQueryEventStatus", [&] { return aclrtQueryEventStatus(event, &event_status); }},
      {"aclrtMemcpy", [&] { return aclrtMemcpy(host, 64, device.get(), 64, ACL_MEMCPY_DEVICE_TO_HOST); }},
      {"aclrtMemset", [&] { return aclrtMemset(device.get(), 64, 0, 64); }},
      {"aclrtMemcpyAsync",
       [&] { return aclrtMemcpyAsync(device.get(), 64, host, 64, ACL_MEMCPY_HOST_TO_DEVICE, other); }},
      {"default stream",
       [&] {
         return Enqueue(nullptr, {"Add", {}, [] {}});
       }},
      {"default stream", [&] { return aclrtRecordEvent(event, nullptr); }},
  };
  for (const auto& named : calls) {
    const std::string& name = named.first;
    const std::function<aclError()>& call = named.second;
    SCOPED_TRACE(name);
    ASSERT_OK(aclmdlRICaptureBegin(stream, kGlobal));
    EXPECT_REFUSED(call(), ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT, name);
    ExpectInvalidated(stream, name);

    // Another thread's calls break it too; in its own thread's mode only its own.
    ASSERT_OK(aclmdlRICaptureBegin(stream, kGlobal));
    std::thread([&] {
      EXPECT_OK(aclrtSetDevice(0));
      EXPECT_EQ(call(), ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT);
      EXPECT_OK(aclrtResetDevice(0));
    }).join();
    ExpectInvalidated(stream, name);
    ASSERT_OK(aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL));
    std::thread([&] {
      EXPECT_OK(aclrtSetDevice(0));
      EXPECT_OK(call());
      EXPECT_OK(aclrtResetDevice(0));
    }).join();
    EXPECT_EQ(StatusOf(stream), ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE);
    EXPECT_REFUSED(call(), ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT, name);
    ExpectInvalidated(stream, name);

    // A relaxed thread, and a relaxed capture, permit them.
    ASSERT_OK(aclmdlRICaptureBegin(stream, kGlobal));
    aclmdlRICaptureMode mode = ACL_MODEL_RI_CAPTURE_MODE_RELAXED;
    ASSERT_OK(aclmdlRICaptureThreadExchangeMode(&mode));
    EXPECT_EQ(mode, kGlobal);
    EXPECT_OK(call());
    ASSERT_OK(aclmdlRICaptureThreadExchangeMode(&mode));
    EXPECT_EQ(mode, ACL_MODEL_RI_CAPTURE_MODE_RELAXED);
    aclmdlRI graph = nullptr;
    ASSERT_OK(aclmdlRICaptureEnd(stream, &graph));
    ASSERT_OK(aclmdlRIDestroy(graph));
    ASSERT_OK(aclrtSynchronizeDevice());
  }
}

TEST_F(CannCapture, PageableCopiesCannotBeCaptured) {
  TestStream stream;
  DeviceMemory device(64);
  PinnedMemory pinned(64);
  char host[64] = {};
  ASSERT_OK(aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_RELAXED));
  ASSERT_OK(aclrtMemcpyAsync(device.get(), 64, pinned.get(), 64, ACL_MEMCPY_HOST_TO_DEVICE, stream));
  EXPECT_REFUSED(aclrtMemcpyAsync(device.get(), 64, host, 64, ACL_MEMCPY_HOST_TO_DEVICE, stream),
                 ACL_ERROR_RT_STREAM_CAPTURED, "aclrtMemcpyAsync");
  ExpectInvalidated(stream, "aclrtMemcpyAsync");
}

TEST_F(CannCapture, EventsFromOutsideCannotBeWaitedFor) {
  TestStream stream, other;
  TestEvent event;
  ASSERT_OK(aclrtRecordEvent(event, other));
  ASSERT_OK(aclmdlRICaptureBegin(stream, kGlobal));
  EXPECT_REFUSED(aclrtStreamWaitEvent(stream, event), ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT,
                 "outside the capture");
  ExpectInvalidated(stream, "outside the capture");
}

TEST_F(CannCapture, AllocatingIsPermitted) {
  TestStream stream;
  ASSERT_OK(aclmdlRICaptureBegin(stream, kGlobal));
  void* at = nullptr;
  EXPECT_OK(aclrtMalloc(&at, 64, ACL_MEM_MALLOC_HUGE_FIRST));
  ASSERT_OK(aclrtMemsetAsync(at, 64, 0, 64, stream));
  EXPECT_OK(aclrtFree(at));
  aclmdlRI graph = nullptr;
  ASSERT_OK(aclmdlRICaptureEnd(stream, &graph));
  // But the graph keeps the address only.
  EXPECT_REFUSED(aclmdlRIExecuteAsync(graph, stream), ACL_ERROR_RT_PARAM_INVALID,
                 "node 0: aclrtMemsetAsync writes devPtr");
  ASSERT_OK(aclmdlRIDestroy(graph));
}

// A context that ends takes its streams' captures with it; nothing else is blocked by them any more.
TEST_F(CannCapture, EndsWithItsContext) {
  aclrtContext before = nullptr, context = nullptr;
  ASSERT_OK(aclrtGetCurrentContext(&before));
  ASSERT_OK(aclrtCreateContext(&context, 0));
  aclrtStream stream = nullptr;
  ASSERT_OK(aclrtCreateStream(&stream));
  ASSERT_OK(aclmdlRICaptureBegin(stream, kGlobal));
  ASSERT_OK(Enqueue(stream, {"Add", {}, [] {}}));
  EXPECT_REFUSED(aclrtDestroyContext(context), ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT, "aclrtDestroyContext");
  ASSERT_OK(aclrtDestroyContext(context)) << "the capture is lost already";
  ASSERT_OK(aclrtSetCurrentContext(before));
  EXPECT_OK(aclrtSynchronizeDevice());
  TestStream next;
  aclmdlRI graph = nullptr;
  ASSERT_OK(aclmdlRICaptureBegin(next, kGlobal));
  ASSERT_OK(aclmdlRICaptureEnd(next, &graph));
  ASSERT_OK(aclmdlRIDestroy(graph));
}

TEST_F(CannCapture, MisuseIsRefused) {
  TestStream stream;
  aclmdlRI graph = nullptr;
  EXPECT_REFUSED(aclmdlRICaptureBegin(nullptr, kGlobal), ACL_ERROR_RT_PARAM_INVALID, "default stream");
  EXPECT_REFUSED(aclmdlRICaptureEnd(stream, &graph), ACL_ERROR_RT_PARAM_INVALID, "no capture began");
  ASSERT_OK(aclmdlRICaptureBegin(stream, kGlobal));
  EXPECT_REFUSED(aclmdlRICaptureBegin(stream, kGlobal), ACL_ERROR_RT_STREAM_CAPTURED, "already");
  ASSERT_OK(aclmdlRICaptureEnd(stream, &graph)) << "a refused begin leaves the capture alone";
  ASSERT_OK(aclmdlRIExecuteAsync(graph, nullptr)) << "an empty graph, on the default stream";
  ASSERT_OK(aclrtSynchronizeStream(nullptr));
  ASSERT_OK(aclmdlRIDestroy(graph));
  ASSERT_OK(aclmdlRICaptureBegin(stream, kGlobal));
  EXPECT_REFUSED(aclrtDestroyStream(stream), ACL_ERROR_RT_STREAM_CAPTURED, "aclrtDestroyStream");
  std::thread([&] {
    EXPECT_OK(aclrtSetDevice(0));
    EXPECT_EQ(aclmdlRICaptureEnd(stream, &graph), ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT);
    EXPECT_OK(aclrtResetDevice(0));
  }).join();
}

}  // namespace
}  // namespace qiao::cann
