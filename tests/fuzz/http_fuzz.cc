// Requests as bytes: in one go, and cut where the input says. The first byte is the number of cuts, each of the next
// as many the distance to the next cut; the rest is what a client sends.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/serve/http/characters.h"
#include "runtime/serve/http/request_reader.h"
#include "runtime/text/utf8.h"
#include "tests/fuzz/check.h"

namespace {

using namespace qiao::serve;

// Small enough that inputs reach them.
HttpLimits Limits() {
  HttpLimits limits;
  limits.header_bytes = 600;
  limits.headers = 8;
  limits.target_bytes = 100;
  limits.body_bytes = 1000;
  return limits;
}

void CheckRequest(const RequestReader& reader, const HttpLimits& limits) {
  const HttpRequest& request = reader.request();
  QIAO_FUZZ_CHECK(IsToken(request.method));
  QIAO_FUZZ_CHECK(!request.path.empty() && request.path.front() == '/');
  QIAO_FUZZ_CHECK(qiao::text::IsValidUtf8(request.path));
  QIAO_FUZZ_CHECK(std::none_of(request.path.begin(), request.path.end(),
                               [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }));
  QIAO_FUZZ_CHECK(std::all_of(request.query.begin(), request.query.end(), IsVisible));
  QIAO_FUZZ_CHECK(static_cast<int64_t>(request.headers.size()) <= limits.headers);
  int lengths = 0, codings = 0;
  for (const auto& [name, value] : request.headers) {
    QIAO_FUZZ_CHECK(IsToken(name));
    QIAO_FUZZ_CHECK(std::all_of(value.begin(), value.end(), IsValueCharacter));
    lengths += EqualsIgnoringCase(name, "content-length");
    codings += EqualsIgnoringCase(name, "transfer-encoding");
  }
  QIAO_FUZZ_CHECK(lengths + codings <= 1);
  if (lengths)
    QIAO_FUZZ_CHECK(std::stoll(std::string(request.Header("content-length"))) == reader.body_size());
  if (lengths + codings == 0) QIAO_FUZZ_CHECK(reader.body_size() == 0);
  QIAO_FUZZ_CHECK(reader.body_size() <= limits.body_bytes);
}

// What a connection makes of `bytes`, as text, and how many of them it takes. `cuts` are lengths of the first pieces.
std::string Read(std::string_view bytes, std::string_view cuts, const HttpLimits& limits) {
  std::string seen;
  RequestReader reader(limits);
  size_t taken = 0;
  while (!bytes.empty()) {
    size_t size = bytes.size();
    if (!cuts.empty()) {
      size = std::min(size, static_cast<size_t>(static_cast<unsigned char>(cuts.front())) + 1);
      cuts.remove_prefix(1);
    }
    for (std::string_view piece = bytes.substr(0, size); !piece.empty();) {
      const size_t fed = reader.Feed(piece);
      QIAO_FUZZ_CHECK(fed <= piece.size());
      QIAO_FUZZ_CHECK(fed > 0);
      piece.remove_prefix(fed);
      taken += fed;
      QIAO_FUZZ_CHECK(reader.body_held() <= limits.body_bytes + 32);
      if (reader.state() == RequestReader::State::kError) {
        const HttpError& error = reader.error();
        QIAO_FUZZ_CHECK(error.status >= 400 && error.status < 600 && !error.message.empty());
        return seen + "error " + std::to_string(error.status) + error.code + error.message +
               std::to_string(taken);
      }
      if (reader.state() == RequestReader::State::kDone) {
        CheckRequest(reader, limits);
        const HttpRequest& request = reader.request();
        seen += request.method + " " + request.path + "?" + request.query + " " +
                std::to_string(reader.version()) + (reader.keep_alive() ? " keep " : " close ") +
                request.body;
        for (const auto& [name, value] : request.headers)
          seen.append(name).append(":").append(value).append("\n");
        seen.append(std::to_string(taken)).append("\n");
        reader = RequestReader(limits);
      } else {
        // Only the end of the headers stops it early.
        QIAO_FUZZ_CHECK(reader.state() == RequestReader::State::kBody || piece.empty());
      }
    }
    bytes.remove_prefix(size);
  }
  seen += reader.started() ? "begun " : "idle ";
  if (reader.state() == RequestReader::State::kBody) seen.append("body ").append(reader.request().body);
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const HttpLimits limits = Limits();
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.empty()) return 0;
  const size_t count = std::min<size_t>(static_cast<unsigned char>(input.front()), input.size() - 1);
  const std::string_view cuts = input.substr(1, count), bytes = input.substr(1 + count);
  const std::string whole = Read(bytes, "", limits);
  QIAO_FUZZ_CHECK(Read(bytes, cuts, limits) == whole);
  QIAO_FUZZ_CHECK(Read(bytes, std::string(bytes.size(), '\0'), limits) == whole);
  return 0;
}
