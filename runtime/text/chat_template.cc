#include "runtime/text/chat_template.h"

#include "runtime/text/jinja_interpreter.h"
#include "runtime/text/jinja_parser.h"

namespace qiao::text {
namespace {

constexpr std::string_view kSpecialTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                               "pad_token", "cls_token", "mask_token"};
constexpr uint64_t kMaxConfigBytes = uint64_t{64} << 20;

// A special token is a string or an AddedToken object. Null where it is neither.
OrderedJson TokenText(const OrderedJson& token) {
  if (token.is_string()) return token;
  if (token.is_object() && token.contains("content") && token["content"].is_string()) return token["content"];
  return nullptr;
}

OrderedJson SpecialTokens(const OrderedJson& config) {
  OrderedJson out = OrderedJson::object();
  for (std::string_view name : kSpecialTokens) {
    const auto it = config.find(std::string(name));
    if (it == config.end()) continue;
    OrderedJson text = TokenText(*it);
    // transformers' map holds only tokens that are set and not empty.
    if (text.is_string() && !text.get_ref<const std::string&>().empty())
      out[std::string(name)] = std::move(text);
  }
  const auto more = config.find("additional_special_tokens");
  if (more != config.end() && more->is_array() && !more->empty()) {
    OrderedJson list = OrderedJson::array();
    for (const OrderedJson& token : *more) {
      if (OrderedJson text = TokenText(token); text.is_string()) list.push_back(std::move(text));
    }
    out["additional_special_tokens"] = std::move(list);
  }
  return out;
}

}  // namespace

std::tm LocalTimeNow() {
  const std::time_t now = std::time(nullptr);
  std::tm out{};
  localtime_r(&now, &out);
  return out;
}

struct ChatTemplate::Tree {
  std::string name, source;
  jinja::Body body;
};

