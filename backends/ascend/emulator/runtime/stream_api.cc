// The C functions of streams.
#include <acl/acl_rt.h>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/capture.h"
#include "backends/ascend/emulator/runtime/check.h"
#include "backends/ascend/emulator/runtime/emulator.h"
#include "backends/ascend/emulator/runtime/event.h"
#include "backends/ascend/emulator/runtime/state.h"
#include "backends/ascend/emulator/runtime/stream.h"

using namespace qiao::cann;  // the C functions below are the library's surface

namespace {

// The stream must be one of aclrtCreateStream; any thread may destroy it.
aclError Destroy(const char* api, aclrtStream handle, bool drain) {
  if (handle == nullptr) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat(api, ": null names the default stream, which its context owns"));
  }
  std::shared_ptr<Stream> stream = State().streams.Find(handle);
  if (stream == nullptr)
    return Fail(ACL_ERROR_RT_INVALID_HANDLE, absl::StrCat(api, ": ", State().streams.Describe(handle)));
  if (aclError code = CheckNotCaptured(api, *stream)) return code;
  if (State().streams.Remove(handle) == nullptr) {
    return Fail(ACL_ERROR_RT_INVALID_HANDLE, absl::StrCat(api, ": ", State().streams.Describe(handle)));
  }
  stream->Stop(drain);
  race::OnHostWait(*stream);
  return ACL_SUCCESS;
}

aclError Synchronize(const char* api, aclrtStream handle, int32_t timeout) {
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Stream> stream = FindStream(api, handle, &code);
  if (stream == nullptr) return code;
  if (timeout < -1) return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(api, ": timeout is ", timeout));
  if ((code = CheckNotCaptured(api, *stream)) != ACL_SUCCESS) return code;
  if ((code = CheckSafe(api, "waits for a stream")) != ACL_SUCCESS) return code;
  return stream->Wait(api, timeout, ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
}

}  // namespace

extern "C" {

aclError aclrtCreateStreamWithConfig(aclrtStream* stream, uint32_t priority, uint32_t flag) {
  constexpr const char* kApi = "aclrtCreateStream";
  if (stream == nullptr || priority > 7) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat(kApi, ": stream is null, or priority ", priority, " above 7"));
  }
  std::shared_ptr<Context> context = CurrentContext();
  if (context == nullptr) return FailNoContext(kApi);
  *stream = State().streams.Add(std::make_shared<Stream>(context, priority, flag));
  return ACL_SUCCESS;
}

aclError aclrtCreateStream(aclrtStream* stream) { return aclrtCreateStreamWithConfig(stream, 0, 0); }

aclError aclrtDestroyStream(aclrtStream stream) { return Destroy("aclrtDestroyStream", stream, true); }

aclError aclrtDestroyStreamForce(aclrtStream stream) {
  return Destroy("aclrtDestroyStreamForce", stream, false);
}

aclError aclrtStreamAbort(aclrtStream handle) {
  constexpr const char* kApi = "aclrtStreamAbort";
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Stream> stream = FindStream(kApi, handle, &code);
  if (stream == nullptr) return code;
  if ((code = CheckNotCaptured(kApi, *stream)) != ACL_SUCCESS) return code;
  stream->Abort();
  return ACL_SUCCESS;
}

aclError aclrtSynchronizeStream(aclrtStream stream) {
  return Synchronize("aclrtSynchronizeStream", stream, -1);
}

aclError aclrtSynchronizeStreamWithTimeout(aclrtStream stream, int32_t timeout) {
  return Synchronize("aclrtSynchronizeStreamWithTimeout", stream, timeout);
}

aclError aclrtStreamQuery(aclrtStream handle, aclrtStreamStatus* status) {
  constexpr const char* kApi = "aclrtStreamQuery";
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Stream> stream = FindStream(kApi, handle, &code);
  if (stream == nullptr) return code;
  if (status == nullptr) return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(kApi, ": status is null"));
  if ((code = CheckNotCaptured(kApi, *stream)) != ACL_SUCCESS) return code;
  if ((code = CheckSafe(kApi, "queries a stream")) != ACL_SUCCESS) return code;
  const bool idle = stream->Idle();
  *status = idle ? ACL_STREAM_STATUS_COMPLETE : ACL_STREAM_STATUS_NOT_READY;
  if (idle) race::OnHostWait(*stream);
  return ACL_SUCCESS;
}

aclError aclrtStreamGetId(aclrtStream handle, int32_t* streamId) {
  constexpr const char* kApi = "aclrtStreamGetId";
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Stream> stream = FindStream(kApi, handle, &code);
  if (stream == nullptr) return code;
  if (streamId == nullptr) return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(kApi, ": streamId is null"));
  *streamId = static_cast<int32_t>(stream->id);
  return ACL_SUCCESS;
}

}  // extern "C"
