// What goes over the wire between a client and a server of OpenAI's protocol: routes, bodies, and the parts of answers
// that a load looks at. With the extensions of Qiao's server (marked so), which others ignore or lack.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/base/status.h"
#include "tools/infer/load/client.h"
#include "tools/infer/load/sse.h"

namespace qiao::tools {

inline constexpr char kModelsRoute[] = "/v1/models";
inline constexpr char kStatsRoute[] = "/v1/stats";  // Qiao's
inline constexpr char kCompletionsRoute[] = "/v1/completions";
inline constexpr char kChatRoute[] = "/v1/chat/completions";
inline constexpr char kHealthRoute[] = "/health";

// The body of a request whose answer is a stream with usage at its end.
struct CompletionCall {
  std::string model;
  std::vector<int32_t> ids;  // the prompt of kCompletionsRoute
  std::string text;          // the message of kChatRoute, and the prompt of kCompletionsRoute without ids
  bool chat = false;
  int64_t max_tokens = 0;
  double temperature = 0;
  std::optional<uint64_t> seed;
  bool ignore_eos = false;  // an extension that Qiao, vLLM and SGLang have
  bool efficiency = false;  // Qiao's: ask for what the answer cost

  const char* route() const { return chat ? kChatRoute : kCompletionsRoute; }
  std::string Body() const;
};

// A part of a streamed answer; absent is what it does not tell.
struct CompletionChunk {
  bool done = false;   // the stream's last event
  bool piece = false;  // it carries text, or a part of a tool call: a token at least
  std::string text;    // of the answer and of what was thought before it
  std::string finish;  // why the answer ended, where it did
  std::string error;   // what failed
  std::optional<int64_t> prompt_tokens, completion_tokens, cached_tokens;
  std::optional<double> queue_seconds;       // Qiao's
  std::optional<int64_t> drafted, accepted;  // Qiao's
};

// DATA_LOSS where the event is not JSON, or not an object.
absl::StatusOr<CompletionChunk> ReadChunk(const SseEvent& event);

// What an answer that is not 200 says: its error's message, or its first words.
std::string ErrorText(std::string_view body);

struct ListedModel {
  std::string id;
  int64_t context = 0;  // 0: it does not tell
};
absl::StatusOr<ListedModel> ReadModels(std::string_view body);  // the first one

// kStatsRoute's answer.
struct ServerStats {
  ServerState state;
  int64_t pages = 0, pages_free = 0, pages_cached = 0, connections = 0;
  std::string model, family, weight_format;
  int64_t context = 0;
  uint64_t cache_bytes_per_token = 0;
};
// DATA_LOSS where it is not that.
absl::StatusOr<ServerStats> ReadStats(std::string_view body);

}  // namespace qiao::tools
