#include "runtime/serve/api/prompt.h"

#include "runtime/serve/api/answer.h"
#include "runtime/serve/api/errors.h"

namespace qiao::serve {
namespace {

// A name is far shorter; a model that could write on would be cut here.
constexpr int64_t kNameTokens = 128;

ForcedTool ForcedBy(const Call& call) {
  ForcedTool forced;
  if (call.tool_choice.kind == ToolChoice::Kind::kNamed) {
    forced.needed = true;
    forced.name = call.tool_choice.name;
  } else if (call.tool_choice.kind == ToolChoice::Kind::kRequired) {
    forced.needed = true;
    if (call.tools.tools.size() == 1) {
      forced.name = call.tools.tools.front().name;
    } else {
      for (const Tool& tool : call.tools.tools) forced.names.push_back(tool.name);
    }
  }
  return forced;
}

// False where there is none to change.
bool ArgumentsToText(OrderedJson& messages) {
  bool changed = false;
  for (OrderedJson& message : messages) {
    const auto calls = message.find("tool_calls");
    if (calls == message.end() || !calls->is_array()) continue;
    for (OrderedJson& call : *calls) {
      OrderedJson& arguments = call["function"]["arguments"];
      if (arguments.is_string()) continue;
      arguments = DumpJson(arguments);
      changed = true;
    }
  }
  return changed;
}

}  // namespace

absl::StatusOr<ComposedPrompt> ComposeChat(const Engine& engine, const Call& call,
                                           const AnswerFormat& format) {
  ComposedPrompt out;
  out.rendered = true;
  out.format = format;
  out.forced = ForcedBy(call);
  ChatOptions options;
  if (!call.tools.empty() && call.tool_choice.kind != ToolChoice::Kind::kNone) {
    options.tools_json = DumpJson(ToChatTools(call.tools));
  }
  if (!call.template_kwargs.empty()) options.template_kwargs_json = DumpJson(call.template_kwargs);
  OrderedJson messages = call.messages;
  std::string begun;
  if (call.continue_final) {
    begun = messages.back()["content"].get<std::string>();
    messages.erase(messages.size() - 1);
  }
  Result<std::string> rendered = engine.RenderChat(DumpJson(messages), options);
  // Some templates write a call's arguments as they are and want a text; most dump an object.
  if (!rendered.ok() && ArgumentsToText(messages)) rendered = engine.RenderChat(DumpJson(messages), options);
  if (!rendered.ok()) {
    absl::Status status = FromPublic(rendered.status());
    if (status.code() != absl::StatusCode::kFailedPrecondition) return status;
    return WithErrorCode(
        InvalidArgument("%s; POST /v1/completions continues a text without one", Message(status)),
        "no_chat_template");
  }
  out.text = *std::move(rendered);
  out.format.thinking_opened = out.format.reasoning == ReasoningFormat::kThink && EndsInsideThink(out.text);
  // What the answer must look like holds from its first character on, so that there is no room to think.
  // Nor is there where it has been begun.
  if (out.format.thinking_opened &&
      (!begun.empty() || call.spec.constraint.kind != Constraint::Kind::kNone)) {
    out.text += "\n</think>\n\n";
    out.format.thinking_opened = false;
  }
  out.text += begun;
  return out;
}

absl::StatusOr<GenerateRequest> ForcedRequest(const Call& call, const ComposedPrompt& prompt,
                                              const std::string& name) {
  GenerateRequest request = call.spec;
  request.n = 1;
  request.rendered = true;
  request.stop.clear();
  request.constraint = {};
  request.logprobs = -1;
  if (name.empty()) {
    request.prompt = prompt.text + ForcedCallName(prompt.format);
    request.constraint.kind = Constraint::Kind::kChoice;
    request.constraint.choices = prompt.forced.names;
    request.max_tokens = kNameTokens;
    return request;
  }
  request.prompt = prompt.text + ForcedCallName(prompt.format) + name + ForcedCallArguments(prompt.format);
  const Tool* tool = call.tools.Find(name);
  if (tool == nullptr) return BadParam("tool_choice", absl::StrFormat("\"%s\" is none of the tools", name));
  request.constraint.kind = Constraint::Kind::kJsonSchema;
  request.constraint.text = DumpJson(tool->parameters);
  return request;
}

}  // namespace qiao::serve
