// OpenAI's responses: the body.
#include <array>
#include <utility>

#include "runtime/serve/api/fields.h"
#include "runtime/serve/api/openai_fields.h"
#include "runtime/serve/api/responses.h"
#include "runtime/serve/api/tool_fields.h"
#include "runtime/serve/api/transcript.h"

namespace qiao::serve {
namespace {

constexpr std::array<std::string_view, 4> kTextParts = {"input_text", "output_text", "text", "refusal"};
constexpr std::array<std::string_view, 2> kThoughtParts = {"reasoning_text", "summary_text"};

absl::StatusOr<std::string> ReadContent(const Fields& item, std::string_view name, const ApiLimits& limits) {
  const OrderedJson* content = item.Find(name);
  if (content == nullptr) {
    return BadParam(item.PathOf(name), "is missing; it must be a string or an array of parts");
  }
  return ReadTexts(*content, item.PathOf(name), kTextParts, "", limits);
}

absl::Status ReadMessage(const Fields& item, const ApiLimits& limits, Transcript& transcript) {
  QIAO_ASSIGN_OR_RETURN(const std::string role, item.NeedString("role"));
  QIAO_ASSIGN_OR_RETURN(std::string text, ReadContent(item, "content", limits));
  if (role == "assistant") {
    transcript.Said("\n", std::move(text));
  } else if (role == "user") {
    transcript.Add("user", std::move(text));
  } else if (role == "system" || role == "developer") {
    transcript.Add("system", std::move(text));
  } else {
    return BadParam(item.PathOf("role"),
                    absl::StrFormat("\"%s\" is not known; there are user, assistant, system and developer",
                                    role.substr(0, 40)));
  }
  return absl::OkStatus();
}

// The thoughts themselves, or else their summary; those that are encrypted are another server's.
absl::Status ReadReasoning(const Fields& item, const ApiLimits& limits, Transcript& transcript) {
  for (const char* name : {"content", "summary"}) {
    const OrderedJson* parts = item.Find(name);
    if (parts == nullptr) continue;
    QIAO_ASSIGN_OR_RETURN(const std::string text,
                          ReadTexts(*parts, item.PathOf(name), kThoughtParts, "\n", limits));
    if (text.empty()) continue;
    transcript.Thought(text);
    break;
  }
  return absl::OkStatus();
}

absl::Status ReadItem(const Fields& item, const ApiLimits& limits, Transcript& transcript) {
  QIAO_ASSIGN_OR_RETURN(const std::optional<std::string> given, item.String("type"));
  const std::string type = given ? *given : item.Has("role") ? "message" : "item_reference";
  if (type == "message") return ReadMessage(item, limits, transcript);
  if (type == "reasoning") return ReadReasoning(item, limits, transcript);
  if (type == "function_call") {
    QIAO_ASSIGN_OR_RETURN(std::string id, item.NeedString("call_id"));
    QIAO_ASSIGN_OR_RETURN(const std::string name, item.NeedString("name"));
    QIAO_ASSIGN_OR_RETURN(const std::string arguments, item.NeedString("arguments"));
    transcript.Called(std::move(id), name, ReadArguments(arguments, limits));
    return absl::OkStatus();
  }
  if (type == "function_call_output") {
    QIAO_ASSIGN_OR_RETURN(const std::string id, item.NeedString("call_id"));
    QIAO_ASSIGN_OR_RETURN(std::string output, ReadContent(item, "output", limits));
    return transcript.Returned(id, std::move(output), item.PathOf("call_id"));
  }
  if (type == "item_reference") {
    return BadParam(given ? item.PathOf("type") : item.path(),
                    "refers to an earlier item, and this server stores none; send the item itself");
  }
  return BadParam(item.PathOf("type"),
                  absl::StrFormat("\"%s\" is not supported; there are message, reasoning, function_call and "
                                  "function_call_output",
                                  type.substr(0, 40)));
}

absl::Status ReadInput(const Fields& body, const ApiLimits& limits, Call& call) {
  Transcript transcript;
  QIAO_ASSIGN_OR_RETURN(std::optional<std::string> instructions, body.String("instructions"));
  if (instructions) transcript.Add("system", *instructions);
  const OrderedJson* input = body.Find("input");
  if (input == nullptr) return BadParam("input", "is missing; it must be a string or an array of items");
  if (input->is_string()) {
    transcript.Add("user", input->get<std::string>());
  } else if (!input->is_array()) {
    return BadParam("input",
                    absl::StrFormat("must be a string or an array of items, not %s", TypeName(*input)));
  } else {
    QIAO_RETURN_IF_ERROR(body.Array("input", limits.messages).status());
    if (input->empty()) return BadParam("input", "is empty; there must be one item at least");
    for (size_t i = 0; i < input->size(); ++i) {
      QIAO_ASSIGN_OR_RETURN(const Fields item, Fields::Of((*input)[i], absl::StrFormat("input[%d]", i)));
      QIAO_RETURN_IF_ERROR(ReadItem(item, limits, transcript));
    }
  }
  if (transcript.EndsWithCalls()) {
    return BadParam("input", "ends with a function_call; its function_call_output must follow");
  }
  call.messages = transcript.Take();
  if (call.messages.empty()) return BadParam("input", "says nothing");
  return absl::OkStatus();
}

// What refers to something that this server does not have or do.
absl::Status RefuseTheRest(const Fields& body) {
  constexpr std::pair<const char*, const char*> kRefused[] = {
      {"previous_response_id",
       "is not supported: this server stores no responses; send the conversation as input"},
      {"conversation", "is not supported: this server stores no conversations; send it as input"},
      {"background", "is not supported: this server answers while the client waits"},
      {"prompt", "is not supported: this server stores no prompts; send instructions and input"},
      {"moderation", "is not supported: this server moderates nothing"},
  };
  for (const auto& [name, why] : kRefused) QIAO_RETURN_IF_ERROR(body.Refuse(name, why));
  QIAO_ASSIGN_OR_RETURN(const std::optional<std::string> truncation, body.String("truncation"));
  if (truncation && *truncation != "disabled") {
    return BadParam("truncation", "must be \"disabled\": nothing is left out of an input silently");
  }
  return absl::OkStatus();
}

absl::Status ReadReasoningEffort(const Fields& body, Call& call) {
  call.echo_fields["reasoning"] = {{"effort", nullptr}, {"summary", nullptr}};
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* reasoning, body.Object("reasoning"));
  if (reasoning == nullptr) return absl::OkStatus();
  QIAO_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*reasoning, "reasoning"));
  QIAO_ASSIGN_OR_RETURN(const std::optional<std::string> effort, fields.String("effort"));
  if (!effort) return absl::OkStatus();
  const bool thinks = effort != "none";
  SetThinking(thinks, call.template_kwargs);
  if (thinks) call.template_kwargs["reasoning_effort"] = *effort;
  call.echo_fields["reasoning"]["effort"] = *effort;
  return absl::OkStatus();
}

