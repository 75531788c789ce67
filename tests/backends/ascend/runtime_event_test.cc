// Events and callbacks.
#include <pthread.h>

#include <atomic>
#include <thread>

#include "tests/backends/ascend/runtime_fixture.h"

namespace qiao::cann {
namespace {

using CannEvent = CannTest;

TEST_F(CannEvent, StreamsWaitForTheLastRecording) {
  TestStream producer, consumer;
  TestEvent event;
  Gate gate;
  int value = 0, seen = -1;
  ASSERT_OK(gate.Put(producer));
  ASSERT_OK(Enqueue(producer, {"Write", {}, [&] { value = 7; }}));
  ASSERT_OK(aclrtRecordEvent(event, producer));
  ASSERT_OK(aclrtStreamWaitEvent(consumer, event));
  ASSERT_OK(Enqueue(consumer, {"Read", {}, [&] { seen = value; }}));
  aclrtEventRecordedStatus status = ACL_EVENT_RECORDED_STATUS_COMPLETE;
  ASSERT_OK(aclrtQueryEventStatus(event, &status));
  EXPECT_EQ(status, ACL_EVENT_RECORDED_STATUS_NOT_READY);
  EXPECT_REFUSED(aclrtSynchronizeEventWithTimeout(event, 1), ACL_ERROR_RT_EVENT_SYNC_TIMEOUT, "event #");
  gate.Open();
  ASSERT_OK(aclrtSynchronizeEvent(event));
  ASSERT_OK(aclrtSynchronizeStream(consumer));
  EXPECT_EQ(seen, 7);
  ASSERT_OK(aclrtQueryEventStatus(event, &status));
  EXPECT_EQ(status, ACL_EVENT_RECORDED_STATUS_COMPLETE);
  aclrtEventStatus old_status = ACL_EVENT_STATUS_RESERVED;
  ASSERT_OK(aclrtQueryEvent(event, &old_status));
  EXPECT_EQ(old_status, ACL_EVENT_STATUS_COMPLETE);
}

TEST_F(CannEvent, ALaterRecordingIsNotWaitedFor) {
  TestStream producer, consumer;
  TestEvent event;
  Gate gate;
  ASSERT_OK(aclrtRecordEvent(event, producer));
  ASSERT_OK(aclrtStreamWaitEvent(consumer, event));
  ASSERT_OK(gate.Put(producer));
  ASSERT_OK(aclrtRecordEvent(event, producer));
  ASSERT_OK(aclrtSynchronizeStream(consumer)) << "would hang if it waited for the second";
}

TEST_F(CannEvent, ResetsInStreamOrder) {
  TestStream stream;
  TestEvent event;
  ASSERT_OK(aclrtRecordEvent(event, stream));
  ASSERT_OK(aclrtSynchronizeEvent(event));
  ASSERT_OK(aclrtResetEvent(event, stream));
  ASSERT_OK(aclrtSynchronizeStream(stream));
  aclrtEventRecordedStatus status = ACL_EVENT_RECORDED_STATUS_COMPLETE;
  ASSERT_OK(aclrtQueryEventStatus(event, &status));
  EXPECT_EQ(status, ACL_EVENT_RECORDED_STATUS_NOT_READY);
}

TEST_F(CannEvent, TimesAreOfTheTimeLine) {
  TestStream stream;
  TestEvent start, end;
  float ms = -1;
  EXPECT_REFUSED(aclrtEventElapsedTime(&ms, start, end), ACL_ERROR_RT_EVENT_TIMESTAMP_INVALID, "recorded");
  ASSERT_OK(aclrtRecordEvent(start, stream));
  ASSERT_OK(aclrtRecordEvent(end, stream));
  ASSERT_OK(aclrtSynchronizeStream(stream));
  ASSERT_OK(aclrtEventElapsedTime(&ms, start, end));
  EXPECT_GE(ms, 0);
  aclrtEvent untimed = nullptr;
  ASSERT_OK(aclrtCreateEventWithFlag(&untimed, ACL_EVENT_SYNC));
  ASSERT_OK(aclrtRecordEvent(untimed, stream));
  ASSERT_OK(aclrtSynchronizeEvent(untimed));
  EXPECT_REFUSED(aclrtEventElapsedTime(&ms, start, untimed), ACL_ERROR_RT_EVENT_TIMESTAMP_INVALID,
                 "TIME_LINE");
  ASSERT_OK(aclrtDestroyEvent(untimed));
  EXPECT_REFUSED(aclrtRecordEvent(untimed, stream), ACL_ERROR_RT_INVALID_HANDLE, "which was destroyed");
  EXPECT_REFUSED(aclrtCreateEventWithFlag(&untimed, 0x40), ACL_ERROR_RT_PARAM_INVALID, "flag 64");
}

// The event may go while streams still wait for its recording.
TEST_F(CannEvent, MayBeDestroyedEarly) {
  TestStream producer, consumer;
  Gate gate;
  aclrtEvent event = nullptr;
  ASSERT_OK(aclrtCreateEventExWithFlag(&event, ACL_EVENT_SYNC));
  ASSERT_OK(gate.Put(producer));
  ASSERT_OK(aclrtRecordEvent(event, producer));
  ASSERT_OK(aclrtStreamWaitEvent(consumer, event));
  ASSERT_OK(aclrtDestroyEvent(event));
  gate.Open();
  ASSERT_OK(aclrtSynchronizeStream(consumer));
}

TEST_F(CannEvent, HostFunctionsRunInStreamOrder) {
  TestStream stream;
  int value = 0, seen = 0;
  struct Arguments {
    int* value;
    int* seen;
  } arguments = {&value, &seen};
  ASSERT_OK(Enqueue(stream, {"Write", {}, [&] { value = 3; }}));
  ASSERT_OK(aclrtLaunchHostFunc(
      stream,
      [](void* args) {
        auto* a = static_cast<Arguments*>(args);
        *a->seen = *a->value;
      },
      &arguments));
  ASSERT_OK(aclrtSynchronizeStream(stream));
  EXPECT_EQ(seen, 3);
}

TEST_F(CannEvent, CallbacksRunInTheSubscribedThread) {
  TestStream stream;
  struct Seen {
    std::atomic<bool> called{false};
    std::thread::id thread;
  } seen;
  const auto callback = [](void* data) {
    auto* s = static_cast<Seen*>(data);
    s->thread = std::this_thread::get_id();
    s->called = true;
  };
  EXPECT_REFUSED(aclrtLaunchCallback(callback, &seen, ACL_CALLBACK_BLOCK, stream),
                 ACL_ERROR_RT_STREAM_NO_CB_REG, "aclrtSubscribeReport first");
  EXPECT_REFUSED(aclrtProcessReport(1), ACL_ERROR_RT_THREAD_SUBSCRIBE, "no stream");
  std::atomic<uint64_t> listener_id{0};
  std::atomic<bool> stop{false};
  std::thread listener([&] {
    listener_id = static_cast<uint64_t>(pthread_self());
    while (!stop) {
      if (aclrtProcessReport(5) != ACL_SUCCESS)
        std::this_thread::yield();  // nothing subscribed, or nothing came
    }
  });
  while (listener_id == 0) std::this_thread::yield();
  ASSERT_OK(aclrtSubscribeReport(listener_id, stream));
  EXPECT_REFUSED(aclrtSubscribeReport(listener_id, stream), ACL_ERROR_RT_STREAM_SUBSCRIBE,
                 "has a thread already");
  bool after = false, was_called = false;
  ASSERT_OK(aclrtLaunchCallback(callback, &seen, ACL_CALLBACK_BLOCK, stream));
  ASSERT_OK(Enqueue(stream, {"After", {}, [&] {
                               after = true;
                               was_called = seen.called;
                             }}));
  ASSERT_OK(aclrtSynchronizeStream(stream));
  EXPECT_TRUE(after);
  EXPECT_TRUE(was_called) << "the stream waits for a blocking callback";
  EXPECT_EQ(seen.thread, listener.get_id());
  ASSERT_OK(aclrtUnSubscribeReport(listener_id, stream));
  stop = true;
  listener.join();
}

}  // namespace
}  // namespace qiao::cann
