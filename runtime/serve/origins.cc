#include "runtime/serve/origins.h"

#include <algorithm>
#include <utility>

#include "runtime/serve/with_headers.h"

namespace qiao::serve {
namespace {

HeaderList HeadersFor(std::string_view origin) {
  return {{"Access-Control-Allow-Origin", std::string(origin)},
          {"Access-Control-Expose-Headers", "x-request-id, request-id, retry-after"},
          {"Vary", "Origin"}};
}

// "localhost", of "localhost:8080" and "[::1]:8080".
std::string_view WithoutPort(std::string_view host) {
  if (!host.empty() && host.front() == '[') return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

bool NamesThisMachine(std::string_view host) {
  const std::string_view name = WithoutPort(host);
  return name == "localhost" || name == "127.0.0.1" || name == "[::1]";
}

}  // namespace

bool IsLoopback(std::string_view address) { return address.rfind("127.", 0) == 0 || address == "::1"; }

bool Origins::Allowed(std::string_view origin) const {
  return std::any_of(allowed_.begin(), allowed_.end(),
                     [&](const std::string& allowed) { return allowed == "*" || allowed == origin; });
}

absl::Status Origins::Check(const HttpRequest& request) const {
  const std::string_view host = request.Header("host");
  if (local_ && !host.empty() && !NamesThisMachine(host)) {
    return PermissionDenied(
        "this server answers to localhost only, not to \"%s\"; with --api-key it answers to any name",
        host.substr(0, 100));
  }
  const std::string_view origin = request.Header("origin");
  if (origin.empty() || Allowed(origin)) return absl::OkStatus();
  const size_t at = origin.find("://");
  if (at != std::string_view::npos && origin.substr(at + 3) == host) return absl::OkStatus();
  return PermissionDenied("pages of %s may not call this server; --cors-origin allows it",
                          origin.substr(0, 100));
}

std::unique_ptr<HttpResponse> Origins::Preflight(const HttpRequest& request) const {
  const std::string_view origin = request.Header("origin");
  if (request.method != "OPTIONS" || origin.empty() || !Allowed(origin)) return nullptr;
  auto response = std::make_unique<HttpResponse>();
  response->status = 204;
  response->headers = {{"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
                       {"Access-Control-Allow-Headers",
                        "authorization, content-type, x-api-key, anthropic-version, anthropic-beta"},
                       {"Access-Control-Max-Age", "600"}};
  for (auto& header : HeadersFor(origin)) response->headers.push_back(std::move(header));
  return response;
}

std::shared_ptr<Responder> Origins::Wrap(const HttpRequest& request,
                                         std::shared_ptr<Responder> responder) const {
  const std::string_view origin = request.Header("origin");
  if (origin.empty() || !Allowed(origin)) return responder;
  return WithHeaders(std::move(responder), HeadersFor(origin));
}

}  // namespace qiao::serve
