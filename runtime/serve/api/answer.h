// What becomes of a call, whatever the protocol: pieces of an answer as they come, and the whole of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"
#include "runtime/serve/api/answer_parser.h"

namespace qiao::serve {

struct TokenText {
  std::string text;   // as the tokenizer spells it alone; a part of a character is U+FFFD
  std::string bytes;  // the same bytes as they are
};

// One token with its log-probability, where they were asked for.
struct ScoredToken {
  TokenText token;
  float logprob = 0;
  bool scored = true;  // false: the first of a prompt, which has none
  struct Alternative {
    TokenText token;
    float logprob = 0;
  };
  std::vector<Alternative> top = {};  // the likeliest first
};

enum class Ended { kStop, kLength, kToolCalls, kCancelled };

struct ToolCall {
  std::string id, name, arguments;  // arguments: JSON text, as the model wrote it
};

struct AnswerChoice {
  std::string reasoning, content;
  std::vector<ToolCall> calls;
  std::vector<ScoredToken> tokens;  // with logprobs; of the prompt first, with echo
  Ended ended = Ended::kStop;
  std::string stop;  // the stop string that ended it, "" none
};

struct AnswerTotals {
  int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0, reasoning_tokens = 0;
  int64_t drafted = 0, accepted = 0;
  double queue_seconds = 0, prefill_seconds = 0, decode_seconds = 0;  // the longest of its sequences
  double ttft_seconds = 0;                                            // from the request to the first token
  OrderedJson efficiency;                                             // null unless asked for
};

struct AnswerHeader {
  std::string request_id;     // "req_..."
  std::string suffix;         // its random part: for "chatcmpl-..." and the like
  std::string model;          // the name to answer with
  int64_t created = 0;        // Unix seconds
  int64_t choices = 1;        // prompts times n
  int64_t prompt_tokens = 0;  // known before the first piece (Anthropic's message_start); of the first prompt
};

struct Answer {
  std::vector<AnswerChoice> choices;
  AnswerTotals totals;
};

// A protocol's way of telling an answer piece by piece. Each call appends what the client is to get now, whole
// server-sent events. Calls come one at a time, in this order: Begin; Piece and End for each choice; Done or Failed.
class AnswerStream {
 public:
  virtual ~AnswerStream() = default;
  virtual void Begin(std::string& out) = 0;
  // `tokens`: what became certain since the last piece of this choice, where logprobs were asked for; a piece may have
  // none of them, and one whose text is empty may carry some.
  virtual void Piece(int64_t choice, const AnswerPiece& piece, absl::Span<const ScoredToken> tokens,
                     std::string& out) = 0;
  // `choice` is complete: how it ended, and the texts for events that repeat them.
  virtual void End(int64_t choice, const AnswerChoice& whole, std::string& out) = 0;
  virtual void Done(const AnswerTotals& totals, std::string& out) = 0;
  virtual void Failed(const absl::Status& status, std::string& out) = 0;
  // Something to send while nothing happens; a comment unless the protocol has its own.
  virtual void Ping(std::string& out) { out += ": waiting\n\n"; }
};

// On one line. What is no UTF-8 in it becomes U+FFFD.
std::string DumpJson(const OrderedJson& json);
// Appends "event: NAME\n" (unless empty) "data: JSON\n\n".
void AppendEvent(std::string_view name, const OrderedJson& data, std::string& out);
// [{"token", "logprob", "bytes", "top_logprobs"}, ...], as OpenAI's chats and responses have them.
OrderedJson OpenAiLogprobs(absl::Span<const ScoredToken> tokens);

}  // namespace qiao::serve
