#include "runtime/serve/api/tools.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "runtime/serve/api/errors.h"

namespace qiao::serve {
namespace {

// Null where `object` has no such member, or it is null.
const OrderedJson* Member(const OrderedJson& object, std::string_view key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

// At most 80 bytes of what a client sent, for an error.
std::string Shown(std::string_view text) {
  size_t end = text.size();
  if (end > 80) {
    end = 80;
    while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
  }
  return absl::StrFormat("'%s%s'", text.substr(0, end), end < text.size() ? "..." : "");
}

std::string TypeName(const OrderedJson& value) { return value.type_name(); }

absl::StatusOr<std::string> StringAt(const OrderedJson& object, std::string_view key, std::string_view path) {
  const OrderedJson* value = Member(object, key);
  const std::string where = absl::StrCat(Abs(path), ".", Abs(key));
  if (value == nullptr) return BadParam(where, "is missing; it must be a string");
  if (!value->is_string()) return BadParam(where, absl::StrCat("must be a string, not ", TypeName(*value)));
  return value->get<std::string>();
}

absl::Status CheckName(std::string_view name, ToolDialect dialect, std::string_view path) {
  const size_t longest = dialect == ToolDialect::kAnthropic ? 128 : 64;
  bool good = !name.empty() && name.size() <= longest;
  for (const char c : name) good = good && (absl::ascii_isalnum(c) || c == '_' || c == '-');
  if (good) return absl::OkStatus();
  return BadParam(path,
                  absl::StrCat("must be 1 to ", longest, " letters, digits, '_' or '-', not ", Shown(name)));
}

absl::Status CheckType(const OrderedJson& tool, ToolDialect dialect, std::string_view path) {
  const std::string_view wanted = dialect == ToolDialect::kAnthropic ? "custom" : "function";
  const OrderedJson* type = Member(tool, "type");
  const std::string where = absl::StrCat(Abs(path), ".type");
  if (type == nullptr) {
    if (dialect == ToolDialect::kAnthropic) return absl::OkStatus();
    return BadParam(where, "is missing; it must be 'function'");
  }
  if (!type->is_string()) return BadParam(where, absl::StrCat("must be a string, not ", TypeName(*type)));
  const auto& text = type->get_ref<const std::string&>();
  if (text == wanted) return absl::OkStatus();
  return BadParam(where, absl::StrCat("must be '", Abs(wanted), "', not ", Shown(text),
                                      ": this server runs no tools itself"));
}

absl::StatusOr<OrderedJson> Parameters(const OrderedJson& function, ToolDialect dialect,
                                       std::string_view path) {
  const bool anthropic = dialect == ToolDialect::kAnthropic;
  const std::string_view key = anthropic ? "input_schema" : "parameters";
  const std::string where = absl::StrCat(Abs(path), ".", Abs(key));
  const OrderedJson* value = Member(function, key);
  if (value == nullptr) {
    if (anthropic) return BadParam(where, "is missing; it must be a JSON schema");
    OrderedJson none = OrderedJson::object();
    none["type"] = "object";
    none["properties"] = OrderedJson::object();
    return none;
  }
  if (!value->is_object()) {
    return BadParam(where, absl::StrCat("must be an object, a JSON schema, not ", TypeName(*value)));
  }
  const OrderedJson* type = Member(*value, "type");
  if (type != nullptr && *type != "object") {
    return BadParam(where + ".type", "must be 'object': arguments are given by name");
  }
  return *value;
}

absl::StatusOr<Tool> ParseTool(const OrderedJson& value, ToolDialect dialect, std::string path) {
  if (!value.is_object()) return BadParam(path, absl::StrCat("must be an object, not ", TypeName(value)));
  QIAO_RETURN_IF_ERROR(CheckType(value, dialect, path));
  const OrderedJson* function = &value;
  if (dialect == ToolDialect::kChat) {
    absl::StrAppend(&path, ".function");
    function = Member(value, "function");
    if (function == nullptr) return BadParam(path, "is missing; it must be an object");
    if (!function->is_object())
      return BadParam(path, absl::StrCat("must be an object, not ", TypeName(*function)));
  }
  Tool tool;
  QIAO_ASSIGN_OR_RETURN(tool.name, StringAt(*function, "name", path));
  QIAO_RETURN_IF_ERROR(CheckName(tool.name, dialect, path + ".name"));
  if (Member(*function, "description") != nullptr) {
    QIAO_ASSIGN_OR_RETURN(tool.description, StringAt(*function, "description", path));
  }
  QIAO_ASSIGN_OR_RETURN(tool.parameters, Parameters(*function, dialect, path));
  if (const OrderedJson* strict = Member(*function, "strict")) {
    if (!strict->is_boolean()) return BadParam(path + ".strict", "must be true or false");
    tool.strict = strict->get<bool>();
  }
  return tool;
}

// Of {"type": "function", ...} (OpenAI) or {"type": "tool", "name": ..} (Anthropic).
absl::StatusOr<std::string> ChosenName(const OrderedJson& choice, ToolDialect dialect, std::string* path) {
  if (dialect != ToolDialect::kChat) {
    auto name = StringAt(choice, "name", *path);
    absl::StrAppend(path, ".name");
    return name;
  }
  absl::StrAppend(path, ".function");
  const OrderedJson* function = Member(choice, "function");
  if (function == nullptr || !function->is_object()) return BadParam(*path, "must be an object with a name");
  auto name = StringAt(*function, "name", *path);
  absl::StrAppend(path, ".name");
  return name;
}

}  // namespace

const Tool* ToolList::Find(std::string_view name) const {
  for (const Tool& tool : tools) {
    if (tool.name == name) return &tool;
  }
  return nullptr;
}

absl::StatusOr<ToolList> ParseTools(const OrderedJson& tools, ToolDialect dialect) {
  ToolList list;
  if (tools.is_null()) return list;
  if (!tools.is_array()) return BadParam("tools", absl::StrCat("must be an array, not ", TypeName(tools)));
  if (tools.size() > kMaxTools) {
    return BadParam("tools", absl::StrCat("has ", tools.size(), " tools; at most ", kMaxTools, " are taken"));
  }
  list.tools.reserve(tools.size());
  for (size_t i = 0; i < tools.size(); ++i) {
    std::string path = absl::StrCat("tools[", i, "]");
    QIAO_ASSIGN_OR_RETURN(Tool tool, ParseTool(tools[i], dialect, path));
    if (const Tool* other = list.Find(tool.name)) {
      absl::StrAppend(&path, dialect == ToolDialect::kChat ? ".function.name" : ".name");
      return BadParam(
          path, absl::StrCat(Shown(tool.name), " is the name of tools[", other - list.tools.data(), "] too"));
    }
    list.tools.push_back(std::move(tool));
  }
  return list;
}

absl::StatusOr<ToolChoice> ParseToolChoice(const OrderedJson& choice, ToolDialect dialect,
                                           const ToolList& tools) {
  using Kind = ToolChoice::Kind;
  const bool anthropic = dialect == ToolDialect::kAnthropic;
  ToolChoice result;
  result.kind = tools.empty() ? Kind::kNone : Kind::kAuto;
  if (choice.is_null()) return result;

  std::string path = "tool_choice";
  std::string word;
  if (choice.is_object()) {
    QIAO_ASSIGN_OR_RETURN(word, StringAt(choice, "type", path));
    if (const OrderedJson* single = Member(choice, "disable_parallel_tool_use");
        single != nullptr && anthropic) {
      if (!single->is_boolean())
        return BadParam(path + ".disable_parallel_tool_use", "must be true or false");
      result.single = single->get<bool>();
    }
  } else if (choice.is_string() && !anthropic) {
    word = choice.get<std::string>();
  } else {
    return BadParam(path, absl::StrCat("must be ", anthropic ? "an object" : "a string or an object",
                                       ", not ", TypeName(choice)));
  }

  // OpenAI's words are strings, Anthropic's types of an object.
  const bool plain = choice.is_string() || anthropic;
  if (plain && word == "auto") return result;
  if (plain && word == "none") {
    result.kind = Kind::kNone;
    return result;
  }
  if (plain && word == (anthropic ? "any" : "required")) {
    if (tools.empty())
      return BadParam(path, absl::StrCat("'", word, "' needs tools, and the request has none"));
    result.kind = Kind::kRequired;
    return result;
  }
  if (choice.is_object() && word == (anthropic ? "tool" : "function")) {
    QIAO_ASSIGN_OR_RETURN(result.name, ChosenName(choice, dialect, &path));
    if (tools.Find(result.name) == nullptr) {
      return BadParam(path, absl::StrCat("no tool is called ", Shown(result.name)));
    }
    result.kind = Kind::kNamed;
    return result;
  }
  if (choice.is_object()) absl::StrAppend(&path, ".type");
  const std::string_view known = anthropic ? "'auto', 'any', 'tool' or 'none'"
                                 : choice.is_object()
                                     ? "'function'"
                                     : "'auto', 'none', 'required' or an object that names a tool";
  return BadParam(path, absl::StrCat("must be ", Abs(known), ", not ", Shown(word)));
}

OrderedJson ToChatTools(const ToolList& tools) {
  if (tools.empty()) return nullptr;
  OrderedJson list = OrderedJson::array();
  for (const Tool& tool : tools.tools) {
    OrderedJson function = OrderedJson::object();
    function["name"] = tool.name;
    function["description"] = tool.description;
    function["parameters"] = tool.parameters;
    if (tool.strict.has_value()) function["strict"] = *tool.strict;
    OrderedJson item = OrderedJson::object();
    item["type"] = "function";
    item["function"] = std::move(function);
    list.push_back(std::move(item));
  }
  return list;
}

}  // namespace qiao::serve
