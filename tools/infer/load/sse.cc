#include "tools/infer/load/sse.h"

namespace qiao::tools {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

absl::Status SseReader::Feed(std::string_view bytes, const std::function<void(const SseEvent&)>& event) {
  while (!bytes.empty()) {
    if (after_cr_) {
      after_cr_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const size_t end = bytes.find_first_of("\r\n");
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + part.size() > most_) {
      return ResourceExhausted("a line of an event stream is longer than %d bytes", most_);
    }
    if (end == std::string_view::npos) {
      line_.append(part);
      return absl::OkStatus();
    }
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    if (line_.empty()) {
      QIAO_RETURN_IF_ERROR(Line(part, event));
    } else {
      line_.append(part);
      const std::string line = std::move(line_);
      line_.clear();
      QIAO_RETURN_IF_ERROR(Line(line, event));
    }
  }
  return absl::OkStatus();
}

absl::Status SseReader::Line(std::string_view line, const std::function<void(const SseEvent&)>& event) {
  if (!started_) {
    started_ = true;
    if (line.substr(0, kByteOrderMark.size()) == kByteOrderMark) line.remove_prefix(kByteOrderMark.size());
  }
  if (line.empty()) {
    if (has_data_) event({name_, data_});
    name_.clear();
    data_.clear();
    has_data_ = false;
    return absl::OkStatus();
  }
  const size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value;
  if (colon != std::string_view::npos) {
    value = line.substr(colon + 1);
    if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  }
  if (field == "event") {
    name_ = value;
  } else if (field == "data") {
    if (data_.size() + value.size() + 1 > most_) {
      return ResourceExhausted("the data of an event is longer than %d bytes", most_);
    }
    if (has_data_) data_ += '\n';
    has_data_ = true;
    data_ += value;
  }
  return absl::OkStatus();
}

}  // namespace qiao::tools
