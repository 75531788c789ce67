#include "backends/ascend/emulator/runtime/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/check.h"
#include "backends/ascend/emulator/runtime/race.h"
#include "backends/ascend/emulator/runtime/stream.h"

namespace qiao::cann {
namespace {

[[maybe_unused]] constexpr uintptr_t kArenaAddress = 0x120000000000;
#if defined(__SANITIZE_THREAD__)
#define QIAO_CANN_SMALL_ARENA 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define QIAO_CANN_SMALL_ARENA 1
#endif
#endif
#ifdef QIAO_CANN_SMALL_ARENA
// ThreadSanitizer keeps a shadow of every mapping, has few addresses to give, and says itself where.
constexpr uint64_t kArenaBytes = uint64_t{64} << 30;
#else
constexpr uint64_t kArenaBytes = uint64_t{4} << 40;
#endif
constexpr uint64_t kSmallestArena = uint64_t{16} << 30;
constexpr size_t kMostFreedRemembered = 65536;

uint64_t RoundUp(uint64_t bytes, uint64_t to) { return (bytes + to - 1) / to * to; }

// A mapping without access in its place: the old pages go, and touching them is a fault of the processor.
void Seal(uintptr_t at, uint64_t bytes) {
  mmap(reinterpret_cast<void*>(at), bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
       -1, 0);
}

std::string Hex(uintptr_t at) { return absl::StrCat("0x", absl::Hex(at)); }

}  // namespace

Block::~Block() {
  switch (kind) {
    case Kind::kDevice:
      Seal(begin, committed);
      Memory::Get().GiveAddresses(begin, committed);
      break;
    case Kind::kMapped:
      Memory::Get().SealUnmapped(*this);
      break;
    case Kind::kPinned:
      std::free(reinterpret_cast<void*>(begin));
      break;
    case Kind::kRegistered:
      break;
  }
}

std::string Block::Describe() const {
  const char* what = kind == Kind::kDevice   ? "device memory #"
                     : kind == Kind::kMapped ? "mapped device memory #"
                     : kind == Kind::kPinned ? "pinned host memory #"
                                             : "registered host memory #";
  return absl::StrCat(what, serial, " (", bytes, " bytes at ", Hex(begin), ")");
}

Memory& Memory::Get() {
  static auto* const memory = new Memory;  // never destroyed: blocks may outlive everything else
  return *memory;
}

Memory::Memory() {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  for (uint64_t bytes = kArenaBytes; bytes >= kSmallestArena; bytes /= 4) {
    void* at = MAP_FAILED;
#if defined(MAP_FIXED_NOREPLACE) && !defined(QIAO_CANN_SMALL_ARENA)
    at = mmap(reinterpret_cast<void*>(kArenaAddress), bytes, PROT_NONE, kFlags | MAP_FIXED_NOREPLACE, -1, 0);
#endif
    if (at == MAP_FAILED) at = mmap(nullptr, bytes, PROT_NONE, kFlags, -1, 0);
    if (at == MAP_FAILED) continue;
    arena_ = reinterpret_cast<uintptr_t>(at);
    arena_bytes_ = bytes;
    next_ = RoundUp(arena_, kGranule);
    return;
  }
}

// ---- addresses ----

uintptr_t Memory::TakeAddresses(uint64_t bytes) {
  // One granule between any two, which nothing can touch.
  const uint64_t with_gap = bytes + kGranule;
  const uintptr_t end = arena_ + arena_bytes_;
  if (arena_ != 0 && next_ + with_gap > next_ && next_ + with_gap <= end) {
    const uintptr_t at = next_;
    next_ += with_gap;
    return at;
  }
  for (auto it = unused_.begin(); it != unused_.end(); ++it) {
    if (it->second != bytes && it->second <= with_gap) continue;
    const auto [at, size] = *it;
    unused_.erase(it);
    if (size > bytes) unused_[at + with_gap] = size - with_gap;
    // What was freed there is forgotten now.
    auto first = freed_.upper_bound(at);
    while (first != freed_.begin() && std::prev(first)->first + std::prev(first)->second.bytes > at) --first;
    while (first != freed_.end() && first->first < at + bytes) first = freed_.erase(first);
    return at;
  }
  return 0;
}

void Memory::GiveAddresses(uintptr_t begin, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  auto after = unused_.lower_bound(begin);
  if (after != unused_.end() && after->first == begin + bytes) {
    bytes += after->second;
    after = unused_.erase(after);
  }
  if (after != unused_.begin()) {
    auto before = std::prev(after);
    if (before->first + before->second == begin) {
      before->second += bytes;
      return;
    }
  }
  unused_[begin] = bytes;
}

void Memory::SealUnmapped(const Block& block) {
  std::lock_guard lock(mutex_);
  auto it = unmapped_.find(block.begin);
  if (it == unmapped_.end() || it->second != block.serial) return;  // something else is mapped there by now
  Seal(block.begin, block.bytes);
  unmapped_.erase(it);
}

// ---- blocks ----

void Memory::Insert(std::shared_ptr<Block> block) {
  std::lock_guard lock(mutex_);
  block->serial = ++serial_;
  freed_.erase(block->begin);
  blocks_[block->begin] = std::move(block);
}

std::shared_ptr<Block> Memory::FindLocked(uintptr_t at) {
  auto it = blocks_.upper_bound(at);
  if (it == blocks_.begin()) return nullptr;
  --it;
  const std::shared_ptr<Block>& block = it->second;
  return at - block->begin < std::max<uint64_t>(block->committed, 1) ? block : nullptr;
}

std::string Memory::DescribeLocked(uintptr_t at) {
  if (at == 0) return "a null pointer";
  if (std::shared_ptr<Block> block = FindLocked(at)) {
    const uint64_t offset = at - block->begin;
    return absl::StrCat(Hex(at), ", ",
                        offset == 0 ? "the first byte of " : absl::StrCat("byte ", offset, " of "),
                        block->Describe());
  }
  if (auto it = freed_.upper_bound(at); it != freed_.begin()) {
    --it;
    if (at - it->first < it->second.bytes) {
      return absl::StrCat(Hex(at), ", byte ", at - it->first, " of ", it->second.what);
    }
  }
  if (InArena(at)) return absl::StrCat(Hex(at), ", a device address that no allocation holds");
  return absl::StrCat(Hex(at), ", an address of pageable host memory");
}

std::string Memory::Describe(const void* address) {
  std::lock_guard lock(mutex_);
  return DescribeLocked(reinterpret_cast<uintptr_t>(address));
}

Where Memory::Classify(const void* address) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(address);
  if (InArena(at)) return Where::kDevice;
  std::lock_guard lock(mutex_);
  std::shared_ptr<Block> block = FindLocked(at);
  return block == nullptr ? Where::kPageable : Where::kPinned;
}

