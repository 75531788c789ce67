// A stream: a queue of tasks and a worker thread that runs them one after the other.
#pragma once

#include <acl/acl_rt.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "backends/ascend/emulator/runtime/emulator.h"
#include "backends/ascend/emulator/runtime/memory.h"
#include "backends/ascend/emulator/runtime/race.h"

namespace qiao::cann {

struct Capture;
struct Context;
struct Record;

// One entry of a queue: a task with the memory that it holds, a recording of an event, or a wait for one.
struct Item {
  Task task;
  Pins pins;
  std::shared_ptr<Record> record;
  std::shared_ptr<Record> wait;
};

class Stream {
 public:
  Stream(const std::shared_ptr<Context>& context, uint32_t priority, uint32_t flags);
  ~Stream();  // as Stop(true)
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  uint64_t id = 0;  // 0: a default stream
  void* handle = nullptr;
  const std::weak_ptr<Context> context;
  const int device;
  const uint32_t priority, flags;

  // Guarded by the capture's lock (capture.h).
  std::shared_ptr<Capture> capture;

  // What happened before what was last put into the queue (race.h).
  race::StreamClock clock;

  // The worker starts with the first item. Fails, in the name of `api`, where the stream was stopped.
  aclError Push(std::string_view api, Item item);

  // Everything pushed before has run; timeout_ms < 0 waits for ever. ACL_SUCCESS, `on_timeout`, or the error that a task
  // left, with its text pushed as a message; that error is then forgotten.
  aclError Wait(const char* api, int timeout_ms, aclError on_timeout);
  bool Idle();

  // Drops what has not begun and waits for what runs.
  void Abort();
  // Tasks that wait for something outside look at this and give up.
  bool aborting() const { return aborting_; }

  // Ends the worker, after the queue (drain) or what runs. No one may push afterwards.
  void Stop(bool drain);

  // Called by a task that runs here.
  void SetError(aclError code, std::string text);

  // The name of a queued or running task that holds the block, or "".
  std::string UserOf(const Block& block);

  // "stream #3", "the default stream of device 0"
  std::string Describe() const;

 private:
  void Work();
  void Run(Item& item);
  void Drop(std::deque<Item> items);

  std::mutex mutex_;
  std::condition_variable work_, done_;
  std::deque<Item> queue_;
  Item* running_ = nullptr;
  uint64_t pushed_ = 0, finished_ = 0;
  bool stopping_ = false;
  std::atomic<bool> aborting_{false};
  aclError error_ = ACL_SUCCESS;
  std::string error_text_;
  std::thread worker_;
  std::mt19937_64 random_;
};

// FindStream (state.h) for work to be put into the queue: the default stream takes none while a capture forbids it.
std::shared_ptr<Stream> FindStreamForWork(const char* api, aclrtStream handle, aclError* code);

// Finds the blocks of a task's accesses. ACL_SUCCESS, or a code and *why names the access.
aclError PinAccesses(const Task& task, Pins* pins, std::string* why);

// Warns (stress: reports a fault) where a queued task still holds a block that was just freed.
void CheckUnused(const char* api, const Block& block);

// All living streams, default ones too, of one device or (-1) of all.
std::vector<std::shared_ptr<Stream>> AllStreams(int device);

}  // namespace qiao::cann
