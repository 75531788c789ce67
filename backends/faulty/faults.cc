#include "backends/faulty/faults.h"

#include <charconv>
#include <chrono>
#include <cstdint>
#include <thread>

namespace qiao::faulty_backend {
namespace {

using plugin::Format;
using plugin::InvalidArgument;
using plugin::Ok;
using plugin::Status;

constexpr std::array<std::string_view, kKinds> kNames = {
    "alloc", "copy",   "launch",  "prepare", "store", "choose", "synchronise",
    "event", "stream", "support", "capture", "query", "any",
};
constexpr int64_t kMostMilliseconds = 60'000;  // a test that waits longer hangs

std::string KindList() {
  std::string list;
  for (std::string_view name : kNames) list += (list.empty() ? "" : ", ") + std::string(name);
  return list;
}

// Takes what stands before the first `mark`, or all; the rest stays in `text`, without the mark.
std::string_view Before(std::string_view& text, std::string_view mark) {
  const size_t at = text.find(mark);
  const std::string_view head = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + mark.size());
  return head;
}

bool ParseNumber(std::string_view text, int64_t least, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= least;
}

bool ParseKind(std::string_view text, Kind& kind) {
  for (size_t k = 0; k < kKinds; ++k) {
    if (text != kNames[k]) continue;
    kind = static_cast<Kind>(k);
    return true;
  }
  return false;
}

// N, N+ or N..M
bool ParseRange(std::string_view text, int64_t& first, int64_t& last) {
  if (text.ends_with('+')) {
    last = INT64_MAX;
    return ParseNumber(text.substr(0, text.size() - 1), 1, first);
  }
  const bool both = text.find("..") != std::string_view::npos;
  if (!ParseNumber(Before(text, ".."), 1, first)) return false;
  last = first;
  return !both || ParseNumber(text, first, last);
}

}  // namespace

std::string_view Name(Kind kind) { return kNames[static_cast<size_t>(kind)]; }

Status Faults::ReadRules(Action action, const char* option, const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view whole = Before(rest, ",");
    std::string_view rule = whole;
    Rule read{action, Kind::kAny, 0, 0, 0};
    const std::string_view kind = Before(rule, ":"), range = Before(rule, ":");
    bool good = ParseKind(kind, read.kind) && ParseRange(range, read.first, read.last);
    if (action == Action::kDelay) {
      good = good && ParseNumber(rule, 0, read.milliseconds) && read.milliseconds <= kMostMilliseconds;
    } else {
      good = good && rule.empty();
    }
    if (!good) {
      return InvalidArgument(Format(
          "option %s: \"%s\" is no rule; one is KIND:N, KIND:N+ or KIND:N..M%s, counted from 1, and KIND one "
          "of %s",
          option, std::string(whole).c_str(),
          action == Action::kDelay ? " and then :MS (at most 60000 milliseconds)" : "", KindList().c_str()));
    }
    rules_.push_back(read);
  }
  return Ok();
}

Status Faults::Read(const FaultOptions& options) {
  QIAO_PLUGIN_RETURN_IF_ERROR(ReadRules(Action::kFail, "fail", options.fail));
  QIAO_PLUGIN_RETURN_IF_ERROR(ReadRules(Action::kDelay, "delay", options.delay));
  QIAO_PLUGIN_RETURN_IF_ERROR(ReadRules(Action::kLose, "lose", options.lose));
  if (options.after.empty()) return Ok();
  std::string_view number = options.after;
  if (!ParseKind(Before(number, ":"), after_kind_) || !ParseNumber(number, 1, until_)) {
    return InvalidArgument(Format("option after: \"%s\" is not KIND:N, counted from 1, and KIND one of %s",
                                  options.after.c_str(), KindList().c_str()));
  }
  counting_ = false;
  return Ok();
}

// Under the lock; `milliseconds` is what the call shall wait first, `is_new` whether the fault is its own.
Status Faults::Decide(Kind kind, int64_t& milliseconds, bool& is_new) {
  if (!lost_.empty()) return plugin::DeviceLost(lost_);
  if (!counting_) {
    if (after_kind_ == kind || after_kind_ == Kind::kAny) --until_;
    counting_ = until_ == 0;
    if (!counting_) return Ok();
  }
  ++calls_[static_cast<size_t>(kind)];
  ++calls_[static_cast<size_t>(Kind::kAny)];
  Status status;
  for (const Rule& rule : rules_) {
    if (rule.kind != kind && rule.kind != Kind::kAny) continue;
    const int64_t n = calls_[static_cast<size_t>(rule.kind)];
    if (n < rule.first || n > rule.last) continue;
    if (rule.action == Action::kDelay) {
      milliseconds += rule.milliseconds;
      continue;
    }
    std::string which(Name(kind));
    if (rule.kind == Kind::kAny) which = "any, here " + which;
    const bool lose = rule.action == Action::kLose;
    std::string text = Format("faulty: call %lld (%s) %s as asked", static_cast<long long>(n), which.c_str(),
                              lose ? "loses the device" : "fails");
    is_new = true;
    if (lose) {
      lost_ = std::move(text);
      return plugin::DeviceLost(lost_);
    }
    status =
        kind == Kind::kAlloc ? plugin::ResourceExhausted(std::move(text)) : plugin::Internal(std::move(text));
  }
  return status;
}

Status Faults::Next(Kind kind) {
  int64_t milliseconds = 0;
  bool is_new = false;
  Status status;
  {
    std::lock_guard lock(mutex_);
    status = Decide(kind, milliseconds, is_new);
  }
  if (milliseconds > 0) std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  if (is_new) host_.Log(QIAO_LOG_INFO, status.message());
  return status;
}

std::string Faults::Counts() const {
  std::lock_guard lock(mutex_);
  std::string text;
  for (size_t k = 0; k < kKinds; ++k) {
    text += Format("%s%s=%lld", k == 0 ? "" : " ", std::string(kNames[k]).c_str(),
                   static_cast<long long>(calls_[k]));
  }
  return text;
}

}  // namespace qiao::faulty_backend
