// One request out of bytes that arrive in any pieces: no sockets, no clocks, nothing but the limits. What it makes of
// a sequence of bytes does not depend on where the pieces end, and a request that breaks a rule is refused at the
// first byte that shows it, however much is still missing.
//
// Stricter than RFC 9112 asks for, wherever two readers might disagree about where a request ends: no bare CR or
// LF, no folded lines, one Content-Length of digits only, never beside a Transfer-Encoding, which must be "chunked"
// alone, and one Host.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/serve/http/chunk_reader.h"
#include "runtime/serve/http/message.h"
#include "runtime/serve/http/server.h"

namespace qiao::serve {

// Why a request is refused. `code` is the word in the error's body, `message` a sentence for people.
struct HttpError {
  int status = 400;
  std::string code = "bad_request";
  std::string message;

  bool operator==(const HttpError&) const = default;
};

class RequestReader {
 public:
  // kHead until the headers are whole, kBody until the body is; kDone and kError are final.
  enum class State { kHead, kBody, kDone, kError };

  explicit RequestReader(const HttpLimits& limits) : limits_(&limits) {}  // which must outlive it

  // Takes bytes from the front and returns how many. It stops early where the state changes, so that what follows a
  // request, or a refused byte, is left; call it again while the state is kHead or kBody.
  size_t Feed(std::string_view bytes);

  State state() const { return state_; }
  // Whether the request has begun: empty lines before it do not count.
  bool started() const { return started_; }

  // From kBody on: method, path, query and headers; in kDone the body too.
  HttpRequest& request() { return request_; }
  const HttpRequest& request() const { return request_; }
  int version() const { return version_; }            // 10 or 11
  bool keep_alive() const { return keep_alive_; }     // as version and Connection say
  bool expects_continue() const { return expects_; }  // and has a body to send
  // Bytes of memory that the body holds, and those that are still to come, or -1 where that is not known.
  int64_t body_held() const { return static_cast<int64_t>(request_.body.capacity()); }
  int64_t body_left() const { return content_length_ < 0 ? -1 : content_length_ - body_size(); }
  int64_t body_size() const { return static_cast<int64_t>(request_.body.size()); }

  const HttpError& error() const { return error_; }  // in kError

 private:
  // Where the next byte of the head stands.
  enum class At { kStart, kStartLf, kMethod, kTarget, kVersion, kName, kValue, kLf, kEndLf };

  size_t FeedHead(std::string_view bytes);
  size_t FeedBody(std::string_view bytes);
  bool TakeHeadByte(char c);  // false: refused
  bool FinishHead();
  bool ReadFraming();
  bool ReadTarget(std::string_view target);
  void AppendBody(std::string_view bytes);
  bool Refuse(int status, std::string_view code, std::string message);

  const HttpLimits* limits_;
  State state_ = State::kHead;
  At at_ = At::kStart;
  bool started_ = false;
  bool keep_alive_ = false;
  bool expects_ = false;
  int version_ = 11;
  int empty_lines_ = 0;
  int64_t fields_ = 0;
  int64_t part_bytes_ = 0;      // of the target, then of each name
  int64_t content_length_ = 0;  // -1: chunked
  std::string head_;            // as it came, until it is whole
  std::optional<ChunkReader> chunks_;
  HttpRequest request_;
  HttpError error_;
};

}  // namespace qiao::serve
