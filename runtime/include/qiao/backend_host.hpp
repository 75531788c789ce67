// Part of qiao/backend.hpp: the options and hooks of the host, and HostDevice, a device whose memory is the
// host's and whose work is done by the time that a call returns. Include qiao/backend.hpp.
#ifndef QIAO_BACKEND_HOST_HPP_
#define QIAO_BACKEND_HOST_HPP_

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "qiao/backend.hpp"

namespace qiao::plugin {

// ---- Host ----

inline Host::Host(const qiao_host* host) {
  if (!host || host->struct_size < sizeof(uint32_t)) return;
  std::memcpy(&host_, host, std::min<size_t>(host->struct_size, sizeof(host_)));
  for (uint32_t i = 0; host_.options && i < host_.option_count; ++i) {
    const qiao_option& option = host_.options[i];
    options_.emplace_back(option.key ? option.key : "", option.value ? option.value : "");
  }
  host_.options = nullptr;  // belong to the call of open
  host_.option_count = 0;
}

inline Status Host::Reserve(uint64_t bytes) const {
  if (!host_.reserve || host_.reserve(host_.context, bytes)) return Ok();
  return ResourceExhausted(Format("the memory budget refuses %llu bytes (%.1f MiB)",
                                  static_cast<unsigned long long>(bytes),
                                  static_cast<double>(bytes) / 1048576.0));
}

inline void* Host::Allocate(uint64_t bytes, uint64_t alignment) const {
  alignment = std::max<uint64_t>(alignment, 64);
  bytes = std::max<uint64_t>(bytes, 1);
  if (host_.allocate) return host_.allocate(host_.context, bytes, alignment);
  // The C library wants a multiple of the alignment.
  if (bytes > UINT64_MAX - alignment) return nullptr;
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

inline void Host::Deallocate(void* pointer, uint64_t bytes) const {
  if (!pointer) return;
  // With an allocator but no deallocator the memory belongs to the embedder's arena and is not ours to free.
  if (host_.deallocate) return host_.deallocate(host_.context, pointer, std::max<uint64_t>(bytes, 1));
  if (!host_.allocate) std::free(pointer);
}

// ---- Options ----

inline const std::string* Options::Take(const char* key) {
  known_.emplace_back(key);
  const std::string* value = nullptr;
  for (const auto& [k, v] : given_) {
    if (k == key) value = &v;  // the last one counts
  }
  return value;
}

inline void Options::Fail(const char* key, const std::string& value, const std::string& wanted) {
  if (bad_.ok())
    bad_ = InvalidArgument("option " + std::string(key) + " = \"" + value + "\" is not " + wanted);
}

inline Options& Options::Integer(const char* key, int64_t& value, int64_t least, int64_t most) {
  const std::string* text = Take(key);
  if (!text) return *this;
  char* end = nullptr;
  errno = 0;
  const long long parsed = std::strtoll(text->c_str(), &end, 10);
  if (text->empty() || *end != '\0' || errno == ERANGE || parsed < least || parsed > most) {
    Fail(key, *text, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  } else {
    value = parsed;
  }
  return *this;
}

inline Options& Options::Number(const char* key, double& value) {
  const std::string* text = Take(key);
  if (!text) return *this;
  char* end = nullptr;
  const double parsed = std::strtod(text->c_str(), &end);
  if (text->empty() || *end != '\0') {
    Fail(key, *text, "a number");
  } else {
    value = parsed;
  }
  return *this;
}

inline Options& Options::Flag(const char* key, bool& value) {
  const std::string* text = Take(key);
  if (!text) return *this;
  if (*text == "true" || *text == "1" || *text == "on") {
    value = true;
  } else if (*text == "false" || *text == "0" || *text == "off") {
    value = false;
  } else {
    Fail(key, *text, "true or false");
  }
  return *this;
}

inline Options& Options::Text(const char* key, std::string& value, std::vector<std::string> allowed) {
  const std::string* text = Take(key);
  if (!text) return *this;
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), *text) == allowed.end()) {
    std::string list;
    for (const std::string& a : allowed) list += (list.empty() ? "" : ", ") + a;
    Fail(key, *text, "one of " + list);
  } else {
    value = *text;
  }
  return *this;
}

