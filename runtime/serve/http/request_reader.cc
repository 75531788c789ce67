#include "runtime/serve/http/request_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "runtime/serve/http/characters.h"
#include "runtime/serve/http/head_parser.h"
#include "runtime/text/hex.h"
#include "runtime/text/utf8.h"

namespace qiao::serve {
namespace {

constexpr size_t kMethodBytes = 32;
constexpr int kEmptyLines = 4;           // before a request
constexpr size_t kFirstBody = 16 << 10;  // bytes reserved for a body at first

// Decodes %XX. False for a bad escape and for what a path should not hold: control characters, bytes that are not UTF-8.
bool DecodePath(std::string_view text, std::string* path) {
  path->reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (text.size() - i < 3) return false;
      const int high = text::HexDigit(text[i + 1]), low = text::HexDigit(text[i + 2]);
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if ((static_cast<unsigned char>(c) < 0x20) || c == 0x7F) return false;
    path->push_back(c);
  }
  return text::IsValidUtf8(*path);
}

// A host name, an IPv4 address or an IPv6 one in brackets, and perhaps a port; may be empty.
bool IsHost(std::string_view host) {
  return std::all_of(host.begin(), host.end(), [](char c) {
    return IsTokenCharacter(c) || c == ':' || c == '[' || c == ']' || c == '(' || c == ')' || c == ',' ||
           c == ';' || c == '=';
  });
}

}  // namespace

bool RequestReader::Refuse(int status, std::string_view code, std::string message) {
  state_ = State::kError;
  error_ = {status, std::string(code), std::move(message)};
  return false;
}

size_t RequestReader::Feed(std::string_view bytes) {
  if (state_ == State::kHead) return FeedHead(bytes);
  if (state_ == State::kBody) return FeedBody(bytes);
  return 0;
}

// ---- the head ----

size_t RequestReader::FeedHead(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (!TakeHeadByte(bytes[i])) return i + 1;
    if (state_ != State::kHead) return i + 1;
  }
  return bytes.size();
}

bool RequestReader::TakeHeadByte(char c) {
  if (at_ == At::kStart) {
    // RFC 9112, 2.2: empty lines before a request are passed over; some clients end a body with one.
    if (c == '\r') {
      at_ = At::kStartLf;
      return ++empty_lines_ <= kEmptyLines ||
             Refuse(400, "bad_request", "too many empty lines before a request");
    }
    at_ = At::kMethod;
    started_ = true;
  } else if (at_ == At::kStartLf) {
    at_ = At::kStart;
    return c == '\n' || Refuse(400, "bad_request", "a carriage return without a line feed");
  }

  head_.push_back(c);
  if (static_cast<int64_t>(head_.size()) > limits_->header_bytes) {
    return Refuse(431, "headers_too_large",
                  absl::StrFormat("request line and headers have more than %d bytes", limits_->header_bytes));
  }
  switch (at_) {
    case At::kStart:
    case At::kStartLf:
      break;
    case At::kMethod:
      if (c == ' ' && head_.size() > 1) {
        at_ = At::kTarget;
        return true;
      }
      if (!IsTokenCharacter(c)) return Refuse(400, "bad_request", "this is not an HTTP request: bad method");
      return head_.size() <= kMethodBytes || Refuse(501, "unknown_method", "no method has so long a name");
    case At::kTarget:
      if (c == ' ' && part_bytes_ > 0) {
        at_ = At::kVersion;
        return true;
      }
      if (!IsVisible(c)) {
        return Refuse(400, "bad_target", "the request target has a character that must be percent-encoded");
      }
      return ++part_bytes_ <= limits_->target_bytes ||
             Refuse(414, "target_too_long",
                    absl::StrFormat("the request target has more than %d bytes", limits_->target_bytes));
    case At::kVersion:
      if (c == '\r') {
        at_ = At::kLf;
        return true;
      }
      return IsVisible(c) || Refuse(400, "bad_request", "bad characters after the request target");
    case At::kLf:
      if (c != '\n') return Refuse(400, "bad_request", "a carriage return without a line feed");

      at_ = At::kName;
      part_bytes_ = 0;
      return true;
    case At::kName:
      if (c == '\r' && part_bytes_ == 0) {
        at_ = At::kEndLf;
        return true;
      }
      if (c == ':' && part_bytes_ > 0) {
        at_ = At::kValue;
        return ++fields_ <= limits_->headers ||
               Refuse(431, "too_many_headers", absl::StrFormat("more than %d headers", limits_->headers));
      }
      if ((c == ' ' || c == '\t') && part_bytes_ == 0) {
        return Refuse(400, "bad_header",
                      "a header's line begins with white space: folded lines are not accepted");
      }
      ++part_bytes_;
      return IsTokenCharacter(c) || Refuse(400, "bad_header", "a header's name has a bad character");
    case At::kValue:
      if (c == '\r') {
        at_ = At::kLf;
        return true;
      }
      return IsValueCharacter(c) || Refuse(400, "bad_header", "a header's value has a control character");
    case At::kEndLf:
      if (c != '\n') return Refuse(400, "bad_header", "a carriage return without a line feed");
      return FinishHead();
  }
  return Refuse(400, "bad_request", "a bad request");
}

