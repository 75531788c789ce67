// Errors inside Qiao are absl::Status. This file gives the two macros that pass them on and one maker per
// code that formats its message, because this distribution's absl::string_view is not std::string_view and
// StrCat would not take the latter:
//
//   if (rows < 0) return InvalidArgument("%s: rows is %d, must not be negative", name, rows);
//   QIAO_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
//
// A message says what was wrong, where (file, tensor, field, offset) and what to do.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"

namespace qiao {

#define QIAO_STATUS_MAKER(name, code)                                               \
  template <typename... Args>                                                       \
  absl::Status name(const absl::FormatSpec<Args...>& format, const Args&... args) { \
    return absl::Status(absl::StatusCode::code, absl::StrFormat(format, args...));  \
  }
QIAO_STATUS_MAKER(InvalidArgument, kInvalidArgument)
QIAO_STATUS_MAKER(NotFound, kNotFound)
QIAO_STATUS_MAKER(OutOfRange, kOutOfRange)
QIAO_STATUS_MAKER(Unimplemented, kUnimplemented)
QIAO_STATUS_MAKER(Internal, kInternal)
QIAO_STATUS_MAKER(ResourceExhausted, kResourceExhausted)
QIAO_STATUS_MAKER(FailedPrecondition, kFailedPrecondition)
QIAO_STATUS_MAKER(PermissionDenied, kPermissionDenied)
QIAO_STATUS_MAKER(Unavailable, kUnavailable)
QIAO_STATUS_MAKER(DataLoss, kDataLoss)
QIAO_STATUS_MAKER(Cancelled, kCancelled)
#undef QIAO_STATUS_MAKER

// The message as a std::string_view; valid as long as `status`.
inline std::string_view Message(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

// Puts `where` and a colon before the message; OK stays OK.
inline absl::Status Annotate(const absl::Status& status, std::string_view where) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrFormat("%s: %s", where, Message(status)));
}

// For absl functions that want their own string_view.
inline absl::string_view Abs(std::string_view s) { return {s.data(), s.size()}; }

#define QIAO_CONCAT_INNER(a, b) a##b
#define QIAO_CONCAT(a, b) QIAO_CONCAT_INNER(a, b)

#define QIAO_RETURN_IF_ERROR(expr)                                                   \
  do {                                                                               \
    if (absl::Status qiao_status_ = (expr); !qiao_status_.ok()) return qiao_status_; \
  } while (false)

#define QIAO_ASSIGN_OR_RETURN(lhs, expr) \
  QIAO_ASSIGN_OR_RETURN_IMPL(QIAO_CONCAT(qiao_or_, __LINE__), lhs, expr)
#define QIAO_ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                               \
  if (!tmp.ok()) return tmp.status();              \
  lhs = std::move(tmp).value()

}  // namespace qiao
