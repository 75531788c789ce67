// What the runtime's tests share: device 0 set while a test runs, and helpers that fail the test with CANN's own message.
#pragma once

#include <acl/acl.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "backends/ascend/emulator/runtime/emulator.h"

namespace qiao::cann {

// Everything on this thread's message stack, which is empty afterwards.
inline std::string TakeMessages() {
  const char* text = aclGetRecentErrMsg();
  return text == nullptr ? "" : text;
}

// EXPECT_OK(call): the call succeeds; otherwise its message is shown.
#define EXPECT_OK(call) EXPECT_EQ(call, ACL_SUCCESS) << ::qiao::cann::TakeMessages()
#define ASSERT_OK(call) ASSERT_EQ(call, ACL_SUCCESS) << ::qiao::cann::TakeMessages()

// EXPECT_REFUSED(call, code, words): it fails with the code, and its newest message has the words.
#define EXPECT_REFUSED(call, code, words)                           \
  do {                                                              \
    ::qiao::cann::TakeMessages();                                   \
    EXPECT_EQ(call, code);                                          \
    const std::string messages = ::qiao::cann::TakeMessages();      \
    EXPECT_NE(messages.find(words), std::string::npos) << messages; \
    EXPECT_EQ(messages.rfind("(emulated) ", 0), 0u) << messages;    \
  } while (false)

class CannTest : public testing::Test {
 protected:
  void SetUp() override {
    aclInit(nullptr);  // the first test's; later ones repeat it
    ASSERT_OK(aclrtSetDevice(0));
    TakeMessages();
  }
  void TearDown() override { EXPECT_OK(aclrtResetDevice(0)); }
};

// A task that holds its stream until it is opened.
class Gate {
 public:
  Gate() : state_(std::make_shared<State>()) {}
  ~Gate() { Open(); }
  void Open() {
    std::lock_guard lock(state_->mutex);
    state_->open = true;
    state_->changed.notify_all();
  }
  aclError Put(aclrtStream stream) {
    return Enqueue(stream, {"Gate", {}, [state = state_] {
                              std::unique_lock lock(state->mutex);
                              state->changed.wait(lock, [&] { return state->open; });
                            }});
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
  };
  std::shared_ptr<State> state_;
};

// Device memory for one test.
class DeviceMemory {
 public:
  explicit DeviceMemory(size_t bytes) { EXPECT_OK(aclrtMalloc(&at_, bytes, ACL_MEM_MALLOC_HUGE_FIRST)); }
  ~DeviceMemory() { EXPECT_OK(aclrtFree(at_)); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  void* get() const { return at_; }
  char* bytes() const { return static_cast<char*>(at_); }

 private:
  void* at_ = nullptr;
};

class PinnedMemory {
 public:
  explicit PinnedMemory(size_t bytes) { EXPECT_OK(aclrtMallocHost(&at_, bytes)); }
  ~PinnedMemory() { EXPECT_OK(aclrtFreeHost(at_)); }
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  void* get() const { return at_; }
  int* ints() const { return static_cast<int*>(at_); }

 private:
  void* at_ = nullptr;
};

class TestStream {
 public:
  TestStream() { EXPECT_OK(aclrtCreateStream(&handle_)); }
  ~TestStream() { EXPECT_OK(aclrtDestroyStream(handle_)); }
  TestStream(const TestStream&) = delete;
  TestStream& operator=(const TestStream&) = delete;
  operator aclrtStream() const { return handle_; }  // NOLINT: stands for its handle

 private:
  aclrtStream handle_ = nullptr;
};

class TestEvent {
 public:
  TestEvent() { EXPECT_OK(aclrtCreateEvent(&handle_)); }
  ~TestEvent() { EXPECT_OK(aclrtDestroyEvent(handle_)); }
  TestEvent(const TestEvent&) = delete;
  TestEvent& operator=(const TestEvent&) = delete;
  operator aclrtEvent() const { return handle_; }  // NOLINT: stands for its handle

 private:
  aclrtEvent handle_ = nullptr;
};

}  // namespace qiao::cann
