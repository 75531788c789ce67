// What the bodies of OpenAI's chat and text completions have in common, with the extensions that people know from
// vLLM and SGLang: top_k, min_p, repetition_penalty, ignore_eos, stop_token_ids, guided_json, guided_regex,
// guided_choice, priority.
#pragma once

#include "runtime/serve/api/call.h"
#include "runtime/serve/api/fields.h"

namespace qiao::serve {

// model, sampling, n, stop, seed, stream, stream_options, logit_bias, guided_*, efficiency, ...
absl::Status ReadCommon(const Fields& body, const ModelFacts& model, const ApiLimits& limits, Call& call);
// temperature, top_p, top_k, ... alone. Where the client does not say, as the model's authors ask for.
absl::Status ReadSampling(const Fields& body, const ModelFacts& model, SamplingParams& sampling);
// A string or an array of strings.
absl::Status ReadStop(const Fields& body, std::string_view name, const ApiLimits& limits,
                      std::vector<std::string>& stop);
// {"type": "text" | "json_object" | "json_schema", ..}. `nested`: the schema is the member json_schema.schema, as in
// chats; else it is schema, as in Responses.
absl::Status ReadFormat(const Fields& format, bool nested, const ApiLimits& limits, Constraint& constraint);
// The member `name` as the text of a JSON schema.
absl::StatusOr<std::string> SchemaText(const OrderedJson& schema, const std::string& path,
                                       const ApiLimits& limits);

}  // namespace qiao::serve
