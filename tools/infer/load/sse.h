// Server-sent events as they arrive, in pieces that are cut anywhere (WHATWG HTML, section 9.2).
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "runtime/base/status.h"

namespace qiao::tools {

struct SseEvent {
  std::string_view name;  // of the last `event:` line, "" where there was none
  std::string_view data;  // the `data:` lines, a newline between two
};

class SseReader {
 public:
  // Of one line, and of one event's data.
  static constexpr size_t kMostBytes = size_t{1} << 20;

  explicit SseReader(size_t most_bytes = kMostBytes) : most_(most_bytes) {}

  // Calls `event` for each event that is complete, with views that are valid during the call only. Events without
  // data, and comments, are passed over. RESOURCE_EXHAUSTED where an event is longer than the limit; nothing must be
  // fed after that.
  absl::Status Feed(std::string_view bytes, const std::function<void(const SseEvent&)>& event);
  // Bytes of an event that has begun and is not complete.
  bool pending() const { return !line_.empty() || has_data_; }

 private:
  absl::Status Line(std::string_view line, const std::function<void(const SseEvent&)>& event);

  size_t most_;
  std::string line_, name_, data_;
  bool has_data_ = false, after_cr_ = false, started_ = false;
};

}  // namespace qiao::tools