aclError Memory::Find(const void* address, uint64_t bytes, Pins* pins, std::string* why) {
  if (bytes == 0) return ACL_SUCCESS;
  const uintptr_t at = reinterpret_cast<uintptr_t>(address);
  std::string overrun;
  {
    std::lock_guard lock(mutex_);
    const auto refuse = [&](std::string text) {
      if (why != nullptr) *why = std::move(text);
      return ACL_ERROR_RT_PARAM_INVALID;
    };
    if (at + bytes < at)
      return refuse(absl::StrCat(bytes, " bytes at ", Hex(at), " go past the end of memory"));
    const uintptr_t end = at + bytes;
    for (uintptr_t next = at; next < end;) {
      std::shared_ptr<Block> block = FindLocked(next);
      if (block == nullptr && next == at) return refuse(DescribeLocked(at));
      if (block == nullptr) {
        return refuse(
            absl::StrCat(bytes, " bytes at ", DescribeLocked(at), ", go past its end at ", Hex(next)));
      }
      const bool fits = end - block->begin <= block->extent;
      if (!fits && block->kind != Block::Kind::kMapped) {
        if (end - block->begin > block->committed || GetSettings().stress()) {
          return refuse(absl::StrCat(bytes, " bytes at ", DescribeLocked(at), ", go ",
                                     end - block->begin - block->bytes, " bytes past its end"));
        }
        overrun = absl::StrCat(bytes, " bytes at ", DescribeLocked(at), ", go ",
                               end - block->begin - block->bytes, " bytes past its end");
      }
      next = block->begin + block->committed;
      if (pins != nullptr && (pins->empty() || pins->back() != block)) pins->push_back(std::move(block));
    }
  }
  if (!overrun.empty()) Warn("overrun", overrun);
  return ACL_SUCCESS;
}

std::shared_ptr<Block> Memory::Remove(void* address, std::initializer_list<Block::Kind> kinds) {
  std::lock_guard lock(mutex_);
  auto it = blocks_.find(reinterpret_cast<uintptr_t>(address));
  if (it == blocks_.end() || std::find(kinds.begin(), kinds.end(), it->second->kind) == kinds.end())
    return nullptr;
  std::shared_ptr<Block> block = std::move(it->second);
  blocks_.erase(it);
  block->freed = true;
  if (block->kind == Block::Kind::kMapped) unmapped_[block->begin] = block->serial;
  if (block->kind != Block::Kind::kRegistered) {
    if (freed_.size() >= kMostFreedRemembered) freed_.erase(freed_.begin());
    freed_[block->begin] = {block->committed, absl::StrCat(block->Describe(), ", which was freed")};
  }
  return block;
}

// ---- device memory ----

bool Memory::Charge(int device, uint64_t bytes) {
  const uint64_t total = CurrentProfile().hbm_bytes;
  std::lock_guard lock(mutex_);
  uint64_t& used = used_[device];
  if (bytes > total || used > total - bytes) return false;
  used += bytes;
  return true;
}

void Memory::Refund(int device, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  used_[device] -= bytes;
}

uint64_t Memory::used(int device) {
  std::lock_guard lock(mutex_);
  return used_[device];
}

