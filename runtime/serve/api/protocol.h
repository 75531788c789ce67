// A protocol: how a body becomes a call, and an answer a body or a stream. Adding one is a file that implements this
// and a line in the table of routes.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "runtime/serve/api/answer.h"
#include "runtime/serve/api/call.h"
#include "runtime/serve/api/errors.h"

namespace qiao::serve {

class Protocol {
 public:
  virtual ~Protocol() = default;
  // Errors are the client's: errors.h.
  virtual absl::StatusOr<Call> Parse(const OrderedJson& body, const ModelFacts& model,
                                     const ApiLimits& limits) const = 0;
  virtual OrderedJson Whole(const Call& call, const AnswerHeader& header, const Answer& answer) const = 0;
  // `call` and `header` outlive it.
  virtual std::unique_ptr<AnswerStream> Stream(const Call& call, const AnswerHeader& header) const = 0;
  virtual OrderedJson Error(const ApiError& error, std::string_view request_id) const = 0;
};

// Stateless; live for ever.
const Protocol& ChatCompletions();  // OpenAI, POST /v1/chat/completions
const Protocol& Completions();      // OpenAI, POST /v1/completions
const Protocol& Responses();        // OpenAI, POST /v1/responses
const Protocol& Messages();         // Anthropic, POST /v1/messages

}  // namespace qiao::serve
