// A load on a server over HTTP: streamed requests of OpenAI's protocol.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "tools/infer/load/client.h"
#include "tools/infer/load/http_address.h"
#include "tools/infer/load/openai_api.h"

namespace qiao::tools {

struct HttpClientOptions {
  HttpAddress address;
  std::string api_key;  // "": none
  std::string model;    // "": the first one of GET /v1/models
  bool chat = false;    // /v1/chat/completions instead of /v1/completions
  double temperature = 0;
  uint64_t seed = 0;  // the N-th request that is sent has seed + N
};

// It has a thread of its own for all connections. Prompts of kCompletionsRoute are the request's ids; those of chats
// are as many common words, each of which most vocabularies have as one token.
class HttpClient : public LoadClient {
 public:
  // Asks the server which model it has, and whether it tells its state (kStatsRoute). UNAVAILABLE where nobody answers,
  // PERMISSION_DENIED where the key is not accepted.
  static absl::StatusOr<std::unique_ptr<HttpClient>> Connect(const HttpClientOptions& options);

  virtual const std::string& model() const = 0;
  virtual int64_t context() const = 0;                                // 0: the server does not tell
  virtual const std::optional<ServerStats>& first_stats() const = 0;  // as it was in Connect
  virtual std::string server() const = 0;                             // what its Server header said
  virtual std::string route() const = 0;                              // where requests go
  // While requests are under way, State is at most about kSampleSeconds old; when none is, it is asked for.
};

// The message of that many words that stands for ids in a chat.
std::string WordsOf(const std::vector<int32_t>& ids);

}  // namespace qiao::tools
