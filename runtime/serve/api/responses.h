// OpenAI's responses (POST /v1/responses), in three parts: what is asked (responses_parse.cc), what is answered as JSON
// (responses_write.cc) and as events (responses_stream.cc). Nothing is stored here: what refers to an earlier response
// by its id is refused, and every conversation comes whole. So are tools that a server would run, and input that is no
// text.
#pragma once

#include <cstddef>
#include <string>

#include "runtime/serve/api/protocol.h"

namespace qiao::serve {

// Call::echo_fields holds the members that the answer repeats.
absl::StatusOr<Call> ParseResponses(const OrderedJson& body, const ModelFacts& model,
                                    const ApiLimits& limits);

OrderedJson WholeResponse(const Call& call, const AnswerHeader& header, const Answer& answer);
// `call` and `header` must outlive it.
std::unique_ptr<AnswerStream> StreamResponse(const Call& call, const AnswerHeader& header);

// What the whole and the events have in common.

// The response as it stands: `status` is "in_progress", "completed", ...; `usage` null until it is known.
OrderedJson ResponseObject(const Call& call, const AnswerHeader& header, std::string_view status,
                           OrderedJson output, OrderedJson usage);
// "completed", "incomplete" (with its incomplete_details) or "cancelled", by how the answer ended.
std::string_view ResponseStatus(Ended ended);
void SetIncomplete(Ended ended, OrderedJson& response);
OrderedJson ResponseUsage(const AnswerTotals& totals);

// Items of the output; `status` as above. `index` is the place in the output, a part of the id.
std::string ItemId(std::string_view prefix, const AnswerHeader& header, size_t index);
OrderedJson ReasoningItem(const std::string& id, std::string_view status, OrderedJson content);
OrderedJson MessageItem(const std::string& id, std::string_view status, OrderedJson content);
OrderedJson CallItem(const std::string& id, std::string_view status, const ToolCall& call);
OrderedJson ReasoningPart(const std::string& text);
OrderedJson TextPart(const std::string& text, OrderedJson logprobs);

}  // namespace qiao::serve
