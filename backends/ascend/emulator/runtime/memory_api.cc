// The C functions that allocate memory and tell how much there is.
#include <acl/acl_rt.h>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/capture.h"
#include "backends/ascend/emulator/runtime/emulator.h"
#include "backends/ascend/emulator/runtime/memory.h"
#include "backends/ascend/emulator/runtime/state.h"

using namespace qiao::cann;  // the C functions below are the library's surface

namespace {

// Neither documented as forbidden nor as allowed while a stream is captured.
void WarnInCapture(const char* api) {
  if (AnyCapture()) {
    Warn("allocation-in-capture",
         absl::StrCat(api,
                      " while a stream is captured: the graph keeps addresses only, and what "
                      "is freed before its replay is gone"));
  }
}

aclError Allocate(const char* api, void** out, size_t size, aclrtMemMallocPolicy policy) {
  if (out == nullptr || size == 0) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat(api, ": ", out == nullptr ? "devPtr is null" : "size is 0"));
  }
  constexpr int kTypes = ACL_MEM_TYPE_LOW_BAND_WIDTH | ACL_MEM_TYPE_HIGH_BAND_WIDTH;
  if ((policy & ~kTypes) < 0 || (policy & ~kTypes) > ACL_MEM_MALLOC_NORMAL_ONLY_P2P) {
    return Fail(ACL_ERROR_RT_INVALID_MALLOC_TYPE,
                absl::StrCat(api, ": there is no policy ", static_cast<int>(policy)));
  }
  std::shared_ptr<Context> context = CurrentContext();
  if (context == nullptr) return FailNoContext(api);
  WarnInCapture(api);
  return Memory::Get().Malloc(api, context->device, size, out);
}

}  // namespace

extern "C" {

aclError aclrtMalloc(void** devPtr, size_t size, aclrtMemMallocPolicy policy) {
  return Allocate("aclrtMalloc", devPtr, size, policy);
}

aclError aclrtMallocAlign32(void** devPtr, size_t size, aclrtMemMallocPolicy policy) {
  return Allocate("aclrtMallocAlign32", devPtr, size, policy);
}

aclError aclrtFree(void* devPtr) {
  WarnInCapture("aclrtFree");
  return Memory::Get().Free("aclrtFree", devPtr);
}

aclError aclrtMallocHost(void** hostPtr, size_t size) {
  if (hostPtr == nullptr || size == 0) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat("aclrtMallocHost: ", hostPtr == nullptr ? "hostPtr is null" : "size is 0"));
  }
  if (CurrentContext() == nullptr)
    Warn("pinned-without-context", "aclrtMallocHost in a thread without a current context");
  return Memory::Get().MallocHost(size, hostPtr);
}

aclError aclrtFreeHost(void* hostPtr) { return Memory::Get().FreeHost(hostPtr); }

aclError aclrtHostRegister(void* ptr, uint64_t size, aclrtHostRegisterType type, void** devPtr) {
  if (ptr == nullptr || size == 0 || devPtr == nullptr || type != ACL_HOST_REGISTER_MAPPED) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                "aclrtHostRegister: ptr, size or devPtr is not set, or the type unknown");
  }
  if (aclError code = Memory::Get().Register(ptr, size)) return code;
  *devPtr = ptr;
  return ACL_SUCCESS;
}

aclError aclrtHostUnregister(void* ptr) { return Memory::Get().Unregister(ptr); }

aclError aclrtGetMemInfo(aclrtMemAttr attr, size_t* free, size_t* total) {
  constexpr const char* kApi = "aclrtGetMemInfo";
  if (free == nullptr || total == nullptr)
    return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(kApi, ": free or total is null"));
  std::shared_ptr<Context> context = CurrentContext();
  if (context == nullptr) return FailNoContext(kApi);
  switch (attr) {
    case ACL_HBM_MEM:
    case ACL_HBM_MEM_HUGE:
    case ACL_HBM_MEM_NORMAL:
      *total = CurrentProfile().hbm_bytes;
      *free = *total - Memory::Get().used(context->device);
      return ACL_SUCCESS;
    case ACL_DDR_MEM:
    case ACL_DDR_MEM_HUGE:
    case ACL_DDR_MEM_NORMAL:
      *free = *total = 0;
      return ACL_SUCCESS;
  }
  return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(kApi, ": unknown attribute ", static_cast<int>(attr)));
}

}  // extern "C"