absl::Status ReadText(const Fields& body, const ApiLimits& limits, Call& call) {
  OrderedJson& echo = call.echo_fields["text"] = {{"format", {{"type", "text"}}}};
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* text, body.Object("text"));
  if (text == nullptr) return absl::OkStatus();
  QIAO_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*text, "text"));
  QIAO_ASSIGN_OR_RETURN(const std::optional<std::string> verbosity, fields.String("verbosity"));
  if (verbosity) echo["verbosity"] = *verbosity;
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* format, fields.Object("format"));
  if (format == nullptr) return absl::OkStatus();
  echo["format"] = *format;
  QIAO_ASSIGN_OR_RETURN(const Fields format_fields, Fields::Of(*format, "text.format"));
  return ReadFormat(format_fields, /*nested=*/false, limits, call.spec.constraint);
}

absl::Status ReadLogprobs(const Fields& body, const ApiLimits& limits, Call& call) {
  QIAO_ASSIGN_OR_RETURN(const std::optional<int64_t> top, body.Int("top_logprobs", 0, limits.logprobs));
  bool wanted = top.value_or(0) > 0;
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* include, body.Array("include", limits.content_parts));
  if (include != nullptr) {
    for (size_t i = 0; i < include->size(); ++i) {
      const OrderedJson& name = (*include)[i];
      if (!name.is_string()) {
        return BadParam(absl::StrFormat("include[%d]", i),
                        absl::StrFormat("must be a string, not %s", TypeName(name)));
      }
      // The other names are of things that never are in an answer from here.
      wanted = wanted || name == "message.output_text.logprobs";
    }
  }
  if (wanted) call.spec.logprobs = static_cast<int32_t>(top.value_or(0));
  call.echo_fields["top_logprobs"] = top.value_or(0);
  return absl::OkStatus();
}