aclError Memory::Malloc(const char* api, int device, uint64_t bytes, void** out) {
  *out = nullptr;
  const uint64_t total = CurrentProfile().hbm_bytes;
  const uint64_t extent = RoundUp(std::min(bytes, total), 32) + 32;
  if (bytes > total || !Charge(device, extent)) {
    return Fail(ACL_ERROR_RT_MEMORY_ALLOCATION,
                absl::StrCat(api, ": ", bytes, " bytes asked for, ", total - std::min(total, used(device)),
                             " of ", total, " are free on device ", device));
  }
  const uint64_t committed = RoundUp(extent, kGranule);
  uintptr_t at = 0;
  {
    std::lock_guard lock(mutex_);
    at = TakeAddresses(committed);
  }
  void* memory = reinterpret_cast<void*>(at);
  if (at == 0 || mprotect(memory, committed, PROT_READ | PROT_WRITE) != 0) {
    Refund(device, extent);
    if (at != 0) GiveAddresses(at, committed);
    return Fail(
        ACL_ERROR_RT_MEMORY_ALLOCATION,
        absl::StrCat(api, ": the host has no ", at == 0 ? "addresses" : "memory", " for ", bytes, " bytes"));
  }
  auto block = std::make_shared<Block>(Block::Kind::kDevice, at, bytes);
  block->extent = extent;
  block->committed = committed;
  block->device = device;
  if (GetSettings().fill) std::memset(memory, kNanByte, extent);
  Insert(std::move(block));
  *out = memory;
  return ACL_SUCCESS;
}

aclError Memory::Free(const char* api, void* address) {
  std::shared_ptr<Block> block = Remove(address, {Block::Kind::kDevice});
  if (block == nullptr) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat(api, ": ", Describe(address),
                             ", is not the start of living device memory of aclrtMalloc"));
  }
  Refund(block->device, block->extent);
  CheckUnused(api, *block);
  race::OnFree(api, *block);
  return ACL_SUCCESS;
}

// ---- pinned host memory ----

aclError Memory::MallocHost(uint64_t bytes, void** out) {
  *out = nullptr;
  const uint64_t size = bytes <= (uint64_t{1} << 46) ? RoundUp(bytes, 64) : 0;
  void* at = size == 0 ? nullptr : std::aligned_alloc(64, size);
  if (at == nullptr) {
    return Fail(ACL_ERROR_RT_MEMORY_ALLOCATION,
                absl::StrCat("aclrtMallocHost: the host has no ", bytes, " bytes"));
  }
  auto block = std::make_shared<Block>(Block::Kind::kPinned, reinterpret_cast<uintptr_t>(at), bytes);
  block->extent = block->committed = size;
  if (GetSettings().fill) std::memset(at, kNanByte, size);
  Insert(std::move(block));
  *out = at;
  return ACL_SUCCESS;
}

aclError Memory::FreeHost(void* address) {
  std::shared_ptr<Block> block = Remove(address, {Block::Kind::kPinned});
  if (block == nullptr) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat("aclrtFreeHost: ", Describe(address),
                             ", is not the start of living memory of aclrtMallocHost"));
  }
  CheckUnused("aclrtFreeHost", *block);
  race::OnFree("aclrtFreeHost", *block);
  return ACL_SUCCESS;
}

aclError Memory::Register(void* address, uint64_t bytes) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(address);
  {
    std::lock_guard lock(mutex_);
    auto next = blocks_.lower_bound(at);
    const bool taken = InArena(at) || FindLocked(at) != nullptr || at + bytes < at ||
                       (next != blocks_.end() && next->first < at + bytes);
    if (taken) {
      return Fail(ACL_ERROR_RT_PARAM_INVALID,
                  absl::StrCat("aclrtHostRegister: ", bytes, " bytes at ", DescribeLocked(at),
                               ": they are a device's, or registered or pinned already"));
    }
  }
  Insert(std::make_shared<Block>(Block::Kind::kRegistered, at, bytes));
  return ACL_SUCCESS;
}

aclError Memory::Unregister(void* address) {
  std::shared_ptr<Block> block = Remove(address, {Block::Kind::kRegistered});
  if (block == nullptr) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat("aclrtHostUnregister: ", Describe(address), ", was not registered"));
  }
  CheckUnused("aclrtHostUnregister", *block);
  race::OnFree("aclrtHostUnregister", *block);
  return ACL_SUCCESS;
}

std::pair<uint64_t, uint64_t> Memory::Living() {
  std::lock_guard lock(mutex_);
  std::pair<uint64_t, uint64_t> living;
  for (const auto& [at, block] : blocks_) {
    if (!block->on_device()) continue;
    ++living.first;
    living.second += block->bytes;
  }
  return living;
}

aclError CheckDeviceRange(const void* address, uint64_t bytes, std::string* why) {
  if (bytes != 0 && Memory::Get().Classify(address) != Where::kDevice) {
    if (why != nullptr) *why = Memory::Get().Describe(address);
    return ACL_ERROR_RT_PARAM_INVALID;
  }
  return Memory::Get().Find(address, bytes, nullptr, why);
}

}  // namespace qiao::cann
