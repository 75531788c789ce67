// OpenAI's chat completions (POST /v1/chat/completions), in two halves: what is asked (chat.cc), what is answered
// (chat_answer.cc).
#pragma once

#include "runtime/serve/api/fields.h"
#include "runtime/serve/api/protocol.h"

namespace qiao::serve {

absl::StatusOr<Call> ParseChat(const OrderedJson& body, const ModelFacts& model, const ApiLimits& limits);

OrderedJson WholeChat(const Call& call, const AnswerHeader& header, const Answer& answer);
std::unique_ptr<AnswerStream> StreamChat(const Call& call, const AnswerHeader& header);

}  // namespace qiao::serve
