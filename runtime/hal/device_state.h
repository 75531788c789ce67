// What a device keeps beside its handle: the embedder's hooks, plans by signature, the last launches, and the
// fault that ended it; and the error that every call of the table may fill. Inside runtime/hal only.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "runtime/hal/device.h"

namespace qiao::hal {

// The message is left as it is but for its first byte: an error is made for every call and read for few.
struct Error : qiao_error {
  Error() {
    struct_size = sizeof(qiao_error);
    code = QIAO_OK;
    vendor_code = 0;
    message[0] = '\0';
  }
};

// The last launches of all streams, for errors: asynchronous faults surface late, and the culprit is among
// these. Recording takes no lock and allocates nothing. A reader may see a launch that is being replaced as
// either of the two.
class LaunchRing {
 public:
  static constexpr uint64_t kSize = 16;

  // `description` must outlive the ring.
  void Record(const std::string* description, uint32_t stream) {
    Entry& entry = entries_[next_.fetch_add(1, std::memory_order_relaxed) % kSize];
    entry.description.store(description, std::memory_order_relaxed);
    entry.stream.store(stream, std::memory_order_relaxed);
  }

  // "\nlast launches, newest first:\n  #12 linear(...), stream 1", or empty.
  std::string ToString() const;

 private:
  struct Entry {
    std::atomic<const std::string*> description{nullptr};
    std::atomic<uint32_t> stream{0};
  };
  std::array<Entry, kSize> entries_;
  std::atomic<uint64_t> next_{0};
};

struct Device::State {
  HostHooks hooks;
  Describe describe = nullptr;

  LaunchRing ring;
  std::atomic<uint32_t> streams{0};

  // Plans are found again while somebody holds them. Entries stay, and with them the descriptions that the
  // ring points to: there are as many as a process ever prepares different calls.
  struct Known {
    std::unique_ptr<const std::string> description;
    std::weak_ptr<const Plan> plan;
  };
  std::mutex plans_mutex;
  absl::flat_hash_map<std::string, Known> plans;

  std::atomic<bool> lost{false};
  std::mutex lost_mutex;
  std::string first_fault;  // set before `lost`, never changed afterwards
};

}  // namespace qiao::hal
