// Anthropic's messages (POST /v1/messages), in two halves: what is asked (messages_parse.cc), what is answered
// (messages_write.cc). What reads no text (images, documents, tools that run on the server) is refused by its path;
// cache_control, metadata and service tiers change nothing here and are accepted.
#pragma once

#include "runtime/serve/api/protocol.h"

namespace qiao::serve {

absl::StatusOr<Call> ParseMessages(const OrderedJson& body, const ModelFacts& model, const ApiLimits& limits);
// The body of POST /v1/messages/count_tokens, which has no max_tokens; of the call only the chat matters.
absl::StatusOr<Call> ParseCountTokens(const OrderedJson& body, const ModelFacts& model,
                                      const ApiLimits& limits);
// Its answer.
OrderedJson CountedTokens(int64_t prompt_tokens);

OrderedJson WholeMessage(const AnswerHeader& header, const Answer& answer);
// `header` must outlive it.
std::unique_ptr<AnswerStream> StreamMessage(const AnswerHeader& header);

}  // namespace qiao::serve
