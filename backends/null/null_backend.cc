// The null backend: a device that has memory, order and no operation. It is the template of a port: copy the
// folder and follow README.md, which goes through this file from top to bottom. What a chip's runtime does is
// done here with host memory, and a comment names the call that will stand in its place.
//
// The memory is *separate*: the host never reads or writes it, everything goes through copies. Do not start
// with QIAO_DEVICE_UNIFIED, even on a chip that has it: what works with copies works without them.
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <qiao/backend.hpp>
#include <string>
#include <unordered_map>
#include <utility>

namespace {

using namespace qiao::plugin;

// ---- order ----

// One in-order queue. On a chip it holds the runtime's stream; Copy, Fill and the kernels then only enqueue.
class NullStream : public Stream {
 public:
  // memcpyAsync(dst, src, bytes, kind, stream)
  Status Copy(int32_t kind, void* dst, const void* src, uint64_t bytes) override {
    if (kind != QIAO_COPY_TO_DEVICE && kind != QIAO_COPY_TO_HOST && kind != QIAO_COPY_ON_DEVICE) {
      return InvalidArgument(Format("copy: kind %d is unknown", kind));
    }
    if (bytes > 0) std::memmove(dst, src, bytes);
    return Ok();
  }

  // memsetAsync(dst, byte, bytes, stream)
  Status Fill(void* dst, uint8_t byte, uint64_t bytes) override {
    if (bytes > 0) std::memset(dst, byte, bytes);
    return Ok();
  }

  // streamSynchronize(stream); late faults of kernels come to light here: answer DeviceLost(text, code) for
  // those after which the context is unusable.
  Status Synchronize() override { return Ok(); }
};

// A point in a stream's work. On a chip: eventRecord, streamWaitEvent, eventSynchronize, eventElapsedTime.
class NullEvent : public Event {
 public:
  Status Record(Stream&) override {
    time_ = std::chrono::steady_clock::now();
    return Ok();
  }
  Status Wait(Stream&) override { return Ok(); }
  Status Synchronize() override { return Ok(); }
  Status Elapsed(const Event& start, double& seconds) const override {
    seconds = std::chrono::duration<double>(time_ - static_cast<const NullEvent&>(start).time_).count();
    return Ok();
  }

 private:
  std::chrono::steady_clock::time_point time_{};
};

// ---- the device ----

class NullDevice : public Device {
 public:
  // How many devices this machine has. With none, say why: "no driver", "driver 1.2 is too old, 1.4 is
  // needed".
  static uint32_t Count(std::string& /*why*/) { return 1; }

  static Status Open(uint32_t /*index*/, Host host, std::unique_ptr<Device>& out) {
    int64_t memory_mib = 0;
    Options options(host);
    options.Integer("memory_mib", memory_mib, 0, int64_t{1} << 40);
    QIAO_PLUGIN_RETURN_IF_ERROR(options.Finish());
    out = std::make_unique<NullDevice>(std::move(host), static_cast<uint64_t>(memory_mib) << 20);
    return Ok();
  }

  NullDevice(Host host, uint64_t memory_bytes) : host_(std::move(host)), memory_bytes_(memory_bytes) {
    // Operations are added here, one line each:
    //   registry().Add<RmsNormOp>(QIAO_OP_RMSNORM);
  }

  ~NullDevice() override {
    for (const auto& [pointer, bytes] : allocations_) Return(pointer, bytes);
  }

  Status Properties(qiao_device_properties& properties) override {
    std::lock_guard lock(mutex_);
    properties.flags = QIAO_DEVICE_EMULATED;
    properties.alignment = kAlignment;
    properties.memory_bytes = memory_bytes_;
    properties.memory_free_bytes = memory_bytes_ > used_ ? memory_bytes_ - used_ : 0;
    SetText(properties.name, "null");
    SetText(properties.description, "the template of a port: memory and order, no operations");
    return Ok();
  }

  // Reserve, take, and give back what was reserved when taking fails: the embedder's budget counts on it.
  Status Allocate(uint64_t bytes, void** out) override {
    std::lock_guard lock(mutex_);
    if (memory_bytes_ > 0 && bytes > memory_bytes_ - used_) {
      return ResourceExhausted(Format("%llu bytes asked for, %llu of %llu free", Number(bytes),
                                      Number(memory_bytes_ - used_), Number(memory_bytes_)));
    }
    QIAO_PLUGIN_RETURN_IF_ERROR(host_.Reserve(bytes));
    void* pointer = host_.Allocate(bytes, kAlignment);  // deviceMalloc(&pointer, bytes)
    if (!pointer) {
      host_.Release(bytes);
      return ResourceExhausted(Format("the host has no %llu bytes left", Number(bytes)));
    }
    try {
      allocations_.emplace(pointer, bytes);
    } catch (...) {
      Return(pointer, bytes);
      throw;  // the adapter makes a code of it
    }
    used_ += bytes;
    *out = pointer;
    return Ok();
  }

  void Free(void* pointer) override {
    std::lock_guard lock(mutex_);
    auto it = allocations_.find(pointer);
    if (it == allocations_.end()) return;
    used_ -= it->second;
    Return(it->first, it->second);
    allocations_.erase(it);
  }

  Status CreateStream(std::unique_ptr<Stream>& out) override {
    out = std::make_unique<NullStream>();
    return Ok();
  }

  Status CreateEvent(std::unique_ptr<Event>& out) override {
    out = std::make_unique<NullEvent>();
    return Ok();
  }

 private:
  static constexpr uint64_t kAlignment = 256;

  static unsigned long long Number(uint64_t n) { return n; }

  void Return(void* pointer, uint64_t bytes) {
    host_.Deallocate(pointer, bytes);  // deviceFree(pointer)
    host_.Release(bytes);
  }

  Host host_;
  const uint64_t memory_bytes_;  // 0: as much as the host has
  std::mutex mutex_;             // guards what follows
  uint64_t used_ = 0;
  std::unordered_map<void*, uint64_t> allocations_;
};

}  // namespace

QIAO_DEFINE_BACKEND(NullDevice, "null", "0.1.0", "Qiao")
