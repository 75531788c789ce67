// The answer to an HTTP/1.1 request, read as its bytes arrive, in pieces that are cut anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/status.h"

namespace qiao::tools {

struct HttpHead {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;

  // The first of that name (in any case), or "".
  std::string_view Header(std::string_view name) const;
};

// One answer; those of status 1xx before it are passed over. Transfer-Encoding and Content-Length are understood, and
// bodies that end with the connection.
class HttpResponseReader {
 public:
  static constexpr uint32_t kMostHeaderBytes = 64 << 10;

  // Called during Feed and Close: `head` once, then `body` with each piece of the body. Neither may be null.
  HttpResponseReader(std::function<void(const HttpHead&)> head, std::function<void(std::string_view)> body);
  ~HttpResponseReader();
  HttpResponseReader(const HttpResponseReader&) = delete;  // the parser knows where it is

  // How many of `bytes` belong to the answer: all, but where it is done. DATA_LOSS for what is not HTTP.
  absl::StatusOr<size_t> Feed(std::string_view bytes);
  // The connection ended. DATA_LOSS where the answer was not complete; then it may be done.
  absl::Status Close();

  bool begun() const;  // any byte came
  bool done() const;
  bool keep_alive() const;  // once done: whether the connection may be used again

 private:
  class Parser;
  std::function<void(const HttpHead&)> head_;
  std::function<void(std::string_view)> body_;
  std::unique_ptr<Parser> parser_;
  std::string rest_;  // the beginning of something that is parsed as a whole
  bool begun_ = false;
};

}  // namespace qiao::tools