ChatTemplate::ChatTemplate(std::unique_ptr<const Tree> tree) : tree_(std::move(tree)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

absl::StatusOr<ChatTemplate> ChatTemplate::Parse(std::string_view source, std::string_view name,
                                                 const ChatTemplateLimits& limits) {
  if (source.size() > static_cast<size_t>(limits.max_template_bytes)) {
    return ResourceExhausted("%s: a template of %d bytes, at most %d are read (max_template_bytes)", name,
                             source.size(), limits.max_template_bytes);
  }
  absl::StatusOr<jinja::Body> body =
      jinja::ParseTemplate(source, {static_cast<size_t>(limits.max_tokens), limits.max_parse_depth});
  if (!body.ok()) return Annotate(body.status(), name);
  auto tree = std::make_unique<Tree>();
  tree->name = std::string(name);
  tree->source = std::string(source);
  tree->body = *std::move(body);
  return ChatTemplate(std::move(tree));
}

std::string_view ChatTemplate::source() const { return tree_->source; }

absl::StatusOr<std::string> ChatTemplate::Render(const OrderedJson& context, const ChatTemplateLimits& limits,
                                                 const ChatClock& clock) const {
  if (!context.is_object()) return InvalidArgument("%s: the context must be an object", tree_->name);
  jinja::Budget budget(limits.max_steps, limits.max_value_bytes, limits.max_string_bytes,
                       limits.max_value_depth);
  jinja::Interpreter interpreter(budget, {limits.max_output_bytes, limits.max_range, limits.max_depth},
                                 clock);
  for (const auto& item : context.items()) {
    // key() is a reference into the object, which outlives the interpreter.
    const std::string& key = item.key();
    absl::StatusOr<jinja::Value> value = jinja::FromJson(item.value(), budget);
    if (!value.ok()) return Annotate(value.status(), absl::StrFormat("%s: variable '%s'", tree_->name, key));
    interpreter.SetGlobal(key, *std::move(value));
  }
  absl::StatusOr<std::string> text = interpreter.Render(tree_->body);
  if (text.ok()) return text;
  return Annotate(text.status(), absl::StrFormat("%s: line %d", tree_->name, interpreter.error_line()));
}

absl::StatusOr<ChatTemplates> ChatTemplates::Load(std::string_view dir, const ChatTemplateLimits& limits) {
  return Load(FolderFiles(std::string(dir)), limits);
}

absl::StatusOr<ChatTemplates> ChatTemplates::Load(const FileSet& files, const ChatTemplateLimits& limits) {
  constexpr std::string_view kConfig = "tokenizer_config.json", kJinja = "chat_template.jinja";
  ChatTemplates out;
  out.limits_ = limits;
  const auto add = [&](const std::string& name, std::string_view source,
                       const std::string& where) -> absl::Status {
    QIAO_ASSIGN_OR_RETURN(ChatTemplate parsed, ChatTemplate::Parse(source, where, limits));
    out.templates_.emplace_back(name, std::move(parsed));
    return absl::OkStatus();
  };
  OrderedJson config = OrderedJson::object();
  QIAO_ASSIGN_OR_RETURN(const std::optional<std::string> text, files.Read(kConfig, kMaxConfigBytes));
  if (text) {
    QIAO_ASSIGN_OR_RETURN(config, ParseOrderedJson(*text, files.Where(kConfig)));
    if (!config.is_object()) return InvalidArgument("%s: must be an object", files.Where(kConfig));
  }
  out.special_tokens_ = SpecialTokens(config);
  QIAO_ASSIGN_OR_RETURN(const std::optional<std::string> jinja,
                        files.Read(kJinja, static_cast<uint64_t>(limits.max_template_bytes)));
  if (jinja) {
    QIAO_RETURN_IF_ERROR(add("default", *jinja, files.Where(kJinja)));
    return out;
  }
  const auto given = config.find("chat_template");
  if (given == config.end() || given->is_null()) {
    return NotFound("%s: is missing, and %s has no \"chat_template\"", files.Where(kJinja),
                    files.Where(kConfig));
  }
  const std::string where = files.Where(kConfig) + ": chat_template";
  if (given->is_string()) {
    QIAO_RETURN_IF_ERROR(add("default", given->get_ref<const std::string&>(), where));
    return out;
  }
  if (!given->is_array()) return InvalidArgument("%s: must be a string or a list of {name, template}", where);
  for (const OrderedJson& entry : *given) {
    const bool good = entry.is_object() && entry.contains("name") && entry["name"].is_string() &&
                      entry.contains("template") && entry["template"].is_string();
    if (!good) return InvalidArgument("%s: each entry must be {name, template}, both strings", where);
    const std::string& name = entry["name"].get_ref<const std::string&>();
    if (name != "default" && name != "tool_use") continue;  // chosen by name only, which no request does
    QIAO_RETURN_IF_ERROR(
        add(name, entry["template"].get_ref<const std::string&>(), where + " '" + name + "'"));
  }
  if (out.templates_.empty()) return NotFound("%s: none is named \"default\" or \"tool_use\"", where);
  return out;
}

// Null where there is a template for tools only.
const ChatTemplate* ChatTemplates::Choose(bool tools) const {
  const ChatTemplate* chosen = nullptr;
  for (const auto& [name, candidate] : templates_) {
    if (name == "default" && chosen == nullptr) chosen = &candidate;
    if (name == "tool_use" && tools) chosen = &candidate;
  }
  return chosen;
}

std::string_view ChatTemplates::Source(bool tools) const {
  const ChatTemplate* chosen = Choose(tools);
  return chosen == nullptr ? std::string_view() : chosen->source();
}

absl::StatusOr<std::string> ChatTemplates::Render(const ChatRequest& request, const ChatClock& clock) const {
  const ChatTemplate* chosen = Choose(!request.tools.is_null());
  if (chosen == nullptr)
    return FailedPrecondition("the model has a template for tools only, and no tools were given");
  if (!request.kwargs.is_object()) return InvalidArgument("kwargs of a chat request must be an object");
  OrderedJson context = special_tokens_;
  const std::pair<const char*, const OrderedJson*> given[] = {
      {"messages", &request.messages}, {"tools", &request.tools}, {"documents", &request.documents}};
  for (const auto& [name, value] : given) context[name] = *value;
  context["add_generation_prompt"] = request.add_generation_prompt;
  for (const auto& [key, value] : request.kwargs.items()) {
    if (key == "messages" || key == "tools" || key == "documents" || key == "add_generation_prompt") {
      return InvalidArgument("kwargs of a chat request must not set '%s'", key);
    }
    context[key] = value;
  }
  return chosen->Render(context, limits_, clock);
}

absl::StatusOr<std::string> RenderChat(std::string_view dir, const ChatRequest& request,
                                       const ChatClock& clock) {
  QIAO_ASSIGN_OR_RETURN(ChatTemplates templates, ChatTemplates::Load(dir));
  return templates.Render(request, clock);
}

}  // namespace qiao::text
