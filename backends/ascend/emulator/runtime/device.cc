// Devices, contexts, and which of them is current.
#include <acl/acl_rt.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/capture.h"
#include "backends/ascend/emulator/runtime/check.h"
#include "backends/ascend/emulator/runtime/emulator.h"
#include "backends/ascend/emulator/runtime/event.h"
#include "backends/ascend/emulator/runtime/memory.h"
#include "backends/ascend/emulator/runtime/state.h"
#include "backends/ascend/emulator/runtime/stream.h"
#include "backends/ascend/emulator/runtime/thread_own.h"

namespace qiao::cann {
namespace {

std::string LeakReport() {
  const auto [blocks, bytes] = Memory::Get().Living();
  std::string text;
  const auto add = [&](uint64_t count, const char* what) {
    if (count > 0) absl::StrAppend(&text, text.empty() ? "" : ", ", count, " ", what);
  };
  add(blocks, "device allocations");
  if (blocks > 0) absl::StrAppend(&text, " (", bytes, " bytes)");
  add(State().streams.All().size(), "streams");
  add(State().events.All().size(), "events");
  add(State().graphs.All().size(), "graphs");
  return text;
}

void StopWorkers() {
  for (const std::shared_ptr<Stream>& stream : AllStreams(-1)) stream->Stop(false);
}

ProcessState* MakeState() {
  auto* state = new ProcessState;
  uint32_t count = 1;
  if (const char* devices = std::getenv("QIAO_CANN_DEVICES")) {
    count = static_cast<uint32_t>(std::clamp(std::atoi(devices), 0, 64));
  }
  if (CurrentProfile().soc.empty()) count = 0;
  state->devices.resize(count);
  ReportAtExit(LeakReport);
  std::atexit(StopWorkers);  // before the report
  return state;
}

struct Current {
  std::shared_ptr<Context> context;
  std::string gone;  // what became of it
};

Current& Mine() { return ThreadOwn<Current>(); }

aclError CheckDeviceId(const char* api, int64_t id) {
  if (id >= 0 && id < static_cast<int64_t>(DeviceCount())) return ACL_SUCCESS;
  return Fail(ACL_ERROR_RT_INVALID_DEVICEID, absl::StrCat(api, ": there is no device ", id, "; there are ",
                                                          DeviceCount(), " (QIAO_CANN_DEVICES)"));
}

std::shared_ptr<Context> MakeContext(int device, bool is_default) {
  auto context = std::make_shared<Context>();
  context->device = device;
  context->is_default = is_default;
  context->default_stream = std::make_shared<Stream>(context, 0, 0);
  State().contexts.Add(context);
  return context;
}

// Ends a context that no table holds any more, with its streams.
void EndContext(const char* api, const std::shared_ptr<Context>& context) {
  context->dead = true;
  uint64_t streams = 0;
  for (const std::shared_ptr<Stream>& stream : State().streams.All()) {
    if (stream->context.lock() != context) continue;
    ++streams;
    AbandonCapture(*stream, api);
    if (std::shared_ptr<Stream> removed = State().streams.Remove(stream->handle)) removed->Stop(true);
  }
  context->default_stream->Stop(true);
  if (streams > 0) {
    Warn("context-with-streams",
         absl::StrCat(api, ": ", streams, " streams of the context were not destroyed before it"));
  }
}

}  // namespace

ProcessState& State() {
  static ProcessState* const state = MakeState();
  return *state;
}

uint32_t DeviceCount() { return static_cast<uint32_t>(State().devices.size()); }

std::shared_ptr<Context> CurrentContext() {
  Current& mine = Mine();
  if (mine.context != nullptr && mine.context->dead) {
    mine.gone = mine.context->is_default ? "its device was reset" : "its context was destroyed";
    mine.context = nullptr;
  }
  return mine.context;
}

void SetCurrentContext(std::shared_ptr<Context> context) { Mine() = {std::move(context), ""}; }

aclError FailNoContext(const char* api) {
  const std::string& gone = Mine().gone;
  return Fail(ACL_ERROR_RT_CONTEXT_NULL, absl::StrCat(api, ": this thread has no current context",
                                                      gone.empty() ? "; call aclrtSetDevice in every thread"
                                                                   : absl::StrCat(": ", gone)));
}

std::shared_ptr<Stream> FindStream(const char* api, aclrtStream handle, aclError* code) {
  std::shared_ptr<Context> context = CurrentContext();
  if (context == nullptr) {
    *code = FailNoContext(api);
    return nullptr;
  }
  if (handle == nullptr) return context->default_stream;
  std::shared_ptr<Stream> stream = State().streams.Find(handle);
  if (stream == nullptr) {
    *code = Fail(ACL_ERROR_RT_INVALID_HANDLE, absl::StrCat(api, ": ", State().streams.Describe(handle)));
    return nullptr;
  }
  if (stream->context.lock() != context) {
    *code =
        Fail(ACL_ERROR_RT_STREAM_CONTEXT,
             absl::StrCat(api, ": ", stream->Describe(), " of device ", stream->device,
                          " does not belong to the thread's current context (device ", context->device, ")"));
    return nullptr;
  }
  return stream;
}

bool MayReach(int from, int to) {
  if (from == to) return true;
  std::lock_guard lock(State().mutex);
  return State().devices[static_cast<size_t>(from)].peers.count(to) > 0;
}

}  // namespace qiao::cann

