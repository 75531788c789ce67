// A stream of an Ascend device, with what belongs to it: the calls that were planned once and may be launched again,
// workspace for operators that want more than their plan set aside, and the names of the last calls for errors.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <qiao/backend.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "backends/ascend/cann/launcher.h"

namespace qiao::ascend {

class AscendCapture;
class AscendDevice;

// What a recording was made for: a plan, the addresses that it was given and the rows that were live. Compared in
// whole, so that two launches are never mistaken for one another.
struct RecordingKey {
  std::vector<uint64_t> words;
  bool operator==(const RecordingKey&) const = default;
};
struct RecordingHash {
  size_t operator()(const RecordingKey& key) const;
};

class AscendStream : public plugin::Stream {
 public:
  AscendStream(AscendDevice& device, aclrtStream handle);
  ~AscendStream() override;

  plugin::Status Copy(int32_t kind, void* dst, const void* src, uint64_t bytes) override;
  plugin::Status Fill(void* dst, uint8_t byte, uint64_t bytes) override;
  plugin::Status Synchronize() override;
  plugin::Status BeginCapture() override;
  plugin::Status EndCapture(std::unique_ptr<plugin::Capture>& out) override;

  // What is being captured; null while work runs.
  AscendCapture* capturing() const { return capture_.get(); }
  AscendDevice& owner() const { return owner_; }
  aclrtStream handle() const { return handle_; }

  // The recording of this key; null where there is none. Finding it makes it the last to be dropped.
  const Recording* Find(const RecordingKey& key);
  void Keep(RecordingKey key, std::unique_ptr<Recording> recording);

  // Device memory of at least `bytes`, good until the stream ends. The same memory each time: the stream's order
  // keeps its users apart.
  plugin::Status Spare(uint64_t bytes, void** out);

  // Remembers a call by its name, which must be a literal.
  void Note(const char* call) { last_[calls_++ % last_.size()] = call; }
  // The status with the names of the last calls added.
  plugin::Status WithHistory(const plugin::Status& status) const;

 private:
  using Kept = std::pair<RecordingKey, std::unique_ptr<Recording>>;

  AscendDevice& owner_;
  aclrtStream handle_;
  std::unique_ptr<AscendCapture> capture_;
  std::list<Kept> kept_;  // last used first
  std::unordered_map<RecordingKey, std::list<Kept>::iterator, RecordingHash> by_key_;
  std::vector<void*> spare_;
  uint64_t spare_bytes_ = 0;
  std::array<const char*, 16> last_{};
  uint64_t calls_ = 0;
};

class AscendEvent : public plugin::Event {
 public:
  AscendEvent(AscendDevice& device, aclrtEvent handle) : owner_(device), handle_(handle) {}
  ~AscendEvent() override;

  plugin::Status Record(plugin::Stream& stream) override;
  plugin::Status Wait(plugin::Stream& stream) override;
  plugin::Status Synchronize() override;
  plugin::Status Elapsed(const plugin::Event& start, double& seconds) const override;

 private:
  AscendDevice& owner_;
  aclrtEvent handle_;
};

}  // namespace qiao::ascend
