// Anthropic's messages: the body.
#include <array>
#include <utility>

#include "runtime/serve/api/fields.h"
#include "runtime/serve/api/messages.h"
#include "runtime/serve/api/openai_fields.h"
#include "runtime/serve/api/tool_fields.h"
#include "runtime/serve/api/transcript.h"

namespace qiao::serve {
namespace {

constexpr std::array<std::string_view, 1> kText = {"text"};
// Between blocks that a person or program wrote side by side. The model's own are joined as they came.
constexpr std::string_view kBetween = "\n";

absl::Status ReadResult(const Fields& block, const ApiLimits& limits, Transcript& transcript) {
  QIAO_ASSIGN_OR_RETURN(const std::string id, block.NeedString("tool_use_id"));
  QIAO_ASSIGN_OR_RETURN(const std::optional<bool> failed, block.Bool("is_error"));
  std::string text;
  if (const OrderedJson* content = block.Find("content")) {
    QIAO_ASSIGN_OR_RETURN(text, ReadTexts(*content, block.PathOf("content"), kText, kBetween, limits));
  }
  // Templates have no other place for it.
  if (failed.value_or(false)) text = "Error: " + text;
  return transcript.Returned(id, std::move(text), block.PathOf("tool_use_id"));
}

absl::Status ReadAssistantBlock(const Fields& block, const std::string& type, Transcript& transcript) {
  if (type == "text") {
    QIAO_ASSIGN_OR_RETURN(std::string text, block.NeedString("text"));
    transcript.Said("", std::move(text));
  } else if (type == "thinking") {
    QIAO_ASSIGN_OR_RETURN(const std::string text, block.NeedString("thinking"));
    transcript.Thought(text);
  } else if (type == "tool_use") {
    QIAO_ASSIGN_OR_RETURN(std::string id, block.NeedString("id"));
    QIAO_ASSIGN_OR_RETURN(const std::string name, block.NeedString("name"));
    QIAO_ASSIGN_OR_RETURN(const OrderedJson* input, block.Object("input"));
    transcript.Called(std::move(id), name, input == nullptr ? OrderedJson::object() : *input);
  } else if (type != "redacted_thinking") {  // another server's, which nobody here can read
    return NotText(block.PathOf("type"), type);
  }
  return absl::OkStatus();
}

absl::Status ReadBlocks(const OrderedJson& blocks, const std::string& path, bool assistant,
                        const ApiLimits& limits, Transcript& transcript) {
  std::string text;
  bool results = false;
  for (size_t i = 0; i < blocks.size(); ++i) {
    QIAO_ASSIGN_OR_RETURN(const Fields block, Fields::Of(blocks[i], absl::StrFormat("%s[%d]", path, i)));
    QIAO_ASSIGN_OR_RETURN(const std::string type, block.NeedString("type"));
    if (assistant) {
      QIAO_RETURN_IF_ERROR(ReadAssistantBlock(block, type, transcript));
    } else if (type == "tool_result") {
      results = true;
      QIAO_RETURN_IF_ERROR(ReadResult(block, limits, transcript));
    } else if (type == "text") {
      QIAO_ASSIGN_OR_RETURN(const std::string piece, block.NeedString("text"));
      if (!text.empty() && !piece.empty()) text += kBetween;
      text += piece;
    } else {
      return NotText(block.PathOf("type"), type);
    }
  }
  // Results come first, wherever the text was: templates want them right after the calls.
  if (!assistant && !(results && text.empty())) transcript.Join("user", kBetween, std::move(text));
  return absl::OkStatus();
}

absl::Status ReadMessage(const Fields& message, const ApiLimits& limits, Transcript& transcript) {
  QIAO_ASSIGN_OR_RETURN(const std::string role, message.NeedString("role"));
  const OrderedJson* content = message.Find("content");
  const std::string path = message.PathOf("content");
  if (content == nullptr) return BadParam(path, "is missing; it must be a string or an array of blocks");
  if (role == "system") {
    QIAO_ASSIGN_OR_RETURN(std::string text, ReadTexts(*content, path, kText, kBetween, limits));
    transcript.Add("system", std::move(text));
    return absl::OkStatus();
  }
  if (role != "user" && role != "assistant") {
    return BadParam(
        message.PathOf("role"),
        absl::StrFormat("\"%s\" is not known; there are user, assistant and system", role.substr(0, 40)));
  }
  if (content->is_string()) {
    transcript.Join(role, kBetween, content->get<std::string>());
    return absl::OkStatus();
  }
  if (!content->is_array()) {
    return BadParam(path,
                    absl::StrFormat("must be a string or an array of blocks, not %s", TypeName(*content)));
  }
  QIAO_RETURN_IF_ERROR(message.Array("content", limits.content_parts).status());
  return ReadBlocks(*content, path, role == "assistant", limits, transcript);
}

absl::Status ReadConversation(const Fields& body, const ApiLimits& limits, Call& call) {
  Transcript transcript;
  if (const OrderedJson* system = body.Find("system")) {
    QIAO_ASSIGN_OR_RETURN(std::string text, ReadTexts(*system, "system", kText, kBetween, limits));
    if (!text.empty()) transcript.Add("system", std::move(text));
  }
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* messages, body.NeedArray("messages", limits.messages));
  if (messages->empty()) return BadParam("messages", "is empty; there must be one at least");
  for (size_t i = 0; i < messages->size(); ++i) {
    QIAO_ASSIGN_OR_RETURN(const Fields message,
                          Fields::Of((*messages)[i], absl::StrFormat("messages[%d]", i)));
    QIAO_RETURN_IF_ERROR(ReadMessage(message, limits, transcript));
  }
  if (transcript.EndsWithCalls()) {
    return BadParam(absl::StrFormat("messages[%d]", messages->size() - 1),
                    "has tool_use blocks; the next message must bring their tool_result blocks");
  }
  call.messages = transcript.Take();
  call.continue_final = !call.messages.empty() && call.messages.back()["role"] == "assistant";
  // The beginning of an answer that begins nothing.
  if (call.continue_final && call.messages.back()["content"].get_ref<const std::string&>().empty()) {
    call.messages.erase(call.messages.size() - 1);
    call.continue_final = false;
  }
  if (call.messages.empty()) return BadParam("messages", "say nothing");
  return absl::OkStatus();
}

absl::Status ReadThinking(const Fields& body, const ApiLimits& limits, Call& call) {
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* thinking, body.Object("thinking"));
  if (thinking == nullptr) return absl::OkStatus();
  QIAO_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*thinking, "thinking"));
  QIAO_ASSIGN_OR_RETURN(const std::string type, fields.NeedString("type"));
  // Checked, and then only max_tokens bounds what is thought.
  QIAO_RETURN_IF_ERROR(fields.Int("budget_tokens", 0, limits.max_tokens).status());
  if (type != "enabled" && type != "disabled" && type != "adaptive" && type != "between_tools") {
    return BadParam(
        "thinking.type",
        absl::StrFormat("\"%s\" is not known; there are enabled, adaptive and disabled", type.substr(0, 40)));
  }
  SetThinking(type != "disabled", call.template_kwargs);
  return absl::OkStatus();
}

