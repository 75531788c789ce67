#include "backends/ascend/stream.h"

#include <algorithm>

#include "backends/ascend/cann/errors.h"
#include "backends/ascend/capture.h"
#include "backends/ascend/device.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

// Recordings that a stream keeps: those of a large model's steps of a few batch sizes. 60 layers have some 1,500 plans.
constexpr size_t kMostRecordings = 8192;

}  // namespace

size_t RecordingHash::operator()(const RecordingKey& key) const {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const uint64_t word : key.words) hash = (hash ^ word ^ (word >> 29)) * 0x9e3779b97f4a7c15ULL;
  return static_cast<size_t>(hash ^ (hash >> 32));
}

AscendStream::AscendStream(AscendDevice& device, aclrtStream handle) : owner_(device), handle_(handle) {}

Status AscendStream::BeginCapture() {
  if (capture_) return FailedPrecondition("this stream is being captured already");
  capture_ = std::make_unique<AscendCapture>(owner_);
  return Ok();
}

Status AscendStream::EndCapture(std::unique_ptr<Capture>& out) {
  if (!capture_) return FailedPrecondition("this stream is not being captured");
  out = std::move(capture_);
  return Ok();
}

AscendStream::~AscendStream() {
  if (!owner_.Bind().ok()) return;
  // Waits for the queue; only then may what its work uses go.
  (void)cann().aclrtSynchronizeStream(handle_);
  by_key_.clear();
  kept_.clear();
  (void)cann().aclrtDestroyStream(handle_);
  for (void* memory : spare_) owner_.Free(memory);
}

Status AscendStream::Copy(int32_t kind, void* dst, const void* src, uint64_t bytes) {
  if (bytes == 0) return Ok();
  if (capture_) {
    if (kind != QIAO_COPY_ON_DEVICE) return FailedPrecondition("copies with the host cannot be captured");
    capture_->Add([=](AscendStream& stream) { return stream.Copy(kind, dst, src, bytes); });
    return Ok();
  }
  QIAO_PLUGIN_RETURN_IF_ERROR(owner_.Bind());
  aclrtMemcpyKind direction = ACL_MEMCPY_DEVICE_TO_DEVICE;
  if (kind == QIAO_COPY_TO_DEVICE) direction = ACL_MEMCPY_HOST_TO_DEVICE;
  if (kind == QIAO_COPY_TO_HOST) direction = ACL_MEMCPY_DEVICE_TO_HOST;
  // The host's memory is pageable: the call returns when the copy is done, in stream order.
  return Check("aclrtMemcpyAsync", cann().aclrtMemcpyAsync(dst, bytes, src, bytes, direction, handle_));
}

Status AscendStream::Fill(void* dst, uint8_t byte, uint64_t bytes) {
  if (bytes == 0) return Ok();
  if (capture_) {
    capture_->Add([=](AscendStream& stream) { return stream.Fill(dst, byte, bytes); });
    return Ok();
  }
  QIAO_PLUGIN_RETURN_IF_ERROR(owner_.Bind());
  return Check("aclrtMemsetAsync", cann().aclrtMemsetAsync(dst, bytes, byte, bytes, handle_));
}

Status AscendStream::Synchronize() {
  if (capture_) return FailedPrecondition("a stream that is being captured cannot be waited for");
  QIAO_PLUGIN_RETURN_IF_ERROR(owner_.Bind());
  const aclError code = cann().aclrtSynchronizeStream(handle_);
  return code == ACL_SUCCESS ? Ok() : WithHistory(Failed("aclrtSynchronizeStream", code));
}

const Recording* AscendStream::Find(const RecordingKey& key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, found->second);
  return found->second->second.get();
}

void AscendStream::Keep(RecordingKey key, std::unique_ptr<Recording> recording) {
  if (kept_.size() >= kMostRecordings) {
    by_key_.erase(kept_.back().first);
    kept_.pop_back();
  }
  kept_.emplace_front(key, std::move(recording));
  by_key_.emplace(std::move(key), kept_.begin());
}

Status AscendStream::Spare(uint64_t bytes, void** out) {
  if (bytes > spare_bytes_) {
    // Twice as much as before at least, and what is queued may still use the old one.
    const uint64_t size = std::max(bytes, 2 * spare_bytes_);
    void* memory = nullptr;
    QIAO_PLUGIN_RETURN_IF_ERROR(owner_.Allocate(size, &memory));
    spare_.push_back(memory);
    spare_bytes_ = size;
  }
  *out = spare_.back();
  return Ok();
}

Status AscendStream::WithHistory(const Status& status) const {
  std::string text = status.message();
  const uint64_t known = std::min<uint64_t>(calls_, last_.size());
  if (known > 0) text += "; last calls:";
  for (uint64_t i = calls_ - known; i < calls_; ++i) text += std::string(" ") + last_[i % last_.size()];
  return {status.code(), std::move(text), status.vendor_code()};
}

AscendEvent::~AscendEvent() {
  if (owner_.Bind().ok()) (void)cann().aclrtDestroyEvent(handle_);
}

Status AscendEvent::Record(Stream& stream) {
  QIAO_PLUGIN_RETURN_IF_ERROR(owner_.Bind());
  return Check("aclrtRecordEvent",
               cann().aclrtRecordEvent(handle_, static_cast<AscendStream&>(stream).handle()));
}

Status AscendEvent::Wait(Stream& stream) {
  QIAO_PLUGIN_RETURN_IF_ERROR(owner_.Bind());
  return Check("aclrtStreamWaitEvent",
               cann().aclrtStreamWaitEvent(static_cast<AscendStream&>(stream).handle(), handle_));
}

Status AscendEvent::Synchronize() {
  QIAO_PLUGIN_RETURN_IF_ERROR(owner_.Bind());
  return Check("aclrtSynchronizeEvent", cann().aclrtSynchronizeEvent(handle_));
}

Status AscendEvent::Elapsed(const Event& start, double& seconds) const {
  QIAO_PLUGIN_RETURN_IF_ERROR(owner_.Bind());
  float milliseconds = 0;
  QIAO_PLUGIN_RETURN_IF_ERROR(Check(
      "aclrtEventElapsedTime",
      cann().aclrtEventElapsedTime(&milliseconds, static_cast<const AscendEvent&>(start).handle_, handle_)));
  seconds = static_cast<double>(milliseconds) / 1000;
  return Ok();
}

}  // namespace qiao::ascend
