// OpenAI's chat completions: the body.
#include "runtime/serve/api/chat.h"

#include "runtime/serve/api/errors.h"
#include "runtime/serve/api/fields.h"
#include "runtime/serve/api/openai_fields.h"
#include "runtime/serve/api/tool_fields.h"

namespace qiao::serve {
namespace {

// A string, or parts of which each is text.
absl::StatusOr<std::string> ReadContent(const Fields& message, const ApiLimits& limits) {
  const OrderedJson* content = message.Find("content");
  if (content == nullptr) return std::string();
  if (content->is_string()) return content->get<std::string>();
  const std::string path = message.PathOf("content");
  if (!content->is_array()) {
    return BadParam(path,
                    absl::StrFormat("must be a string or an array of parts, not %s", TypeName(*content)));
  }
  QIAO_RETURN_IF_ERROR(message.Array("content", limits.content_parts).status());
  std::string text;
  for (size_t i = 0; i < content->size(); ++i) {
    QIAO_ASSIGN_OR_RETURN(const Fields part, Fields::Of((*content)[i], absl::StrFormat("%s[%d]", path, i)));
    QIAO_ASSIGN_OR_RETURN(const std::string type, part.NeedString("type"));
    if (type != "text" && type != "refusal") {
      return BadParam(
          part.PathOf("type"),
          absl::StrFormat("\"%s\" is not supported: this model reads text only", type.substr(0, 40)));
    }
    QIAO_ASSIGN_OR_RETURN(const std::string piece, part.NeedString(type));
    text += piece;
  }
  return text;
}

// Calls that the model made earlier, their arguments as an object where they are one: templates write them either way.
absl::StatusOr<OrderedJson> ReadCalls(const OrderedJson& calls, const std::string& path,
                                      const ApiLimits& limits) {
  OrderedJson out = OrderedJson::array();
  for (size_t i = 0; i < calls.size(); ++i) {
    QIAO_ASSIGN_OR_RETURN(const Fields call, Fields::Of(calls[i], absl::StrFormat("%s[%d]", path, i)));
    QIAO_ASSIGN_OR_RETURN(const std::optional<std::string> type, call.String("type"));
    if (type && *type != "function") return BadParam(call.PathOf("type"), "must be \"function\"");
    QIAO_ASSIGN_OR_RETURN(const OrderedJson* inner, call.Object("function"));
    if (inner == nullptr) return BadParam(call.PathOf("function"), "is missing");
    QIAO_ASSIGN_OR_RETURN(const Fields function, Fields::Of(*inner, call.PathOf("function")));
    QIAO_ASSIGN_OR_RETURN(const std::string name, function.NeedString("name"));
    QIAO_ASSIGN_OR_RETURN(const std::optional<std::string> id, call.String("id"));
    OrderedJson arguments = OrderedJson::object();
    if (const OrderedJson* given = function.Find("arguments")) {
      arguments = *given;
      if (given->is_string() && !given->get_ref<const std::string&>().empty()) {
        absl::StatusOr<OrderedJson> parsed = ParseOrderedJson(
            given->get_ref<const std::string&>(), function.PathOf("arguments"),
            {.max_depth = limits.json_depth, .max_values = static_cast<size_t>(limits.json_values)});
        // A model may have written no JSON; then it is shown as it was.
        if (parsed.ok() && parsed->is_object()) arguments = *std::move(parsed);
      }
    }
    out.push_back({{"id", id.value_or(absl::StrFormat("call_%d", i))},
                   {"type", "function"},
                   {"function", {{"name", name}, {"arguments", std::move(arguments)}}}});
  }
  return out;
}

absl::StatusOr<OrderedJson> ReadMessage(const Fields& message, const ApiLimits& limits) {
  QIAO_ASSIGN_OR_RETURN(std::string role, message.NeedString("role"));
  if (role == "developer") role = "system";
  if (role == "function") role = "tool";
  if (role != "system" && role != "user" && role != "assistant" && role != "tool") {
    return BadParam(
        message.PathOf("role"),
        absl::StrFormat("\"%s\" is not known; there are system, developer, user, assistant and tool",
                        role.substr(0, 40)));
  }
  OrderedJson out = {{"role", role}};
  QIAO_ASSIGN_OR_RETURN(std::string content, ReadContent(message, limits));
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* calls, message.Array("tool_calls", 128));
  const bool has_calls = calls != nullptr && !calls->empty();
  if (!message.Has("content") && !(role == "assistant" && (has_calls || message.Has("refusal")))) {
    return BadParam(message.PathOf("content"), "is missing; it must be a string or an array of parts");
  }
  out["content"] = std::move(content);
  for (const char* name : {"name", "tool_call_id", "reasoning_content"}) {
    QIAO_ASSIGN_OR_RETURN(std::optional<std::string> value, message.String(name));
    if (value) out[name] = *std::move(value);
  }
  if (has_calls) {
    if (role != "assistant")
      return BadParam(message.PathOf("tool_calls"), "belongs to the assistant's messages");
    QIAO_ASSIGN_OR_RETURN(out["tool_calls"], ReadCalls(*calls, message.PathOf("tool_calls"), limits));
  }
  return out;
}

absl::Status ReadLogprobs(const Fields& body, const ApiLimits& limits, GenerateRequest& spec) {
  QIAO_ASSIGN_OR_RETURN(const std::optional<bool> logprobs, body.Bool("logprobs"));
  QIAO_ASSIGN_OR_RETURN(const std::optional<int64_t> top, body.Int("top_logprobs", 0, limits.logprobs));
  if (logprobs.value_or(false)) {
    spec.logprobs = static_cast<int32_t>(top.value_or(0));
  } else if (top.value_or(0) > 0) {
    return BadParam("top_logprobs", "needs logprobs to be true");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Call> ParseChat(const OrderedJson& json, const ModelFacts& model, const ApiLimits& limits) {
  QIAO_ASSIGN_OR_RETURN(const Fields body, Fields::Of(json, ""));
  Call call;
  call.chat = true;
  QIAO_RETURN_IF_ERROR(ReadCommon(body, model, limits, call));
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* messages, body.NeedArray("messages", limits.messages));
  if (messages->empty()) return BadParam("messages", "is empty; there must be one at least");
  for (size_t i = 0; i < messages->size(); ++i) {
    QIAO_ASSIGN_OR_RETURN(const Fields message,
                          Fields::Of((*messages)[i], absl::StrFormat("messages[%d]", i)));
    QIAO_ASSIGN_OR_RETURN(OrderedJson read, ReadMessage(message, limits));
    call.messages.push_back(std::move(read));
  }
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {
    QIAO_ASSIGN_OR_RETURN(const std::optional<int64_t> most, body.Int(name, 1, limits.max_tokens));
    if (most) call.spec.max_tokens = *most, call.has_max_tokens = true;
  }
  QIAO_RETURN_IF_ERROR(ReadLogprobs(body, limits, call.spec));
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* format, body.Object("response_format"));
  if (format != nullptr) {
    QIAO_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*format, "response_format"));
    QIAO_RETURN_IF_ERROR(ReadFormat(fields, /*nested=*/true, limits, call.spec.constraint));
  }
  QIAO_RETURN_IF_ERROR(ReadTools(body, ToolDialect::kChat, call));
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* kwargs, body.Object("chat_template_kwargs"));
  if (kwargs != nullptr) call.template_kwargs = *kwargs;
  QIAO_ASSIGN_OR_RETURN(const std::optional<bool> prefill, body.Bool("continue_final_message"));
  call.continue_final = prefill.value_or(false);
  if (call.continue_final && call.messages.back()["role"] != "assistant") {
    return BadParam("continue_final_message", "needs the last message to be the assistant's");
  }
  QIAO_RETURN_IF_ERROR(body.Refuse("functions", "is an old form that is not supported; use tools"));
  QIAO_RETURN_IF_ERROR(body.Refuse("function_call", "is an old form that is not supported; use tool_choice"));
  QIAO_RETURN_IF_ERROR(body.Refuse("audio", "is not supported: this model writes text only"));
  QIAO_RETURN_IF_ERROR(body.Refuse("web_search_options", "is not supported: this server searches nothing"));
  return call;
}

}  // namespace qiao::serve
