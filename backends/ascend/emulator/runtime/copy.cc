// Copies and sets. Where a pointer points is found from its address; the caller's `kind` is only compared.
#include <acl/acl_rt.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/capture.h"
#include "backends/ascend/emulator/runtime/check.h"
#include "backends/ascend/emulator/runtime/emulator.h"
#include "backends/ascend/emulator/runtime/memory.h"
#include "backends/ascend/emulator/runtime/race.h"
#include "backends/ascend/emulator/runtime/state.h"
#include "backends/ascend/emulator/runtime/stream.h"

using namespace qiao::cann;  // the C functions below are the library's surface

namespace {

// `height` rows of `width` bytes; a plain copy is one row.
struct Copy {
  const char* api;
  char* dst;
  size_t dst_pitch;
  const char* src;
  size_t src_pitch;
  size_t width, height;
  Where to = Where::kPageable, from = Where::kPageable;

  // From the first byte to the last; rows were checked not to overflow.
  uint64_t Span(size_t pitch) const { return height == 0 || width == 0 ? 0 : (height - 1) * pitch + width; }

  void Run() const {
    for (size_t row = 0; row < height; ++row)
      std::memmove(dst + row * dst_pitch, src + row * src_pitch, width);
  }

  // Pageable memory is the caller's own and no task's.
  std::vector<Access> Accesses() const {
    std::vector<Access> accesses;
    if (from != Where::kPageable) accesses.push_back({src, Span(src_pitch), false, "src"});
    if (to != Where::kPageable) accesses.push_back({dst, Span(dst_pitch), true, "dst"});
    return accesses;
  }
};

void CheckKind(const Copy& copy, aclrtMemcpyKind kind) {
  const bool from_device = copy.from == Where::kDevice, to_device = copy.to == Where::kDevice;
  const int found = from_device ? (to_device ? ACL_MEMCPY_DEVICE_TO_DEVICE : ACL_MEMCPY_DEVICE_TO_HOST)
                                : (to_device ? ACL_MEMCPY_HOST_TO_DEVICE : ACL_MEMCPY_HOST_TO_HOST);
  if (kind == ACL_MEMCPY_DEFAULT || kind == found) return;
  static constexpr const char* kNames[] = {"HOST_TO_HOST", "HOST_TO_DEVICE", "DEVICE_TO_HOST",
                                           "DEVICE_TO_DEVICE"};
  Warn("copy-kind",
       absl::StrCat(copy.api, ": kind is ", kind < 4 ? kNames[kind] : "unknown", ", the pointers say ",
                    kNames[found], ": dst is ", Memory::Get().Describe(copy.dst), "; src is ",
                    Memory::Get().Describe(copy.src)));
}

// Everything that is wrong with a copy before it is made; fills in where the pointers point, and pins what they name.
aclError Check(Copy& copy, aclrtMemcpyKind kind, size_t dst_max, Pins* pins) {
  if (copy.dst == nullptr || copy.src == nullptr) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat(copy.api, ": ", copy.dst == nullptr ? "dst" : "src", " is a null pointer"));
  }
  if (kind < ACL_MEMCPY_HOST_TO_HOST || kind > ACL_MEMCPY_DEFAULT) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat(copy.api, ": there is no kind ", static_cast<int>(kind)));
  }
  if (copy.width > dst_max) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat(copy.api, ": count ", copy.width, " is more than destMax ", dst_max));
  }
  if (copy.width > copy.dst_pitch || copy.width > copy.src_pitch) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat(copy.api, ": width ", copy.width, " is more than a pitch (", copy.dst_pitch,
                             ", ", copy.src_pitch, ")"));
  }
  const size_t pitch = std::max(copy.dst_pitch, copy.src_pitch);
  if (copy.height > 1 && pitch > (size_t{1} << 46) / copy.height) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(copy.api, ": ", copy.height, " rows ", pitch,
                                                         " bytes apart are more than there is memory"));
  }
  std::shared_ptr<Context> context = CurrentContext();
  if (context == nullptr) return FailNoContext(copy.api);
  copy.to = Memory::Get().Classify(copy.dst);
  copy.from = Memory::Get().Classify(copy.src);
  for (const Access& access : copy.Accesses()) {
    std::string why;
    const size_t before = pins->size();
    if (aclError code = Memory::Get().Find(access.address, access.bytes, pins, &why)) {
      return Fail(code, absl::StrCat(copy.api, ": ", access.name, ": ", why));
    }
    for (size_t i = before; i < pins->size(); ++i) {
      const Block& block = *(*pins)[i];
      if (block.on_device() && !MayReach(context->device, block.device)) {
        Warn("peer-not-enabled",
             absl::StrCat(copy.api, ": ", block.Describe(), " is device ", block.device, "'s, and device ",
                          context->device, " has no peer access to it"));
      }
    }
  }
  const uintptr_t dst = reinterpret_cast<uintptr_t>(copy.dst), src = reinterpret_cast<uintptr_t>(copy.src);
  if (copy.height == 1 && dst != src && (dst > src ? dst - src : src - dst) < copy.width) {
    Warn("copy-overlap", absl::StrCat(copy.api, ": src and dst overlap"));
  }
  CheckKind(copy, kind);
  return ACL_SUCCESS;
}

