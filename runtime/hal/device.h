// A device, its memory, its order of work and its plans: thin C++ over the plugin's table. Every handle keeps
// the device, and through it the plugin, alive.
#pragma once

#include <qiao/backend.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/status.h"
#include "runtime/hal/backend.h"

namespace qiao::hal {

class Device;

// The embedder's hooks, all optional. They outlive the device and may be called from any thread.
struct HostHooks {
  std::function<void(int level, std::string_view message)> log;
  std::function<bool(uint64_t bytes)> reserve;
  std::function<void(uint64_t bytes)> release;
  std::function<void*(uint64_t bytes, uint64_t alignment)> allocate;
  std::function<void(void* pointer, uint64_t bytes)> deallocate;
};

struct DeviceOptions {
  std::map<std::string, std::string> options;  // passed to the plugin: {"threads", "2"}
  HostHooks hooks;
};

// Device memory; move-only, freed with the object.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();
  void* data() const { return data_; }
  uint64_t size() const { return size_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  friend class Device;
  std::shared_ptr<const Device> device_;
  void* data_ = nullptr;
  uint64_t size_ = 0;
};

// An in-order queue; move-only.
class Stream {
 public:
  Stream() = default;
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;
  ~Stream();
  // Host memory must stay until the stream has passed the copy; Synchronize makes sure.
  absl::Status CopyToDevice(void* dst, const void* src, uint64_t bytes);
  absl::Status CopyToHost(void* dst, const void* src, uint64_t bytes);
  absl::Status CopyOnDevice(void* dst, const void* src, uint64_t bytes);
  absl::Status Fill(void* dst, int byte, uint64_t bytes);
  absl::Status Synchronize();
  qiao_stream* handle() const { return handle_; }
  const std::shared_ptr<const Device>& device() const { return device_; }

 private:
  friend class Device;
  absl::Status Copy(int32_t kind, void* dst, const void* src, uint64_t bytes);
  std::shared_ptr<const Device> device_;
  qiao_stream* handle_ = nullptr;
  uint32_t number_ = 0;  // in errors: "stream 1"
};

class Event {
 public:
  Event() = default;
  Event(Event&& other) noexcept;
  Event& operator=(Event&& other) noexcept;
  ~Event();
  absl::Status Record(Stream& stream);
  absl::Status Wait(Stream& stream);  // the stream waits for the event
  absl::Status Synchronize();         // the host does
  // Seconds from start to end, both passed.
  static absl::StatusOr<double> Elapsed(const Event& start, const Event& end);

 private:
  friend class Device;
  std::shared_ptr<const Device> device_;
  qiao_event* handle_ = nullptr;
};

// A prepared operation: immutable, shared by threads.
class Plan {
 public:
  ~Plan();
  uint32_t op() const { return op_; }
  uint64_t workspace_bytes() const { return info_.workspace_bytes; }
  bool row_invariant() const { return info_.flags & QIAO_PLAN_ROW_INVARIANT; }
  bool capturable() const { return info_.flags & QIAO_PLAN_CAPTURABLE; }
  bool reads_host_batch() const { return info_.flags & QIAO_PLAN_READS_HOST_BATCH; }
  std::string kernel() const { return info_.kernel; }
  const Device& device() const { return *device_; }

 private:
  friend class Device;
  Plan() = default;
  std::shared_ptr<const Device> device_;
  qiao_plan* handle_ = nullptr;
  qiao_plan_info info_{};
  uint32_t op_ = 0;
  const std::string* description_ = nullptr;  // the call, for errors; belongs to the device
};

struct Support {
  bool yes = false;
  std::string why;
};

// Thread-safe, apart from what is said of streams in qiao/backend.h.
class Device : public std::enable_shared_from_this<Device> {
 public:
  // How calls are described in errors; set by the layer that knows the catalogue. The default prints op ids.
  using Describe = std::string (*)(const qiao_op_call&);

  static absl::StatusOr<std::shared_ptr<const Device>> Open(std::shared_ptr<const Backend> backend,
                                                            uint32_t index, DeviceOptions options,
                                                            Describe describe = nullptr);
  // "cpu", "mychip:1": NAME or NAME:INDEX. Loads the plugin and opens the device.
  static absl::StatusOr<std::shared_ptr<const Device>> Open(std::string_view name, DeviceOptions options,
                                                            Describe describe = nullptr);
  ~Device();

