#include "runtime/serve/api/transcript.h"

#include <algorithm>
#include <utility>

#include "runtime/serve/api/errors.h"
#include "runtime/serve/api/fields.h"

namespace qiao::serve {

void Transcript::Add(std::string_view role, std::string text) {
  messages_.push_back({{"role", std::string(role)}, {"content", std::move(text)}});
}

OrderedJson& Transcript::Turn(std::string_view role) {
  if (messages_.empty() || messages_.back()["role"].get_ref<const std::string&>() != role) Add(role, "");
  return messages_.back();
}

void Transcript::Join(std::string_view role, std::string_view separator, std::string text) {
  auto& content = Turn(role)["content"].get_ref<std::string&>();
  if (!content.empty() && !text.empty()) content += separator;
  content += text;
}

void Transcript::Thought(const std::string& text) {
  OrderedJson& turn = Turn("assistant");
  if (!turn.contains("reasoning_content")) turn["reasoning_content"] = "";
  auto& thoughts = turn["reasoning_content"].get_ref<std::string&>();
  if (!thoughts.empty() && !text.empty()) thoughts += "\n";
  thoughts += text;
}

void Transcript::Said(std::string_view separator, std::string text) {
  Join("assistant", separator, std::move(text));
}

void Transcript::Called(std::string id, const std::string& name, OrderedJson arguments) {
  called_[id] = name;
  Turn("assistant")["tool_calls"].push_back(
      {{"id", std::move(id)},
       {"type", "function"},
       {"function", {{"name", name}, {"arguments", std::move(arguments)}}}});
}

absl::Status Transcript::Returned(const std::string& id, std::string text, const std::string& path) {
  const auto it = called_.find(id);
  if (it == called_.end()) {
    return BadParam(path, absl::StrFormat("\"%s\" is the id of no call before it", id.substr(0, 80)));
  }
  Add("tool", std::move(text));
  messages_.back()["tool_call_id"] = id;
  messages_.back()["name"] = it->second;
  return absl::OkStatus();
}

bool Transcript::EndsWithCalls() const {
  return !messages_.empty() && messages_.back().contains("tool_calls");
}

absl::Status NotText(const std::string& path, std::string_view type) {
  return BadParam(path,
                  absl::StrFormat("\"%s\" is not supported: this model reads text only", type.substr(0, 40)));
}

absl::StatusOr<std::string> ReadTexts(const OrderedJson& value, const std::string& path,
                                      absl::Span<const std::string_view> types, std::string_view separator,
                                      const ApiLimits& limits) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) {
    return BadParam(path, absl::StrFormat("must be a string or an array of parts, not %s", TypeName(value)));
  }
  if (static_cast<int64_t>(value.size()) > limits.content_parts) {
    return BadParam(
        path, absl::StrFormat("has %d parts; at most %d are allowed", value.size(), limits.content_parts));
  }
  std::string text;
  for (size_t i = 0; i < value.size(); ++i) {
    QIAO_ASSIGN_OR_RETURN(const Fields part, Fields::Of(value[i], absl::StrFormat("%s[%d]", path, i)));
    QIAO_ASSIGN_OR_RETURN(const std::string type, part.NeedString("type"));
    if (std::find(types.begin(), types.end(), type) == types.end()) {
      return NotText(part.PathOf("type"), type);
    }
    QIAO_ASSIGN_OR_RETURN(const std::string piece, part.NeedString(type == "refusal" ? "refusal" : "text"));
    if (!text.empty() && !piece.empty()) text += separator;
    text += piece;
  }
  return text;
}

OrderedJson ArgumentsObject(const std::string& text, const JsonLimits& limits) {
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return OrderedJson::object();
  absl::StatusOr<OrderedJson> parsed = ParseOrderedJson(text, "arguments", limits);
  if (parsed.ok() && parsed->is_object()) return *std::move(parsed);
  return nullptr;
}

OrderedJson ReadArguments(const std::string& text, const ApiLimits& limits) {
  OrderedJson object = ArgumentsObject(
      text, {.max_depth = limits.json_depth, .max_values = static_cast<size_t>(limits.json_values)});
  if (object.is_null()) return text;
  return object;
}

void SetThinking(bool on, OrderedJson& template_kwargs) {
  for (const char* name : {"thinking", "enable_thinking"}) template_kwargs[name] = on;
}

}  // namespace qiao::serve