inline Status Options::Finish() const {
  for (const auto& [key, value] : given_) {
    if (key == "threads") continue;  // for every backend; this one has no host threads
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    std::string list;
    for (const std::string& k : known_) list += (list.empty() ? "" : ", ") + k;
    return InvalidArgument("unknown option \"" + key + "\"; " +
                           (list.empty() ? "this backend has no options" : "known are: " + list));
  }
  return bad_;
}

// ---- HostDevice ----

// Copies and fills at once. QIAO_COPY_ON_DEVICE may overlap.
class HostStream : public Stream {
 public:
  Status Copy(int32_t kind, void* dst, const void* src, uint64_t bytes) override {
    if (kind < QIAO_COPY_TO_DEVICE || kind > QIAO_COPY_ON_DEVICE) {
      return InvalidArgument(Format("copy: kind %d is unknown", kind));
    }
    if (bytes > 0) std::memmove(dst, src, bytes);
    return Ok();
  }
  Status Fill(void* dst, uint8_t byte, uint64_t bytes) override {
    if (bytes > 0) std::memset(dst, byte, bytes);
    return Ok();
  }
  Status Synchronize() override { return Ok(); }
};

// What was enqueued before has been done, so an event is a point in time.
class HostEvent : public Event {
 public:
  Status Record(Stream&) override {
    time_ = std::chrono::steady_clock::now();
    recorded_ = true;
    return Ok();
  }
  Status Wait(Stream&) override { return Ok(); }
  Status Synchronize() override { return Ok(); }
  Status Elapsed(const Event& start, double& seconds) const override {
    const auto& first = static_cast<const HostEvent&>(start);
    if (!first.recorded_ || !recorded_)
      return FailedPrecondition("event_elapsed: an event was never recorded");
    seconds = std::chrono::duration<double>(time_ - first.time_).count();
    return Ok();
  }

 private:
  std::chrono::steady_clock::time_point time_{};
  bool recorded_ = false;
};

// Memory through the host's hooks, counted against the embedder's budget; synchronous streams. Derived
// classes add Properties (and say there whether the memory is QIAO_DEVICE_UNIFIED) and operations.
class HostDevice : public Device {
 public:
  explicit HostDevice(Host host, uint64_t alignment = 64) : host_(std::move(host)), alignment_(alignment) {}
  ~HostDevice() override {
    for (const auto& [pointer, bytes] : allocations_) Return(pointer, bytes);
  }

  Status Allocate(uint64_t bytes, void** out) override { return AllocateAligned(bytes, alignment_, out); }
  void Free(void* pointer) override {
    uint64_t bytes = 0;
    {
      std::lock_guard lock(mutex_);
      auto it = allocations_.find(pointer);
      if (it == allocations_.end()) return;
      bytes = it->second;
      allocations_.erase(it);
    }
    Return(pointer, bytes);
  }
  Status CreateStream(std::unique_ptr<Stream>& out) override {
    out = std::make_unique<HostStream>();
    return Ok();
  }
  Status CreateEvent(std::unique_ptr<Event>& out) override {
    out = std::make_unique<HostEvent>();
    return Ok();
  }

  const Host& host() const { return host_; }

 protected:
  uint64_t alignment() const { return alignment_; }
  // For devices that want some memory aligned more than the rest; given back by Free.
  Status AllocateAligned(uint64_t bytes, uint64_t alignment, void** out) {
    QIAO_PLUGIN_RETURN_IF_ERROR(host_.Reserve(bytes));
    void* pointer = host_.Allocate(bytes, alignment);
    if (!pointer) {
      host_.Release(bytes);
      return ResourceExhausted(Format("the host has no %llu bytes left (%.1f MiB)",
                                      static_cast<unsigned long long>(bytes),
                                      static_cast<double>(bytes) / 1048576.0));
    }
    try {
      std::lock_guard lock(mutex_);
      allocations_.emplace(pointer, bytes);
    } catch (...) {
      Return(pointer, bytes);
      throw;
    }
    *out = pointer;
    return Ok();
  }

 private:
  void Return(void* pointer, uint64_t bytes) {
    host_.Deallocate(pointer, bytes);
    host_.Release(bytes);
  }

  Host host_;
  uint64_t alignment_;
  std::mutex mutex_;
  std::unordered_map<void*, uint64_t> allocations_;  // guarded by mutex_
};

}  // namespace qiao::plugin

#endif  // QIAO_BACKEND_HOST_HPP_
