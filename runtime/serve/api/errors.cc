#include "runtime/serve/api/errors.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/cord.h"

namespace qiao::serve {
namespace {

// Payloads of absl::Status are named by URLs that need not lead anywhere.
constexpr char kParam[] = "qiao/param", kCode[] = "qiao/code", kRetryAfter[] = "qiao/retry-after";

std::string Payload(const absl::Status& status, const char* url) {
  const auto payload = status.GetPayload(url);
  return payload ? std::string(*payload) : std::string();
}

void SetPayload(absl::Status& status, const char* url, std::string_view value) {
  status.SetPayload(url, absl::Cord(Abs(value)));
}

int HttpStatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kResourceExhausted:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:
      return 503;
    default:
      return 500;
  }
}

std::string_view TypeOf(int http_status) {
  switch (http_status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return http_status >= 500 ? "server_error" : "invalid_request_error";
  }
}

OrderedJson NullIfEmpty(const std::string& text) { return text.empty() ? OrderedJson() : OrderedJson(text); }

}  // namespace

absl::Status BadParam(std::string_view param, std::string_view message) {
  if (param.empty()) return InvalidArgument("%s", message);
  absl::Status status = InvalidArgument("%s: %s", param, message);
  SetPayload(status, kParam, param);
  return status;
}

absl::Status WithErrorCode(absl::Status status, std::string_view code) {
  SetPayload(status, kCode, code);
  return status;
}

absl::Status Busy(std::string_view message, int retry_after_seconds) {
  absl::Status status = ResourceExhausted("%s", message);
  SetPayload(status, kRetryAfter, std::to_string(std::max(1, retry_after_seconds)));
  return status;
}

absl::Status ModelNotServed(std::string_view asked, std::string_view served) {
  return WithErrorCode(
      NotFound("the model \"%s\" is not served here; \"%s\" is", asked.substr(0, 100), served),
      "model_not_found");
}

absl::Status FromPublic(const Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(static_cast<int>(status.code())), status.message());
}

ApiError Describe(const absl::Status& status) {
  ApiError error;
  error.http_status = HttpStatusOf(status);
  if (const std::string seconds = Payload(status, kRetryAfter); !seconds.empty()) {
    std::from_chars(seconds.data(), seconds.data() + seconds.size(), error.retry_after);
    if (status.code() == absl::StatusCode::kResourceExhausted) error.http_status = 429;
  }
  error.type = TypeOf(error.http_status);
  error.code = Payload(status, kCode);
  error.param = Payload(status, kParam);
  error.message = std::string(Message(status));
  return error;
}

OrderedJson OpenAiError(const ApiError& error) {
  return {{"error",
           {{"message", error.message},
            {"type", error.type},
            {"param", NullIfEmpty(error.param)},
            {"code", NullIfEmpty(error.code)}}}};
}

OrderedJson AnthropicError(const ApiError& error, std::string_view request_id) {
  std::string type = error.type;
  if (type == "server_error") type = error.http_status == 503 ? "overloaded_error" : "api_error";
  return {{"type", "error"},
          {"error", {{"type", type}, {"message", error.message}}},
          {"request_id", std::string(request_id)}};
}

}  // namespace qiao::serve
