// Buffers, streams and events.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "runtime/hal/device.h"
#include "runtime/hal/device_state.h"

namespace qiao::hal {
namespace {

std::string Bytes(uint64_t bytes) {
  return absl::StrFormat("%d bytes (%.1f MiB)", bytes, static_cast<double>(bytes) / (1 << 20));
}

}  // namespace

// ---- Buffer ----

absl::StatusOr<Buffer> Device::Allocate(uint64_t bytes) const {
  QIAO_RETURN_IF_ERROR(Alive());
  Error error;
  void* data = nullptr;
  if (const int32_t code = backend_->table().allocate(handle_, bytes, &data, &error); code != QIAO_OK) {
    return Failed(code, error, absl::StrFormat("allocating %s", Bytes(bytes)));
  }
  Buffer buffer;
  buffer.device_ = shared_from_this();
  buffer.data_ = data;
  buffer.size_ = bytes;
  if (!data) return Internal("device %s: allocating %s: the plugin answers OK and null", name_, Bytes(bytes));
  if (reinterpret_cast<uintptr_t>(data) % alignment() != 0) {
    return Internal("device %s: allocating %s: the plugin gives %p, which is not aligned to its own %d",
                    name_, Bytes(bytes), data, alignment());
  }
  return buffer;
}

Buffer::Buffer(Buffer&& other) noexcept { *this = std::move(other); }

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this == &other) return *this;
  Buffer old;  // frees what this held
  old.device_ = std::exchange(device_, std::move(other.device_));
  old.data_ = std::exchange(data_, std::exchange(other.data_, nullptr));
  old.size_ = std::exchange(size_, std::exchange(other.size_, 0));
  other.device_.reset();
  return *this;
}

Buffer::~Buffer() {
  if (device_ && data_) device_->backend_->table().free(device_->handle_, data_);
}

// ---- Stream ----

absl::StatusOr<Stream> Device::CreateStream() const {
  QIAO_RETURN_IF_ERROR(Alive());
  Error error;
  qiao_stream* handle = nullptr;
  if (const int32_t code = backend_->table().stream_create(handle_, &handle, &error); code != QIAO_OK) {
    return Failed(code, error, "creating a stream");
  }
  if (!handle) return Internal("device %s: creating a stream: the plugin answers OK and null", name_);
  Stream stream;
  stream.device_ = shared_from_this();
  stream.handle_ = handle;
  stream.number_ = state_->streams.fetch_add(1, std::memory_order_relaxed);
  return stream;
}

Stream::Stream(Stream&& other) noexcept { *this = std::move(other); }

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this == &other) return *this;
  Stream old;
  old.device_ = std::exchange(device_, std::move(other.device_));
  old.handle_ = std::exchange(handle_, std::exchange(other.handle_, nullptr));
  number_ = other.number_;
  other.device_.reset();
  return *this;
}

Stream::~Stream() {
  if (device_ && handle_) device_->backend_->table().stream_destroy(handle_);
}

absl::Status Stream::Copy(int32_t kind, void* dst, const void* src, uint64_t bytes) {
  if (!handle_) return FailedPrecondition("copying on a stream that was never created");
  QIAO_RETURN_IF_ERROR(device_->Alive());
  Error error;
  const int32_t code = device_->backend_->table().copy(handle_, kind, dst, src, bytes, &error);
  if (code == QIAO_OK) return absl::OkStatus();
  constexpr const char* kKinds[] = {"", "to the device", "to the host", "on the device"};
  return device_->Failed(code, error,
                         absl::StrFormat("copying %s %s, stream %d", Bytes(bytes), kKinds[kind], number_));
}

absl::Status Stream::CopyToDevice(void* dst, const void* src, uint64_t bytes) {
  return Copy(QIAO_COPY_TO_DEVICE, dst, src, bytes);
}
absl::Status Stream::CopyToHost(void* dst, const void* src, uint64_t bytes) {
  return Copy(QIAO_COPY_TO_HOST, dst, src, bytes);
}
absl::Status Stream::CopyOnDevice(void* dst, const void* src, uint64_t bytes) {
  return Copy(QIAO_COPY_ON_DEVICE, dst, src, bytes);
}

