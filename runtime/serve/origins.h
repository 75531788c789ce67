// Which web pages may call the server. Browsers name the page's origin; everybody else sends none and is not concerned.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/serve/http/message.h"

namespace qiao::serve {

// Of an address to listen on: only this machine reaches it.
bool IsLoopback(std::string_view address);

class Origins {
 public:
  // `allowed`: "https://chat.example", or "*". `local`: the server listens on loopback and asks for no key; then it only
  // answers to the names of this machine, because a page elsewhere could point its own name here (DNS rebinding).
  Origins(std::vector<std::string> allowed, bool local) : allowed_(std::move(allowed)), local_(local) {}

  // PERMISSION_DENIED where the request comes from a page that may not call: of another origin than the server's own
  // and not allowed. This holds back even requests whose answer the page could not read.
  absl::Status Check(const HttpRequest& request) const;
  // The answer to a browser's preflight (OPTIONS) of an allowed origin; absent for any other request.
  std::unique_ptr<HttpResponse> Preflight(const HttpRequest& request) const;
  // The way back, with the headers by which the browser lets the page read the answer; `responder` itself where the
  // request is not from an allowed page elsewhere.
  std::shared_ptr<Responder> Wrap(const HttpRequest& request, std::shared_ptr<Responder> responder) const;

 private:
  bool Allowed(std::string_view origin) const;

  std::vector<std::string> allowed_;
  bool local_;
};

}  // namespace qiao::serve
