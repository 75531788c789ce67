// Physical memory as files in memory (memfd), mapped into reserved device addresses.
#include <acl/acl_rt.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/check.h"
#include "backends/ascend/emulator/runtime/memory.h"
#include "backends/ascend/emulator/runtime/race.h"
#include "backends/ascend/emulator/runtime/state.h"
#include "backends/ascend/emulator/runtime/stream.h"

namespace qiao::cann {

Physical::~Physical() {
  close(fd);
  Memory::Get().Refund(device, bytes);
}

aclError Memory::Reserve(int device, uint64_t bytes, void** out) {
  std::lock_guard lock(mutex_);
  const uint64_t size = (bytes + kGranule - 1) / kGranule * kGranule;
  const uintptr_t at = size < bytes ? 0 : TakeAddresses(size);
  if (at == 0) {
    return Fail(ACL_ERROR_RT_MEMORY_ALLOCATION,
                absl::StrCat("aclrtReserveMemAddress: there are no ", bytes, " bytes of addresses left"));
  }
  reservations_[at] = {size, device};
  *out = reinterpret_cast<void*>(at);
  return ACL_SUCCESS;
}

aclError Memory::Release(void* address) {
  uint64_t bytes = 0;
  const uintptr_t at = reinterpret_cast<uintptr_t>(address);
  {
    std::lock_guard lock(mutex_);
    auto it = reservations_.find(at);
    if (it == reservations_.end()) {
      return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat("aclrtReleaseMemAddress: ", DescribeLocked(at),
                                                           ", is not what aclrtReserveMemAddress returned"));
    }
    bytes = it->second.bytes;
    auto block = blocks_.lower_bound(at);
    if (block != blocks_.end() && block->first < at + bytes) {
      return Fail(ACL_ERROR_RT_PARAM_INVALID,
                  absl::StrCat("aclrtReleaseMemAddress: ", block->second->Describe(),
                               " is still mapped there; aclrtUnmapMem first"));
    }
    reservations_.erase(it);
    auto held = unmapped_.lower_bound(at);
    if (held != unmapped_.end() && held->first < at + bytes) return ACL_SUCCESS;  // never used again, then
  }
  GiveAddresses(at, bytes);
  return ACL_SUCCESS;
}

aclError Memory::Map(void* address, uint64_t bytes, int fd, int device, std::shared_ptr<void> pages) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(address);
  std::shared_ptr<Block> block;
  {
    std::lock_guard lock(mutex_);
    auto it = reservations_.upper_bound(at);
    const bool reserved = it != reservations_.begin() &&
                          at - std::prev(it)->first < std::prev(it)->second.bytes &&
                          bytes <= std::prev(it)->second.bytes - (at - std::prev(it)->first);
    if (!reserved) {
      return Fail(ACL_ERROR_RT_PARAM_INVALID,
                  absl::StrCat("aclrtMapMem: ", bytes, " bytes at ", DescribeLocked(at),
                               ", do not lie in one reservation"));
    }
    auto next = blocks_.lower_bound(at);
    if (FindLocked(at) != nullptr || (next != blocks_.end() && next->first < at + bytes)) {
      return Fail(ACL_ERROR_RT_PARAM_INVALID,
                  absl::StrCat("aclrtMapMem: ", DescribeLocked(at), ", is mapped already"));
    }
    unmapped_.erase(unmapped_.lower_bound(at), unmapped_.lower_bound(at + bytes));
    if (mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
      return Fail(ACL_ERROR_RT_MEMORY_ALLOCATION,
                  absl::StrCat("aclrtMapMem: the host cannot map ", bytes, " bytes: ", std::strerror(errno)));
    }
    block = std::make_shared<Block>(Block::Kind::kMapped, at, bytes);
    block->device = device;
    block->pages = std::move(pages);
    block->reservation = std::prev(it)->first;
  }
  Insert(std::move(block));
  return ACL_SUCCESS;
}

aclError Memory::Unmap(void* address) {
  std::shared_ptr<Block> block = Remove(address, {Block::Kind::kMapped});
  if (block == nullptr) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat("aclrtUnmapMem: ", Describe(address), ", is not the start of a mapping"));
  }
  CheckUnused("aclrtUnmapMem", *block);
  race::OnFree("aclrtUnmapMem", *block);
  return ACL_SUCCESS;
}

}  // namespace qiao::cann

using namespace qiao::cann;  // the C functions below are the library's surface

namespace {

// Null where the properties are those of device memory; otherwise what is wrong.
const char* WrongProperties(const aclrtPhysicalMemProp* prop) {
  if (prop == nullptr) return "prop is null";
  if (prop->handleType != ACL_MEM_HANDLE_TYPE_NONE) return "handleType must be ACL_MEM_HANDLE_TYPE_NONE";
  if (prop->allocationType != ACL_MEM_ALLOCATION_TYPE_PINNED) return "allocationType must be _PINNED";
  if (prop->location.type != ACL_MEM_LOCATION_TYPE_DEVICE) return "location.type must be _DEVICE";
  if (prop->memAttr != ACL_HBM_MEM_HUGE && prop->memAttr != ACL_HBM_MEM_NORMAL &&
      prop->memAttr != ACL_HBM_MEM) {
    return "memAttr must be one of HBM";
  }
  return nullptr;
}

aclError CheckProperties(const char* api, const aclrtPhysicalMemProp* prop) {
  if (const char* wrong = WrongProperties(prop)) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(api, ": ", wrong));
  }
  if (prop->location.id >= DeviceCount()) {
    return Fail(ACL_ERROR_RT_INVALID_DEVICEID, absl::StrCat(api, ": there is no device ", prop->location.id));
  }
  return ACL_SUCCESS;
}

}  // namespace