absl::Status Stream::Fill(void* dst, int byte, uint64_t bytes) {
  if (!handle_) return FailedPrecondition("filling on a stream that was never created");
  QIAO_RETURN_IF_ERROR(device_->Alive());
  Error error;
  const int32_t code = device_->backend_->table().fill(handle_, dst, byte, bytes, &error);
  if (code == QIAO_OK) return absl::OkStatus();
  return device_->Failed(code, error, absl::StrFormat("filling %s, stream %d", Bytes(bytes), number_));
}

absl::Status Stream::Synchronize() {
  if (!handle_) return FailedPrecondition("synchronising a stream that was never created");
  QIAO_RETURN_IF_ERROR(device_->Alive());
  Error error;
  const int32_t code = device_->backend_->table().stream_synchronize(handle_, &error);
  if (code == QIAO_OK) return absl::OkStatus();
  absl::Status status = device_->Failed(code, error, absl::StrFormat("synchronising stream %d", number_));
  if (code == QIAO_DEVICE_LOST) return status;  // names the launches already
  // What an asynchronous device did wrong earlier comes to light here.
  return absl::Status(status.code(), std::string(Message(status)) + device_->state_->ring.ToString());
}

// ---- Event ----

absl::StatusOr<Event> Device::CreateEvent() const {
  QIAO_RETURN_IF_ERROR(Alive());
  Error error;
  qiao_event* handle = nullptr;
  if (const int32_t code = backend_->table().event_create(handle_, &handle, &error); code != QIAO_OK) {
    return Failed(code, error, "creating an event");
  }
  if (!handle) return Internal("device %s: creating an event: the plugin answers OK and null", name_);
  Event event;
  event.device_ = shared_from_this();
  event.handle_ = handle;
  return event;
}

Event::Event(Event&& other) noexcept { *this = std::move(other); }

Event& Event::operator=(Event&& other) noexcept {
  if (this == &other) return *this;
  Event old;
  old.device_ = std::exchange(device_, std::move(other.device_));
  old.handle_ = std::exchange(handle_, std::exchange(other.handle_, nullptr));
  other.device_.reset();
  return *this;
}

Event::~Event() {
  if (device_ && handle_) device_->backend_->table().event_destroy(handle_);
}

absl::Status Event::Record(Stream& stream) {
  if (!handle_ || !stream.handle())
    return FailedPrecondition("recording an event or stream that was never created");
  if (stream.device() != device_) return InvalidArgument("recording an event on a stream of another device");
  QIAO_RETURN_IF_ERROR(device_->Alive());
  Error error;
  const int32_t code = device_->backend_->table().event_record(handle_, stream.handle(), &error);
  return code == QIAO_OK ? absl::OkStatus() : device_->Failed(code, error, "recording an event");
}

absl::Status Event::Wait(Stream& stream) {
  if (!handle_ || !stream.handle())
    return FailedPrecondition("waiting for an event or stream that was never created");
  if (stream.device() != device_)
    return InvalidArgument("a stream of another device cannot wait for this event");
  QIAO_RETURN_IF_ERROR(device_->Alive());
  Error error;
  const int32_t code = device_->backend_->table().event_wait(handle_, stream.handle(), &error);
  return code == QIAO_OK ? absl::OkStatus()
                         : device_->Failed(code, error, "waiting for an event on a stream");
}

absl::Status Event::Synchronize() {
  if (!handle_) return FailedPrecondition("waiting for an event that was never created");
  QIAO_RETURN_IF_ERROR(device_->Alive());
  Error error;
  const int32_t code = device_->backend_->table().event_synchronize(handle_, &error);
  return code == QIAO_OK ? absl::OkStatus() : device_->Failed(code, error, "waiting for an event");
}

absl::StatusOr<double> Event::Elapsed(const Event& start, const Event& end) {
  if (!start.handle_ || !end.handle_)
    return FailedPrecondition("timing with an event that was never created");
  if (start.device_ != end.device_) return InvalidArgument("timing with events of two devices");
  QIAO_RETURN_IF_ERROR(end.device_->Alive());
  Error error;
  double seconds = 0;
  const int32_t code =
      end.device_->backend_->table().event_elapsed(start.handle_, end.handle_, &seconds, &error);
  if (code != QIAO_OK) return end.device_->Failed(code, error, "asking for the time between two events");
  return seconds;
}

}  // namespace qiao::hal
