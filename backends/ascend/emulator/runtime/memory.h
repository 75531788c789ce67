// What lives where: device allocations and mappings, pinned host memory. Device memory is host memory inside one range of
// reserved addresses (0x1200_0000_0000 where the system lets us), so that a device pointer is known by its address, and
// what was freed is known too: addresses are not used again before the range is used up.
#pragma once

#include <acl/acl_base.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backends/ascend/emulator/runtime/emulator.h"

namespace qiao::cann {

// Pages are given to allocations in pieces of this size; also the granularity of physical memory.
inline constexpr uint64_t kGranule = uint64_t{2} << 20;

// What fresh device and pinned memory holds: NaN in every float format, -1 in every integer.
inline constexpr int kNanByte = 0xFF;

// A span of memory, alive until it is freed. Its pages stay until the last task that holds the block has run.
struct Block {
  enum class Kind { kDevice, kMapped, kPinned, kRegistered };
  Block(Kind k, uintptr_t at, uint64_t size)
      : kind(k), begin(at), bytes(size), extent(size), committed(size) {}
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  bool on_device() const { return kind == Kind::kDevice || kind == Kind::kMapped; }

  const Kind kind;
  const uintptr_t begin;
  const uint64_t bytes;  // as asked for
  uint64_t extent;       // what CANN lets a client touch: rounded up to 32, and 32 more
  uint64_t committed;    // what is there: touching it is an overrun, but reaches no other allocation
  int device = 0;
  uint64_t serial = 0;
  uintptr_t reservation = 0;    // of a mapping
  std::shared_ptr<void> pages;  // of a mapping: the physical memory
  std::atomic<bool> freed{false};

  // "device memory #3 (4096 bytes at 0x120000000000)"
  std::string Describe() const;
};

using Pins = std::vector<std::shared_ptr<Block>>;

enum class Where { kPageable, kPinned, kDevice };

// All of it, once a process; thread-safe. Functions that return aclError have called Fail.
class Memory {
 public:
  static Memory& Get();

  aclError Malloc(const char* api, int device, uint64_t bytes, void** out);
  aclError Free(const char* api, void* address);
  aclError MallocHost(uint64_t bytes, void** out);
  aclError FreeHost(void* address);
  aclError Register(void* address, uint64_t bytes);
  aclError Unregister(void* address);

  aclError Reserve(int device, uint64_t bytes, void** out);
  aclError Release(void* address);
  // Puts `pages` (a memfd's descriptor) at `address`.
  aclError Map(void* address, uint64_t bytes, int fd, int device, std::shared_ptr<void> pages);
  aclError Unmap(void* address);

  // Charges a device for memory; false where it has not as much left.
  bool Charge(int device, uint64_t bytes);
  void Refund(int device, uint64_t bytes);
  uint64_t used(int device);

  // Where an address points; device addresses need not be alive.
  Where Classify(const void* address);

  // ACL_SUCCESS where the range lies in one live block (device or pinned), or in adjacent mappings; pins (may be null)
  // receives the blocks. Behind a block's extent but within its pages it succeeds with a warning (stress: not). Otherwise a
  // code, and *why. A pageable address is an error: it is no device's.
  aclError Find(const void* address, uint64_t bytes, Pins* pins, std::string* why);

  // What an address that is not a living block's is: "freed: ...", "a host address".
  std::string Describe(const void* address);

  // Living device blocks and their bytes.
  std::pair<uint64_t, uint64_t> Living();

 private:
  friend struct Block;
  Memory();
  std::string DescribeLocked(uintptr_t at);
  std::shared_ptr<Block> FindLocked(uintptr_t at);
  std::shared_ptr<Block> Remove(void* address, std::initializer_list<Block::Kind> kinds);
  void Insert(std::shared_ptr<Block> block);
  uintptr_t TakeAddresses(uint64_t bytes);
  void GiveAddresses(uintptr_t begin, uint64_t bytes);
  void SealUnmapped(const Block& block);
  bool InArena(uintptr_t at) const { return at >= arena_ && at - arena_ < arena_bytes_; }

  struct Freed {
    uint64_t bytes;
    std::string what;
  };
  struct Reservation {
    uint64_t bytes;
    int device;
  };

  std::mutex mutex_;
  uintptr_t arena_ = 0;
  uint64_t arena_bytes_ = 0;
  uintptr_t next_ = 0;                    // addresses from here on were never given out
  std::map<uintptr_t, uint64_t> unused_;  // given back
  std::map<uintptr_t, std::shared_ptr<Block>> blocks_;
  std::map<uintptr_t, Freed> freed_;
  std::map<uintptr_t, Reservation> reservations_;
  std::map<uintptr_t, uint64_t> unmapped_;  // serials of mappings that queued tasks still hold, by address
  std::map<int, uint64_t> used_;
  uint64_t serial_ = 0;
};

}  // namespace qiao::cann