// Members that are told again as they came, or as what stands for them.
absl::Status Echo(const Fields& body, Call& call) {
  OrderedJson& echo = call.echo_fields;
  for (const char* name : {"instructions", "user", "safety_identifier", "prompt_cache_key"}) {
    QIAO_ASSIGN_OR_RETURN(const std::optional<std::string> text, body.String(name));
    echo[name] = text ? OrderedJson(*text) : OrderedJson();
  }
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* metadata, body.Object("metadata"));
  echo["metadata"] = metadata == nullptr ? OrderedJson::object() : *metadata;
  echo["max_output_tokens"] = call.has_max_tokens ? OrderedJson(call.spec.max_tokens) : OrderedJson();
  echo["temperature"] = call.spec.sampling.temperature;
  echo["top_p"] = call.spec.sampling.top_p;
  echo["parallel_tool_calls"] = call.parallel_tool_calls;
  const OrderedJson* choice = body.Find("tool_choice");
  echo["tool_choice"] = choice == nullptr ? OrderedJson("auto") : *choice;
  OrderedJson& tools = echo["tools"] = OrderedJson::array();
  for (const Tool& tool : call.tools.tools) {
    tools.push_back(
        {{"type", "function"},
         {"name", tool.name},
         {"description", tool.description.empty() ? OrderedJson() : OrderedJson(tool.description)},
         {"parameters", tool.parameters},
         {"strict", tool.strict.value_or(false)}});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Call> ParseResponses(const OrderedJson& json, const ModelFacts& model,
                                    const ApiLimits& limits) {
  QIAO_ASSIGN_OR_RETURN(const Fields body, Fields::Of(json, ""));
  Call call;
  call.chat = true;
  call.echo_fields = OrderedJson::object();
  QIAO_ASSIGN_OR_RETURN(std::optional<std::string> name, body.String("model"));
  call.model = name.value_or("");
  QIAO_RETURN_IF_ERROR(RefuseTheRest(body));
  QIAO_RETURN_IF_ERROR(ReadInput(body, limits, call));
  QIAO_RETURN_IF_ERROR(ReadTools(body, ToolDialect::kResponses, call));
  QIAO_RETURN_IF_ERROR(ReadSampling(body, model, call.spec.sampling));
  QIAO_ASSIGN_OR_RETURN(const std::optional<int64_t> most,
                        body.Int("max_output_tokens", 1, limits.max_tokens));
  call.has_max_tokens = most.has_value();
  if (most) call.spec.max_tokens = *most;
  QIAO_RETURN_IF_ERROR(ReadReasoningEffort(body, call));
  QIAO_RETURN_IF_ERROR(ReadText(body, limits, call));
  QIAO_RETURN_IF_ERROR(ReadLogprobs(body, limits, call));
  QIAO_ASSIGN_OR_RETURN(const std::optional<bool> stream, body.Bool("stream"));
  call.stream = stream.value_or(false);
  QIAO_RETURN_IF_ERROR(body.Bool("store").status());
  QIAO_RETURN_IF_ERROR(Echo(body, call));
  return call;
}

}  // namespace qiao::serve