absl::Status ReadOutput(const Fields& body, const ApiLimits& limits, Call& call) {
  const auto read_format = [&](const OrderedJson& format, const std::string& path) -> absl::Status {
    QIAO_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(format, path));
    QIAO_RETURN_IF_ERROR(ReadFormat(fields, /*nested=*/false, limits, call.spec.constraint));
    if (call.continue_final) return BadParam(path, "cannot be combined with a last message of the assistant");
    return absl::OkStatus();
  };
  // The name of the beta.
  if (const OrderedJson* format = body.Find("output_format")) {
    QIAO_RETURN_IF_ERROR(read_format(*format, "output_format"));
  }
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* config, body.Object("output_config"));
  if (config == nullptr) return absl::OkStatus();
  QIAO_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*config, "output_config"));
  if (const OrderedJson* format = fields.Find("format")) {
    QIAO_RETURN_IF_ERROR(read_format(*format, "output_config.format"));
  }
  QIAO_ASSIGN_OR_RETURN(std::optional<std::string> effort, fields.String("effort"));
  if (effort) call.template_kwargs["reasoning_effort"] = *std::move(effort);
  return absl::OkStatus();
}

absl::StatusOr<Call> Parse(const OrderedJson& json, bool counting, const ModelFacts& model,
                           const ApiLimits& limits) {
  QIAO_ASSIGN_OR_RETURN(const Fields body, Fields::Of(json, ""));
  Call call;
  call.chat = true;
  QIAO_ASSIGN_OR_RETURN(std::optional<std::string> name, body.String("model"));
  call.model = name.value_or("");
  QIAO_ASSIGN_OR_RETURN(const std::optional<int64_t> most, body.Int("max_tokens", 1, limits.max_tokens));
  if (!most && !counting) return BadParam("max_tokens", "is missing; it must be a whole number");
  call.has_max_tokens = most.has_value();
  if (most) call.spec.max_tokens = *most;
  QIAO_RETURN_IF_ERROR(ReadConversation(body, limits, call));
  QIAO_RETURN_IF_ERROR(ReadTools(body, ToolDialect::kAnthropic, call));
  QIAO_RETURN_IF_ERROR(ReadThinking(body, limits, call));
  QIAO_RETURN_IF_ERROR(ReadOutput(body, limits, call));
  QIAO_RETURN_IF_ERROR(ReadSampling(body, model, call.spec.sampling));
  QIAO_RETURN_IF_ERROR(ReadStop(body, "stop_sequences", limits, call.spec.stop));
  QIAO_ASSIGN_OR_RETURN(const std::optional<bool> stream, body.Bool("stream"));
  call.stream = stream.value_or(false);
  QIAO_RETURN_IF_ERROR(body.Object("metadata").status());
  QIAO_RETURN_IF_ERROR(body.Refuse("mcp_servers", "is not supported: this server calls no other"));
  QIAO_RETURN_IF_ERROR(body.Refuse("container", "is not supported: this server runs no code"));
  return call;
}

}  // namespace

absl::StatusOr<Call> ParseMessages(const OrderedJson& body, const ModelFacts& model,
                                   const ApiLimits& limits) {
  return Parse(body, /*counting=*/false, model, limits);
}

absl::StatusOr<Call> ParseCountTokens(const OrderedJson& body, const ModelFacts& model,
                                      const ApiLimits& limits) {
  return Parse(body, /*counting=*/true, model, limits);
}

}  // namespace qiao::serve