using namespace qiao::cann;  // the C functions below are the library's surface

extern "C" {

aclError aclrtGetDeviceCount(uint32_t* count) {
  if (count == nullptr) return Fail(ACL_ERROR_RT_PARAM_INVALID, "aclrtGetDeviceCount: count is null");
  *count = DeviceCount();
  return *count > 0 ? ACL_SUCCESS : Fail(ACL_ERROR_RT_NO_DEVICE, "aclrtGetDeviceCount: there is no device");
}

aclError aclrtSetDevice(int32_t deviceId) {
  if (aclError code = CheckDeviceId("aclrtSetDevice", deviceId)) return code;
  std::shared_ptr<Context> context;
  {
    std::lock_guard lock(State().mutex);
    if (!State().initialised) Warn("no-init", "aclrtSetDevice without aclInit before it");
    Device& device = State().devices[static_cast<size_t>(deviceId)];
    ++device.uses;
    if (device.default_context == nullptr) device.default_context = MakeContext(deviceId, true);
    context = device.default_context;
  }
  SetCurrentContext(std::move(context));
  return ACL_SUCCESS;
}

aclError aclrtResetDevice(int32_t deviceId) {
  constexpr const char* kApi = "aclrtResetDevice";
  if (aclError code = CheckDeviceId(kApi, deviceId)) return code;
  std::shared_ptr<Context> context;
  {
    std::lock_guard lock(State().mutex);
    Device& device = State().devices[static_cast<size_t>(deviceId)];
    if (device.uses == 0) {
      Warn("reset-without-set", absl::StrCat(kApi, ": device ", deviceId, " is not set"));
      return ACL_SUCCESS;
    }
    if (device.uses == 1) {
      if (aclError code = CheckSafe(kApi, "waits for a device")) return code;
    }
    if (--device.uses > 0) return ACL_SUCCESS;
    context.swap(device.default_context);
    device.peers.clear();
  }
  if (context != nullptr) {
    State().contexts.Remove(context->handle);
    EndContext(kApi, context);
    if (const uint64_t used = Memory::Get().used(deviceId)) {
      Warn("reset-with-memory", absl::StrCat(kApi, ": ", used, " bytes of device ", deviceId,
                                             " are still allocated; the hardware's would be gone"));
    }
  }
  return ACL_SUCCESS;
}

aclError aclrtGetDevice(int32_t* deviceId) {
  if (deviceId == nullptr) return Fail(ACL_ERROR_RT_PARAM_INVALID, "aclrtGetDevice: deviceId is null");
  std::shared_ptr<Context> context = CurrentContext();
  if (context == nullptr) return FailNoContext("aclrtGetDevice");
  *deviceId = context->device;
  return ACL_SUCCESS;
}

aclError aclrtGetDeviceInfo(uint32_t deviceId, aclrtDevAttr attr, int64_t* value) {
  constexpr const char* kApi = "aclrtGetDeviceInfo";
  if (aclError code = CheckDeviceId(kApi, deviceId)) return code;
  if (value == nullptr) return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(kApi, ": value is null"));
  const Profile& profile = CurrentProfile();
  switch (attr) {
    case ACL_DEV_ATTR_AICPU_CORE_NUM:
      *value = 6;
      return ACL_SUCCESS;
    case ACL_DEV_ATTR_AICORE_CORE_NUM:
    case ACL_DEV_ATTR_CUBE_CORE_NUM:
      *value = profile.cube_cores;
      return ACL_SUCCESS;
    case ACL_DEV_ATTR_VECTOR_CORE_NUM:
      *value = profile.vector_cores;
      return ACL_SUCCESS;
    case ACL_DEV_ATTR_TOTAL_GLOBAL_MEM_SIZE:
      *value = static_cast<int64_t>(profile.hbm_bytes);
      return ACL_SUCCESS;
    case ACL_DEV_ATTR_L2_CACHE_SIZE:
      *value = static_cast<int64_t>(profile.l2_bytes);
      return ACL_SUCCESS;
  }
  return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(kApi, ": unknown attribute ", static_cast<int>(attr)));
}

aclError aclrtGetRunMode(aclrtRunMode* runMode) {
  if (runMode == nullptr) return Fail(ACL_ERROR_RT_PARAM_INVALID, "aclrtGetRunMode: runMode is null");
  *runMode = ACL_HOST;
  return ACL_SUCCESS;
}

