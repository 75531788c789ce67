// Callbacks: on a subscribed thread inside aclrtProcessReport, or on the stream's own worker.
#include <acl/acl_rt.h>
#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/emulator.h"
#include "backends/ascend/emulator/runtime/state.h"
#include "backends/ascend/emulator/runtime/stream.h"

using namespace qiao::cann;  // the C functions below are the library's surface

namespace {

struct Call {
  aclrtCallback fn;
  void* user_data;
  uint64_t stream;
  bool returned = false;
};

// One lock for all: callbacks are few.
struct Reports {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<uint64_t, uint64_t> thread_of;                         // by the stream's id
  std::map<uint64_t, std::deque<std::shared_ptr<Call>>> waiting;  // by thread
};

Reports& All() {
  static auto* const reports = new Reports;
  return *reports;
}

uint64_t ThisThread() { return static_cast<uint64_t>(pthread_self()); }

// On the stream's worker: hands the call over and, where it blocks, waits until it returned, its stream is aborted or
// nobody is subscribed any more.
void Deliver(const std::shared_ptr<Call>& call, bool block, const std::weak_ptr<Stream>& weak) {
  Reports& all = All();
  std::unique_lock lock(all.mutex);
  auto subscribed = all.thread_of.find(call->stream);
  if (subscribed == all.thread_of.end()) {
    Warn("callback-lost", absl::StrCat("a callback of stream #", call->stream,
                                       " ran after aclrtUnSubscribeReport: nobody hears it"));
    return;
  }
  all.waiting[subscribed->second].push_back(call);
  all.changed.notify_all();
  while (block && !call->returned) {
    all.changed.wait_for(lock, std::chrono::milliseconds(20));
    std::shared_ptr<Stream> stream = weak.lock();
    if (stream == nullptr || stream->aborting() || all.thread_of.count(call->stream) == 0) return;
  }
}

}  // namespace

extern "C" {

aclError aclrtSubscribeReport(uint64_t threadId, aclrtStream handle) {
  constexpr const char* kApi = "aclrtSubscribeReport";
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Stream> stream = FindStream(kApi, handle, &code);
  if (stream == nullptr) return code;
  std::lock_guard lock(All().mutex);
  if (handle == nullptr || !All().thread_of.emplace(stream->id, threadId).second) {
    return Fail(
        ACL_ERROR_RT_STREAM_SUBSCRIBE,
        absl::StrCat(kApi, ": ", stream->Describe(), " is the default stream, or has a thread already"));
  }
  return ACL_SUCCESS;
}

aclError aclrtUnSubscribeReport(uint64_t threadId, aclrtStream handle) {
  constexpr const char* kApi = "aclrtUnSubscribeReport";
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Stream> stream = FindStream(kApi, handle, &code);
  if (stream == nullptr) return code;
  std::lock_guard lock(All().mutex);
  auto it = All().thread_of.find(stream->id);
  if (it == All().thread_of.end() || it->second != threadId) {
    return Fail(ACL_ERROR_RT_STREAM_SUBSCRIBE,
                absl::StrCat(kApi, ": thread ", threadId, " is not subscribed to ", stream->Describe()));
  }
  All().thread_of.erase(it);
  All().changed.notify_all();
  return ACL_SUCCESS;
}

aclError aclrtLaunchCallback(aclrtCallback fn, void* userData, aclrtCallbackBlockType blockType,
                             aclrtStream handle) {
  constexpr const char* kApi = "aclrtLaunchCallback";
  if (fn == nullptr || (blockType != ACL_CALLBACK_NO_BLOCK && blockType != ACL_CALLBACK_BLOCK)) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(kApi, ": fn is null, or the block type unknown"));
  }
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Stream> stream = FindStream(kApi, handle, &code);
  if (stream == nullptr) return code;
  {
    std::lock_guard lock(All().mutex);
    if (All().thread_of.count(stream->id) == 0) {
      return Fail(ACL_ERROR_RT_STREAM_NO_CB_REG,
                  absl::StrCat(kApi, ": no thread is subscribed to ", stream->Describe(),
                               "; aclrtSubscribeReport first"));
    }
  }
  Task task;
  task.name = kApi;
  task.run = [fn, userData, block = blockType == ACL_CALLBACK_BLOCK, id = stream->id,
              weak = std::weak_ptr<Stream>(stream)] {
    Deliver(std::make_shared<Call>(Call{fn, userData, id}), block, weak);
  };
  return Enqueue(handle, std::move(task));
}

aclError aclrtProcessReport(int32_t timeout) {
  constexpr const char* kApi = "aclrtProcessReport";
  const uint64_t me = ThisThread();
  Reports& all = All();
  std::unique_lock lock(all.mutex);
  bool subscribed = false;
  for (const auto& [stream, thread] : all.thread_of) subscribed = subscribed || thread == me;
  if (!subscribed && all.waiting[me].empty()) {
    return Fail(ACL_ERROR_RT_THREAD_SUBSCRIBE,
                absl::StrCat(kApi, ": no stream is subscribed by this thread"));
  }
  const auto ready = [&] { return !all.waiting[me].empty(); };
  if (timeout < 0) {
    all.changed.wait(lock, ready);
  } else if (!all.changed.wait_for(lock, std::chrono::milliseconds(timeout), ready)) {
    return Fail(ACL_ERROR_RT_REPORT_TIMEOUT, absl::StrCat(kApi, ": no callback within ", timeout, " ms"));
  }
  std::shared_ptr<Call> call = all.waiting[me].front();
  all.waiting[me].pop_front();
  lock.unlock();
  call->fn(call->user_data);
  lock.lock();
  call->returned = true;
  all.changed.notify_all();
  return ACL_SUCCESS;
}

aclError aclrtLaunchHostFunc(aclrtStream stream, aclrtHostFunc fn, void* args) {
  if (fn == nullptr) return Fail(ACL_ERROR_RT_PARAM_INVALID, "aclrtLaunchHostFunc: fn is null");
  Task task;
  task.name = "aclrtLaunchHostFunc";
  task.run = [fn, args] { fn(args); };
  return Enqueue(stream, std::move(task));
}

}  // extern "C"
