#include "backends/ascend/emulator/runtime/event.h"

#include <condition_variable>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/capture.h"
#include "backends/ascend/emulator/runtime/check.h"
#include "backends/ascend/emulator/runtime/emulator.h"
#include "backends/ascend/emulator/runtime/state.h"
#include "backends/ascend/emulator/runtime/stream.h"

namespace qiao::cann {
namespace {

// One lock for all recordings: they are few, and short.
struct Recordings {
  std::mutex mutex;
  std::condition_variable done;
};

Recordings& All() {
  static auto* const recordings = new Recordings;
  return *recordings;
}

}  // namespace

void Complete(Record& record) {
  {
    std::lock_guard lock(All().mutex);
    record.done = true;
    record.when = std::chrono::steady_clock::now();
  }
  All().done.notify_all();
}

bool Await(Record& record, int timeout_ms, const std::atomic<bool>* cancelled) {
  std::unique_lock lock(All().mutex);
  const auto over = [&] { return record.done || (cancelled != nullptr && *cancelled); };
  if (timeout_ms < 0) {
    All().done.wait(lock, over);
  } else {
    All().done.wait_for(lock, std::chrono::milliseconds(timeout_ms), over);
  }
  return record.done;
}

void WakeWaiters() {
  { std::lock_guard lock(All().mutex); }
  All().done.notify_all();
}

bool IsDone(Record& record) {
  std::lock_guard lock(All().mutex);
  return record.done;
}

}  // namespace qiao::cann

using namespace qiao::cann;  // the C functions below are the library's surface

namespace {

constexpr uint32_t kAllFlags = ACL_EVENT_SYNC | ACL_EVENT_CAPTURE_STREAM_PROGRESS | ACL_EVENT_TIME_LINE;

std::shared_ptr<Event> FindEvent(const char* api, aclrtEvent handle, aclError* code) {
  std::shared_ptr<Event> event = State().events.Find(handle);
  if (event == nullptr) {
    *code = Fail(ACL_ERROR_RT_INVALID_HANDLE, absl::StrCat(api, ": ", State().events.Describe(handle)));
  }
  return event;
}

std::shared_ptr<Record> Last(Event& event) {
  std::lock_guard lock(event.mutex);
  return event.last;
}

// What the host asks of an event's last recording: not possible where it was captured.
aclError CheckHostMayAsk(const char* api, const Event& event, const Record* record) {
  if (record != nullptr && record->capture != nullptr) {
    aclError code = CheckSafe(api, "asks for an event");
    if (code != ACL_SUCCESS) return code;
    return Fail(ACL_ERROR_RT_STREAM_CAPTURED,
                absl::StrCat(api, ": the last recording of event #", event.id, " was captured into a graph"));
  }
  return CheckSafe(api, "waits for an event, or queries it");
}

aclError Synchronize(const char* api, aclrtEvent handle, int32_t timeout) {
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Event> event = FindEvent(api, handle, &code);
  if (event == nullptr) return code;
  std::shared_ptr<Record> record = Last(*event);
  if ((code = CheckHostMayAsk(api, *event, record.get())) != ACL_SUCCESS) return code;
  if (record == nullptr) {
    Warn("event-never-recorded",
         absl::StrCat(api, " of event #", event->id, ", which was never recorded: it does not wait"));
    return ACL_SUCCESS;
  }
  if (!Await(*record, timeout, nullptr)) {
    return Fail(ACL_ERROR_RT_EVENT_SYNC_TIMEOUT,
                absl::StrCat(api, ": event #", event->id, " is not complete after ", timeout, " ms"));
  }
  race::OnHostWait(record->clock);
  return ACL_SUCCESS;
}

// *complete tells whether the event was recorded and is done.
aclError Query(const char* api, aclrtEvent handle, const void* status, bool* complete) {
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Event> event = FindEvent(api, handle, &code);
  if (event == nullptr) return code;
  if (status == nullptr) return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(api, ": status is null"));
  std::shared_ptr<Record> record = Last(*event);
  if ((code = CheckHostMayAsk(api, *event, record.get())) != ACL_SUCCESS) return code;
  *complete = record != nullptr && IsDone(*record);
  if (*complete) race::OnHostWait(record->clock);
  return ACL_SUCCESS;
}

aclError Create(const char* api, aclrtEvent* out, uint32_t flags) {
  if (out == nullptr || (flags & ~kAllFlags) != 0) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat(api, ": event is null, or flag ", flags, " is none of those known"));
  }
  if (CurrentContext() == nullptr) return FailNoContext(api);
  if (flags == 0)
    Warn("event-without-flags",
         absl::StrCat(api, ": flag 0 asks for nothing; it is served as ACL_EVENT_SYNC"));
  auto event = std::make_shared<Event>();
  event->flags = flags;
  *out = State().events.Add(event);
  return ACL_SUCCESS;
}

}  // namespace

