// The handles that clients hold. A handle is a number that looks like an address nothing can live at, and is never given
// out twice: a destroyed object, and a handle of another kind, are known for what they are.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace qiao::cann {

enum class HandleKind : uint64_t { kContext = 1, kStream, kEvent, kGraph, kPhysical };

inline const char* HandleNoun(uint64_t kind) {
  static constexpr const char* kNouns[] = {"context", "stream", "event", "captured graph", "physical memory"};
  return kind >= 1 && kind <= 5 ? kNouns[kind - 1] : nullptr;
}

// 0xCA, the kind, a serial number from 1, and four zero bits.
inline constexpr uint64_t kHandleTag = 0xCA00;

inline void* MakeHandle(HandleKind kind, uint64_t serial) {
  return reinterpret_cast<void*>(((kHandleTag + static_cast<uint64_t>(kind)) << 32) | serial << 4);
}

// What a handle is that was not found as a `wanted`: "stream #4, which was destroyed", "an event, not a stream".
inline std::string DescribeBadHandle(HandleKind wanted, const void* handle) {
  const uint64_t value = reinterpret_cast<uint64_t>(handle);
  const uint64_t kind = (value >> 32) - kHandleTag, serial = (value & 0xFFFFFFFF) >> 4;
  const char* noun = HandleNoun(static_cast<uint64_t>(wanted));
  if (handle == nullptr) return absl::StrCat("null, not ", *noun == 'e' ? "an " : "a ", noun);
  if (HandleNoun(kind) == nullptr) return absl::StrCat("0x", absl::Hex(value), ", which is no ", noun);
  if (kind != static_cast<uint64_t>(wanted)) {
    return absl::StrCat(HandleNoun(kind), " #", serial, ", not ", *noun == 'e' ? "an " : "a ", noun);
  }
  return absl::StrCat(noun, " #", serial, ", which was destroyed");
}

// Owns the living objects of one kind. T has a `uint64_t id`, set here, and a `void* handle`. Thread-safe.
template <class T, HandleKind kKind>
class HandleTable {
 public:
  void* Add(const std::shared_ptr<T>& object) {
    std::lock_guard lock(mutex_);
    object->id = ++last_;
    object->handle = MakeHandle(kKind, last_);
    objects_[object->handle] = object;
    return object->handle;
  }
  std::shared_ptr<T> Find(const void* handle) const {
    std::lock_guard lock(mutex_);
    auto it = objects_.find(handle);
    return it == objects_.end() ? nullptr : it->second;
  }
  std::shared_ptr<T> Remove(const void* handle) {
    std::lock_guard lock(mutex_);
    auto it = objects_.find(handle);
    if (it == objects_.end()) return nullptr;
    std::shared_ptr<T> object = std::move(it->second);
    objects_.erase(it);
    return object;
  }
  std::vector<std::shared_ptr<T>> All() const {
    std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<T>> all;
    for (const auto& [handle, object] : objects_) all.push_back(object);
    return all;
  }
  static std::string Describe(const void* handle) { return DescribeBadHandle(kKind, handle); }

 private:
  mutable std::mutex mutex_;
  std::map<const void*, std::shared_ptr<T>> objects_;
  uint64_t last_ = 0;
};

}  // namespace qiao::cann