extern "C" {

aclError aclrtMemGetAllocationGranularity(aclrtPhysicalMemProp* prop, aclrtMemGranularityOptions option,
                                          size_t* granularity) {
  if (aclError code = CheckProperties("aclrtMemGetAllocationGranularity", prop)) return code;
  if (granularity == nullptr || (option != ACL_RT_MEM_ALLOC_GRANULARITY_MINIMUM &&
                                 option != ACL_RT_MEM_ALLOC_GRANULARITY_RECOMMENDED)) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                "aclrtMemGetAllocationGranularity: granularity is null, or the option unknown");
  }
  *granularity = kGranule;
  return ACL_SUCCESS;
}

aclError aclrtMallocPhysical(aclrtDrvMemHandle* handle, size_t size, const aclrtPhysicalMemProp* prop,
                             uint64_t flags) {
  constexpr const char* kApi = "aclrtMallocPhysical";
  if (aclError code = CheckProperties(kApi, prop)) return code;
  if (handle == nullptr || size == 0 || size % kGranule != 0 || flags != 0) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(kApi, ": handle null, flags not 0, or size ", size,
                                                         " not a positive multiple of ", kGranule));
  }
  const int device = static_cast<int>(prop->location.id);
  if (!Memory::Get().Charge(device, size)) {
    return Fail(ACL_ERROR_RT_MEMORY_ALLOCATION,
                absl::StrCat(kApi, ": ", size, " bytes asked for, but device ", device, " has used ",
                             Memory::Get().used(device), " of ", CurrentProfile().hbm_bytes));
  }
  auto physical = std::make_shared<Physical>();
  physical->device = device;
  physical->bytes = size;
  physical->fd = memfd_create("qiao-cann-device-memory", MFD_CLOEXEC);
  if (physical->fd < 0 || ftruncate(physical->fd, static_cast<off_t>(size)) != 0) {
    return Fail(ACL_ERROR_RT_MEMORY_ALLOCATION, absl::StrCat(kApi, ": the host has no memory file of ", size,
                                                             " bytes: ", std::strerror(errno)));
  }
  if (GetSettings().fill) {
    void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, physical->fd, 0);
    if (at != MAP_FAILED) {
      std::memset(at, kNanByte, size);
      munmap(at, size);
    }
  }
  *handle = State().physical.Add(physical);
  return ACL_SUCCESS;
}

aclError aclrtFreePhysical(aclrtDrvMemHandle handle) {
  if (State().physical.Remove(handle) == nullptr) {
    return Fail(ACL_ERROR_RT_INVALID_HANDLE,
                absl::StrCat("aclrtFreePhysical: ", State().physical.Describe(handle)));
  }
  return ACL_SUCCESS;
}

aclError aclrtReserveMemAddress(void** virPtr, size_t size, size_t alignment, void* expectPtr,
                                uint64_t flags) {
  constexpr const char* kApi = "aclrtReserveMemAddress";
  if (virPtr == nullptr || size == 0 || alignment != 0 || expectPtr != nullptr || flags > 1) {
    return Fail(
        ACL_ERROR_RT_PARAM_INVALID,
        absl::StrCat(kApi, ": virPtr and size must be set, alignment 0, expectPtr null, flags 0 or 1"));
  }
  std::shared_ptr<Context> context = CurrentContext();
  if (context == nullptr) return FailNoContext(kApi);
  return Memory::Get().Reserve(context->device, size, virPtr);
}

aclError aclrtReleaseMemAddress(void* virPtr) { return Memory::Get().Release(virPtr); }

aclError aclrtMapMem(void* virPtr, size_t size, size_t offset, aclrtDrvMemHandle handle, uint64_t flags) {
  std::shared_ptr<Physical> physical = State().physical.Find(handle);
  if (physical == nullptr) {
    return Fail(ACL_ERROR_RT_INVALID_HANDLE,
                absl::StrCat("aclrtMapMem: ", State().physical.Describe(handle)));
  }
  if (size != physical->bytes || offset != 0 || flags != 0 ||
      reinterpret_cast<uintptr_t>(virPtr) % kGranule != 0) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat("aclrtMapMem: virPtr must be a multiple of ", kGranule, ", size the handle's ",
                             physical->bytes, " (it is ", size, "), offset and flags 0"));
  }
  return Memory::Get().Map(virPtr, size, physical->fd, physical->device, physical);
}

aclError aclrtUnmapMem(void* virPtr) { return Memory::Get().Unmap(virPtr); }

}  // extern "C"