aclError Now(Copy copy, aclrtMemcpyKind kind, size_t dst_max) {
  if (aclError code = CheckSafe(copy.api, "copies synchronously")) return code;
  Pins pins;
  if (aclError code = Check(copy, kind, dst_max, &pins)) return code;
  race::OnHost(copy.api, copy.Accesses());
  copy.Run();
  return ACL_SUCCESS;
}

aclError Later(Copy copy, aclrtMemcpyKind kind, size_t dst_max, aclrtStream handle) {
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Stream> stream = FindStream(copy.api, handle, &code);
  if (stream == nullptr) return code;
  Pins pins;
  if ((code = Check(copy, kind, dst_max, &pins)) != ACL_SUCCESS) return code;
  if (copy.from != Where::kDevice && copy.to != Where::kDevice) {
    return Fail(
        ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
        absl::StrCat(copy.api, ": host to host is not served asynchronously: dst is ",
                     Memory::Get().Describe(copy.dst), "; src is ", Memory::Get().Describe(copy.src)));
  }
  const bool pageable = copy.from == Where::kPageable || copy.to == Where::kPageable;
  if (pageable) {
    if ((code = CheckNotCaptured(copy.api, *stream)) != ACL_SUCCESS) return code;
    if ((code = CheckSafe(copy.api, "waits for a copy of pageable memory")) != ACL_SUCCESS) return code;
  }
  if (copy.Span(1) == 0) return ACL_SUCCESS;
  Task task;
  task.name = copy.api;
  task.accesses = copy.Accesses();
  task.run = [copy] { copy.Run(); };
  if ((code = Enqueue(handle, std::move(task))) != ACL_SUCCESS || !pageable) return code;
  return stream->Wait(copy.api, -1, ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
}

// The range to set, checked. Host memory is set too where it is pinned.
aclError CheckSet(const char* api, void* address, size_t max_count, size_t count) {
  if (address == nullptr || count > max_count) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                address == nullptr
                    ? absl::StrCat(api, ": devPtr is a null pointer")
                    : absl::StrCat(api, ": count ", count, " is more than maxCount ", max_count));
  }
  if (CurrentContext() == nullptr) return FailNoContext(api);
  std::string why;
  if (aclError code = Memory::Get().Find(address, count, nullptr, &why)) {
    return Fail(code, absl::StrCat(api, ": ", why));
  }
  return ACL_SUCCESS;
}

}  // namespace

extern "C" {

aclError aclrtMemcpy(void* dst, size_t destMax, const void* src, size_t count, aclrtMemcpyKind kind) {
  return Now({"aclrtMemcpy", static_cast<char*>(dst), count, static_cast<const char*>(src), count, count, 1},
             kind, destMax);
}

aclError aclrtMemcpyAsync(void* dst, size_t destMax, const void* src, size_t count, aclrtMemcpyKind kind,
                          aclrtStream stream) {
  return Later(
      {"aclrtMemcpyAsync", static_cast<char*>(dst), count, static_cast<const char*>(src), count, count, 1},
      kind, destMax, stream);
}

aclError aclrtMemcpy2d(void* dst, size_t dpitch, const void* src, size_t spitch, size_t width, size_t height,
                       aclrtMemcpyKind kind) {
  return Now({"aclrtMemcpy2d", static_cast<char*>(dst), dpitch, static_cast<const char*>(src), spitch, width,
              height},
             kind, dpitch);
}

aclError aclrtMemcpy2dAsync(void* dst, size_t dpitch, const void* src, size_t spitch, size_t width,
                            size_t height, aclrtMemcpyKind kind, aclrtStream stream) {
  return Later({"aclrtMemcpy2dAsync", static_cast<char*>(dst), dpitch, static_cast<const char*>(src), spitch,
                width, height},
               kind, dpitch, stream);
}

aclError aclrtMemset(void* devPtr, size_t maxCount, int32_t value, size_t count) {
  constexpr const char* kApi = "aclrtMemset";
  if (aclError code = CheckSafe(kApi, "sets memory synchronously")) return code;
  if (aclError code = CheckSet(kApi, devPtr, maxCount, count)) return code;
  race::OnHost(kApi, {{devPtr, count, true, "devPtr"}});
  std::memset(devPtr, value, count);
  return ACL_SUCCESS;
}

aclError aclrtMemsetAsync(void* devPtr, size_t maxCount, int32_t value, size_t count, aclrtStream stream) {
  constexpr const char* kApi = "aclrtMemsetAsync";
  if (aclError code = CheckSet(kApi, devPtr, maxCount, count)) return code;
  Task task;
  task.name = kApi;
  task.accesses = {{devPtr, count, true, "devPtr"}};
  task.run = [=] { std::memset(devPtr, value, count); };
  return Enqueue(stream, std::move(task));
}

}  // extern "C"
