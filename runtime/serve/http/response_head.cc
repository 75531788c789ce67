#include "runtime/serve/http/response_head.h"

#include <algorithm>
#include <ctime>

#include "runtime/base/json.h"
#include "runtime/serve/http/characters.h"

namespace qiao::serve {
namespace {

bool IsOurs(std::string_view name) {
  for (const std::string_view ours : {"content-length", "content-type", "transfer-encoding", "connection",
                                      "keep-alive", "date", "x-request-id"}) {
    if (EqualsIgnoringCase(name, ours)) return true;
  }
  return false;
}

bool IsValue(std::string_view value) { return std::all_of(value.begin(), value.end(), IsValueCharacter); }

void Append(std::string_view name, std::string_view value, std::string* head) {
  head->append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

std::string_view Reason(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 529:
      return "Overloaded";
    default:
      return "Unknown";
  }
}

std::string ErrorBody(int status, std::string_view code, std::string_view message) {
  OrderedJson error;
  error["message"] = std::string(message);
  error["type"] = status < 500 ? "invalid_request_error" : "server_error";
  error["param"] = nullptr;
  error["code"] = std::string(code);
  return DumpJson({{"error", error}});
}

HttpResponse ErrorResponse(int status, std::string_view code, std::string_view message) {
  HttpResponse response;
  response.status = status;
  response.body = ErrorBody(status, code, message);
  if (status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

std::string ResponseHead(const HttpResponse& response, Framing framing, const HeaderList& common,
                         std::string_view id, bool keep_alive, std::string_view date) {
  std::string head;
  head.reserve(512);
  head.append("HTTP/1.1 ")
      .append(std::to_string(response.status))
      .append(" ")
      .append(Reason(response.status));
  head.append("\r\n");
  Append("Date", date, &head);
  if (!HasNoBody(response.status)) {
    if (!response.content_type.empty() && IsValue(response.content_type)) {
      Append("Content-Type", response.content_type, &head);
    }
    if (framing == Framing::kLength) Append("Content-Length", std::to_string(response.body.size()), &head);
    if (framing == Framing::kChunked) Append("Transfer-Encoding", "chunked", &head);
  }
  Append("Connection", keep_alive ? "keep-alive" : "close", &head);
  Append("x-request-id", id, &head);
  for (const HeaderList* list : {&response.headers, &common}) {
    for (const auto& [name, value] : *list) {
      if (!IsToken(name) || !IsValue(value) || IsOurs(name)) continue;
      const bool replaced = list == &common && std::any_of(response.headers.begin(), response.headers.end(),
                                                           [&name = name](const auto& header) {
                                                             return EqualsIgnoringCase(header.first, name);
                                                           });
      if (!replaced) Append(name, value, &head);
    }
  }
  head.append("\r\n");
  return head;
}

std::string HttpDate() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  return absl::StrFormat("%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[parts.tm_wday], parts.tm_mday,
                         kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min,
                         parts.tm_sec);
}

}  // namespace qiao::serve