bool RequestReader::FinishHead() {
  // What looks like a version and is none of ours is told apart from what is no request at all.
  const std::string_view line = std::string_view(head_).substr(0, head_.find('\r'));
  const std::string_view version = line.substr(line.rfind(' ') + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    const bool other = version.size() >= 6 && version.substr(0, 5) == "HTTP/" && IsDigit(version[5]);
    return other ? Refuse(505, "unknown_version", "only HTTP/1.1 and HTTP/1.0 are spoken here")
                 : Refuse(400, "bad_request", "this is not an HTTP request: bad version");
  }
  ParsedHead parsed;
  if (const std::string error = ParseHead(head_, &parsed); !error.empty()) {
    return Refuse(400, "bad_header", "the headers cannot be read: " + error);
  }
  std::string().swap(head_);
  request_.method = std::move(parsed.method);
  request_.headers = std::move(parsed.headers);
  version_ = parsed.version;
  keep_alive_ = parsed.keep_alive;
  return ReadTarget(parsed.target) && ReadFraming();
}

bool RequestReader::ReadTarget(std::string_view target) {
  if (request_.method == "CONNECT") return Refuse(501, "unknown_method", "CONNECT: this is not a proxy");
  bool absolute = false;
  // RFC 9112, 3.2.2: the absolute form must be understood, though only proxies get it.
  for (const std::string_view scheme : {std::string_view("http://"), std::string_view("https://")}) {
    if (!EqualsIgnoringCase(target.substr(0, scheme.size()), scheme)) continue;
    const size_t slash = std::min(target.find_first_of("/?", scheme.size()), target.size());
    const std::string_view host = target.substr(scheme.size(), slash - scheme.size());
    if (host.empty() || !IsHost(host)) return Refuse(400, "bad_target", "the request target has a bad host");
    target.remove_prefix(slash);
    absolute = true;
    break;
  }
  const size_t question = target.find('?');
  std::string_view path = target.substr(0, question);
  if (absolute && path.empty()) path = "/";
  if (path.empty() || path.front() != '/') {
    return Refuse(400, "bad_target", "the request target must be a path that begins with '/'");
  }
  if (target.find('#') != target.npos) return Refuse(400, "bad_target", "the request target has a fragment");
  if (!DecodePath(path, &request_.path)) {
    return Refuse(400, "bad_target",
                  "the path has a bad percent escape, a control character or invalid UTF-8");
  }
  if (question != target.npos) request_.query = std::string(target.substr(question + 1));
  return true;
}