  const std::string& name() const { return name_; }  // as it was asked for
  const Backend& backend() const { return *backend_; }
  const qiao_device_properties& properties() const { return properties_; }
  bool unified() const { return properties_.flags & QIAO_DEVICE_UNIFIED; }
  uint64_t alignment() const { return properties_.alignment; }

  // What the device can do at most, measured now: seconds, in which nothing else should run. `stream_bytes`
  // is how much memory the reads go over, 0 the backend's choice. UNIMPLEMENTED where the backend measures
  // nothing.
  absl::StatusOr<qiao_device_limits> MeasureLimits(uint64_t stream_bytes = 0) const;

  absl::StatusOr<Buffer> Allocate(uint64_t bytes) const;
  absl::StatusOr<Stream> CreateStream() const;
  absl::StatusOr<Event> CreateEvent() const;

  // A plugin without weight_choose: PIECES on unified devices; elsewhere row-major matrices of the pieces'
  // dtype, or of f32 where pieces are block-scaled or of different dtypes, so that nothing is lost. What is
  // STRIDED and has no scheme the HAL stores itself where the plugin's weight_store is UNIMPLEMENTED: in the
  // pieces' dtype, in f32, or in bf16, rounded to nearest, ties to even. StoreWeight returns when `dst` is
  // written.
  absl::StatusOr<qiao_weight_choice> ChooseWeight(const qiao_weight_request& request) const;
  absl::Status StoreWeight(Stream& stream, const qiao_weight_request& request,
                           const qiao_weight_choice& choice, void* dst) const;
  // Fills offset and strides of each kind; returns the pool's bytes.
  absl::StatusOr<uint64_t> ChooseCache(int64_t pages, int64_t page_tokens,
                                       absl::Span<qiao_row_kind> kinds) const;

  absl::StatusOr<Support> Supports(const qiao_op_call& call) const;
  absl::StatusOr<uint64_t> OutputBytes(const qiao_op_call& call) const;
  // Plans are cached by signature: equal calls get the same plan.
  absl::StatusOr<std::shared_ptr<const Plan>> Prepare(const qiao_op_call& call) const;
  // An error carries the operation, its shapes, the device, the vendor's code and text, and the last
  // launches.
  absl::Status Launch(const Plan& plan, Stream& stream, const qiao_launch& launch) const;

 private:
  friend class Buffer;
  friend class Stream;
  friend class Event;
  friend class Plan;
  friend absl::StatusOr<std::shared_ptr<const Device>> OpenMetaDevice(std::shared_ptr<const Device> like);
  struct State;  // plan cache, launch ring, hooks
  Device() = default;
  // Takes ownership of `handle`, also where it fails.
  static absl::StatusOr<std::shared_ptr<const Device>> Adopt(std::shared_ptr<const Backend> backend,
                                                             std::string name, qiao_device* handle,
                                                             std::unique_ptr<State> state);
  static std::unique_ptr<State> NewState(HostHooks hooks, Describe describe);
  // OK, or what made the device unusable.
  absl::Status Alive() const;
  // A failed call as a Status; a lost device is remembered.
  absl::Status Failed(int32_t code, const qiao_error& error, std::string_view doing) const;
  absl::Status StorePieces(Stream& stream, const qiao_weight_request& request,
                           const qiao_weight_choice& choice, void* dst) const;

  std::shared_ptr<const Backend> backend_;
  std::string name_;
  qiao_device* handle_ = nullptr;
  qiao_device_properties properties_{};
  std::unique_ptr<State> state_;  // outlives handle_, which may call the hooks while it closes
};

// A device that claims every operation, holds no memory and runs nothing: for planning a model of any size.
// Workspace sizes, weight choices and cache packing are those that `like` would answer; its own where `like`
// does not support a call. Addresses it hands out are never touched, so it is never unified; copies to it,
// fills and stored weights go nowhere, copies from it and launches are FAILED_PRECONDITION.
absl::StatusOr<std::shared_ptr<const Device>> OpenMetaDevice(std::shared_ptr<const Device> like);

}  // namespace qiao::hal
