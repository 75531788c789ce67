// What a handler sees of HTTP: a request that is whole, and the way back to its client.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qiao::serve {

// Names and values as they came, checked: a name is a token of RFC 9110, a value has no control characters.
using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string id;  // "req_" and 24 letters and digits, made here; it is in every answer, error and log line
  std::string method;  // "GET"
  std::string path;    // decoded, without the query; begins with '/'
  std::string query;   // as it came, without '?'
  HeaderList headers;
  std::string body;  // whole, at most HttpLimits::body_bytes
  std::string peer;  // "127.0.0.1:40102"

  // The first header of that name (in any case), or "".
  std::string_view Header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  HeaderList headers = {};  // beside Content-Type, Content-Length, x-request-id and those of every answer
};

// The way back to one request's client. Thread-safe, and never waits: what is sent is queued. Exactly one of
// Send and StartStream is called, once; later calls, and those after the client is gone, do nothing. When the
// last reference goes before an answer was begun, the client gets a 500, and a stream that was not ended is cut
// without its last chunk, which a client takes for the failure that it is. It may outlive the server.
class Responder {
 public:
  virtual ~Responder() = default;

  virtual void Send(HttpResponse response) = 0;

  // An answer in pieces: `response.body` is its first. Ended by EndStream.
  virtual void StartStream(HttpResponse response) = 0;
  // False where the client is gone, or has left more than HttpLimits::unsent_bytes unread (it is cut off then), or
  // wants no body (HEAD): the work for it should end. Pieces that wait for the client are sent together.
  virtual bool Write(std::string piece) = 0;
  virtual void EndStream() = 0;

  // Called once, when the client goes before its answer is complete: on the server's network thread, which it must not
  // hold up, or inside of OnGone itself if the client has gone already. One callback: a later one takes its place. It
  // must not keep the Responder alive.
  virtual void OnGone(std::function<void()> gone) = 0;
  virtual bool gone() const = 0;
};

// Called on one of the server's workers, never on its network thread: it may take its time (parse, render,
// tokenise), but should not wait for a model. It should not throw; if it does, its client gets a 500.
using Handler =
    std::function<void(std::shared_ptr<const HttpRequest> request, std::shared_ptr<Responder> responder)>;

}  // namespace qiao::serve