extern "C" {

aclError aclrtCreateEvent(aclrtEvent* event) { return Create("aclrtCreateEvent", event, kAllFlags); }

aclError aclrtCreateEventWithFlag(aclrtEvent* event, uint32_t flag) {
  return Create("aclrtCreateEventWithFlag", event, flag);
}

aclError aclrtCreateEventExWithFlag(aclrtEvent* event, uint32_t flag) {
  return Create("aclrtCreateEventExWithFlag", event, flag);
}

aclError aclrtDestroyEvent(aclrtEvent handle) {
  if (State().events.Remove(handle) == nullptr) {
    return Fail(ACL_ERROR_RT_INVALID_HANDLE,
                absl::StrCat("aclrtDestroyEvent: ", State().events.Describe(handle)));
  }
  return ACL_SUCCESS;
}

aclError aclrtRecordEvent(aclrtEvent handle, aclrtStream stream_handle) {
  constexpr const char* kApi = "aclrtRecordEvent";
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Event> event = FindEvent(kApi, handle, &code);
  if (event == nullptr) return code;
  std::shared_ptr<Stream> stream = FindStreamForWork(kApi, stream_handle, &code);
  if (stream == nullptr) return code;
  auto record = std::make_shared<Record>();
  if (CaptureRecord(*stream, *record) == Captured::kNo) {
    record->clock = race::OnRecord(*stream);
    Item item;
    item.task.name = kApi;
    item.record = record;
    if ((code = stream->Push(kApi, std::move(item))) != ACL_SUCCESS) return code;
  }
  std::lock_guard lock(event->mutex);
  event->last = std::move(record);
  return ACL_SUCCESS;
}

aclError aclrtResetEvent(aclrtEvent handle, aclrtStream stream_handle) {
  constexpr const char* kApi = "aclrtResetEvent";
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Event> event = FindEvent(kApi, handle, &code);
  if (event == nullptr) return code;
  std::shared_ptr<Record> record = Last(*event);
  Task task;
  task.name = kApi;
  // Only the recording that it was called for: the event may have been recorded anew by then.
  task.run = [event, record] {
    std::lock_guard lock(event->mutex);
    if (event->last == record) event->last = nullptr;
  };
  return Enqueue(stream_handle, std::move(task));
}

aclError aclrtQueryEvent(aclrtEvent event, aclrtEventStatus* status) {
  bool complete = false;
  if (aclError code = Query("aclrtQueryEvent", event, status, &complete)) return code;
  *status = complete ? ACL_EVENT_STATUS_COMPLETE : ACL_EVENT_STATUS_NOT_READY;
  return ACL_SUCCESS;
}

aclError aclrtQueryEventStatus(aclrtEvent event, aclrtEventRecordedStatus* status) {
  bool complete = false;
  if (aclError code = Query("aclrtQueryEventStatus", event, status, &complete)) return code;
  *status = complete ? ACL_EVENT_RECORDED_STATUS_COMPLETE : ACL_EVENT_RECORDED_STATUS_NOT_READY;
  return ACL_SUCCESS;
}

aclError aclrtSynchronizeEvent(aclrtEvent event) { return Synchronize("aclrtSynchronizeEvent", event, -1); }

aclError aclrtSynchronizeEventWithTimeout(aclrtEvent event, int32_t timeout) {
  return Synchronize("aclrtSynchronizeEventWithTimeout", event, timeout);
}

aclError aclrtStreamWaitEvent(aclrtStream stream_handle, aclrtEvent handle) {
  constexpr const char* kApi = "aclrtStreamWaitEvent";
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Event> event = FindEvent(kApi, handle, &code);
  if (event == nullptr) return code;
  std::shared_ptr<Stream> stream = FindStreamForWork(kApi, stream_handle, &code);
  if (stream == nullptr) return code;
  std::shared_ptr<Record> record = Last(*event);
  if (record == nullptr) {
    Warn("event-never-recorded", absl::StrCat(kApi, " for event #", event->id, ", which was never recorded: ",
                                              stream->Describe(), " does not wait"));
    return ACL_SUCCESS;
  }
  switch (CaptureWait(stream, *record, &code)) {
    case Captured::kYes:
      return ACL_SUCCESS;
    case Captured::kFailed:
      return code;
    case Captured::kNo:
      break;
  }
  race::OnWait(*stream, record->clock);
  Item item;
  item.task.name = kApi;
  item.wait = std::move(record);
  return stream->Push(kApi, std::move(item));
}

aclError aclrtEventElapsedTime(float* ms, aclrtEvent startEvent, aclrtEvent endEvent) {
  constexpr const char* kApi = "aclrtEventElapsedTime";
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Event> start = FindEvent(kApi, startEvent, &code);
  std::shared_ptr<Event> end = start == nullptr ? nullptr : FindEvent(kApi, endEvent, &code);
  if (end == nullptr) return code;
  if (ms == nullptr) return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(kApi, ": ms is null"));
  if ((start->flags & end->flags & ACL_EVENT_TIME_LINE) == 0) {
    return Fail(ACL_ERROR_RT_EVENT_TIMESTAMP_INVALID,
                absl::StrCat(kApi, ": an event was created without ACL_EVENT_TIME_LINE"));
  }
  std::shared_ptr<Record> from = Last(*start), to = Last(*end);
  if (from == nullptr || to == nullptr || !IsDone(*from) || !IsDone(*to)) {
    return Fail(ACL_ERROR_RT_EVENT_TIMESTAMP_INVALID,
                absl::StrCat(kApi, ": an event has not been recorded, or its recording is not complete"));
  }
  *ms = std::chrono::duration<float, std::milli>(to->when - from->when).count();
  return ACL_SUCCESS;
}

}  // extern "C"