bool RequestReader::ReadFraming() {
  int hosts = 0, lengths = 0, codings = 0;
  std::string_view length, coding, expect;
  for (const auto& [name, value] : request_.headers) {
    if (EqualsIgnoringCase(name, "host")) {
      ++hosts;
      if (!IsHost(value)) return Refuse(400, "bad_host", "the Host header is not a host");
    } else if (EqualsIgnoringCase(name, "content-length")) {
      ++lengths, length = value;
    } else if (EqualsIgnoringCase(name, "transfer-encoding")) {
      ++codings, coding = value;
    } else if (EqualsIgnoringCase(name, "expect") && version_ == 11) {
      expect = value;
      if (!EqualsIgnoringCase(expect, "100-continue")) {
        return Refuse(417, "unknown_expectation", "only Expect: 100-continue is known");
      }
    }
  }
  if (hosts > 1 || (hosts == 0 && version_ == 11)) {
    return Refuse(400, "bad_host", "a request of HTTP/1.1 needs one Host header");
  }
  if (lengths > 0 && codings > 0) {
    return Refuse(400, "bad_framing", "Content-Length and Transfer-Encoding must not be used together");
  }
  if (lengths > 1) return Refuse(400, "bad_framing", "more than one Content-Length");
  if (codings > 0) {
    if (version_ == 10) return Refuse(400, "bad_framing", "HTTP/1.0 knows no Transfer-Encoding");
    if (codings > 1) return Refuse(400, "bad_framing", "more than one Transfer-Encoding");
    if (!EqualsIgnoringCase(coding, "chunked")) {
      return Refuse(501, "unknown_coding", "the only Transfer-Encoding that is understood is chunked");
    }
    content_length_ = -1;
    chunks_.emplace(limits_->body_bytes, limits_->header_bytes);
  } else if (lengths > 0) {
    if (length.empty() || !std::all_of(length.begin(), length.end(), IsDigit) || length.size() > 18) {
      return Refuse(400, "bad_framing", "Content-Length is not a sensible number");
    }
    for (const char c : length) content_length_ = content_length_ * 10 + (c - '0');
    if (content_length_ > limits_->body_bytes) {
      return Refuse(
          413, "body_too_large",
          absl::StrFormat("the body has %d bytes; %d are accepted", content_length_, limits_->body_bytes));
    }
  }
  state_ = content_length_ == 0 ? State::kDone : State::kBody;
  expects_ = state_ == State::kBody && !expect.empty();
  return true;
}

// ---- the body ----

size_t RequestReader::FeedBody(std::string_view bytes) {
  if (!chunks_) {
    const std::string_view mine = bytes.substr(0, static_cast<size_t>(std::max<int64_t>(body_left(), 0)));
    AppendBody(mine);
    if (body_left() == 0) state_ = State::kDone;
    return mine.size();
  }
  const size_t size = bytes.size();
  while (!bytes.empty() && state_ == State::kBody) {
    std::string_view data;
    switch (chunks_->Take(bytes, data)) {
      case ChunkReader::Result::kMore:
        break;
      case ChunkReader::Result::kData:
        AppendBody(data);
        break;
      case ChunkReader::Result::kDone:
        state_ = State::kDone;
        break;
      case ChunkReader::Result::kBad:
        Refuse(400, "bad_chunk", "the chunks of the body cannot be read");
        break;
      case ChunkReader::Result::kLongLine:
        Refuse(400, "bad_chunk",
               absl::StrFormat("a chunk's size and extensions take more than %d bytes",
                               ChunkReader::kLineBytes));
        break;
      case ChunkReader::Result::kTooLarge:
        Refuse(413, "body_too_large",
               absl::StrFormat("the body has more than %d bytes", limits_->body_bytes));
        break;
      case ChunkReader::Result::kTrailers:
        Refuse(431, "headers_too_large",
               absl::StrFormat("the trailers have more than %d bytes", limits_->header_bytes));
        break;
    }
  }
  return size - bytes.size();
}

void RequestReader::AppendBody(std::string_view bytes) {
  std::string& body = request_.body;
  const size_t size = body.size() + bytes.size();
  if (size > body.capacity()) {
    // Memory follows what has really come, and never goes beyond what may.
    const int64_t most = content_length_ < 0 ? limits_->body_bytes : content_length_;
    body.reserve(
        std::max(size, std::min(std::max(2 * body.capacity(), kFirstBody), static_cast<size_t>(most))));
  }
  body.append(bytes);
}

}  // namespace qiao::serve