aclError aclrtSynchronizeDeviceWithTimeout(int32_t timeout) {
  constexpr const char* kApi = "aclrtSynchronizeDevice";
  std::shared_ptr<Context> context = CurrentContext();
  if (context == nullptr) return FailNoContext(kApi);
  if (aclError code = CheckSafe(kApi, "waits for a device")) return code;
  aclError first = ACL_SUCCESS;
  for (const std::shared_ptr<Stream>& stream : AllStreams(context->device)) {
    const aclError code = stream->Wait(kApi, timeout, ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
    if (first == ACL_SUCCESS) first = code;
  }
  return first;
}

aclError aclrtSynchronizeDevice(void) { return aclrtSynchronizeDeviceWithTimeout(-1); }

// ---- peers ----

aclError aclrtDeviceCanAccessPeer(int32_t* canAccessPeer, int32_t deviceId, int32_t peerDeviceId) {
  constexpr const char* kApi = "aclrtDeviceCanAccessPeer";
  if (aclError code = CheckDeviceId(kApi, deviceId)) return code;
  if (aclError code = CheckDeviceId(kApi, peerDeviceId)) return code;
  if (canAccessPeer == nullptr || deviceId == peerDeviceId) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat(kApi, ": canAccessPeer is null, or a device is its own peer"));
  }
  *canAccessPeer = 1;
  return ACL_SUCCESS;
}

aclError aclrtDeviceEnablePeerAccess(int32_t peerDeviceId, uint32_t flags) {
  constexpr const char* kApi = "aclrtDeviceEnablePeerAccess";
  if (aclError code = CheckDeviceId(kApi, peerDeviceId)) return code;
  std::shared_ptr<Context> context = CurrentContext();
  if (context == nullptr) return FailNoContext(kApi);
  if (flags != 0) return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(kApi, ": flags must be 0"));
  if (context->device == peerDeviceId) {
    Warn("peer-of-itself", absl::StrCat(kApi, ": device ", peerDeviceId, " is the current one"));
    return ACL_SUCCESS;
  }
  std::lock_guard lock(State().mutex);
  State().devices[static_cast<size_t>(context->device)].peers.insert(peerDeviceId);
  return ACL_SUCCESS;
}

aclError aclrtDeviceDisablePeerAccess(int32_t peerDeviceId) {
  constexpr const char* kApi = "aclrtDeviceDisablePeerAccess";
  if (aclError code = CheckDeviceId(kApi, peerDeviceId)) return code;
  std::shared_ptr<Context> context = CurrentContext();
  if (context == nullptr) return FailNoContext(kApi);
  std::lock_guard lock(State().mutex);
  State().devices[static_cast<size_t>(context->device)].peers.erase(peerDeviceId);
  return ACL_SUCCESS;
}

// ---- contexts ----

aclError aclrtCreateContext(aclrtContext* context, int32_t deviceId) {
  constexpr const char* kApi = "aclrtCreateContext";
  if (aclError code = CheckDeviceId(kApi, deviceId)) return code;
  if (context == nullptr) return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(kApi, ": context is null"));
  std::shared_ptr<Context> made = MakeContext(deviceId, false);
  *context = made->handle;
  SetCurrentContext(std::move(made));
  return ACL_SUCCESS;
}

aclError aclrtDestroyContext(aclrtContext context) {
  constexpr const char* kApi = "aclrtDestroyContext";
  std::shared_ptr<Context> found = State().contexts.Find(context);
  if (found == nullptr) {
    return Fail(ACL_ERROR_RT_INVALID_HANDLE, absl::StrCat(kApi, ": ", State().contexts.Describe(context)));
  }
  if (found->is_default) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(kApi, ": the default context of device ",
                                                         found->device, " ends with aclrtResetDevice only"));
  }
  if (aclError code = CheckSafe(kApi, "waits for a context's streams")) return code;
  if (State().contexts.Remove(context) != nullptr) EndContext(kApi, found);
  return ACL_SUCCESS;
}

aclError aclrtSetCurrentContext(aclrtContext context) {
  std::shared_ptr<Context> found = State().contexts.Find(context);
  if (found == nullptr) {
    return Fail(ACL_ERROR_RT_INVALID_HANDLE,
                absl::StrCat("aclrtSetCurrentContext: ", State().contexts.Describe(context)));
  }
  SetCurrentContext(std::move(found));
  return ACL_SUCCESS;
}

aclError aclrtGetCurrentContext(aclrtContext* context) {
  if (context == nullptr) return Fail(ACL_ERROR_RT_PARAM_INVALID, "aclrtGetCurrentContext: context is null");
  std::shared_ptr<Context> current = CurrentContext();
  if (current == nullptr) return FailNoContext("aclrtGetCurrentContext");
  *context = current->handle;
  return ACL_SUCCESS;
}

}  // extern "C"
