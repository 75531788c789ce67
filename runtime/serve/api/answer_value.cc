#include "runtime/serve/api/answer_value.h"

#include <utility>

#include "runtime/serve/api/answer_json.h"
#include "runtime/serve/api/answer_text.h"

namespace qiao::serve {
namespace {

JsonTypes TypeOf(const OrderedJson& value) {
  if (value.is_string()) return kTypeString;
  if (value.is_number()) return kTypeNumber;
  if (value.is_boolean()) return kTypeBoolean;
  if (value.is_null()) return kTypeNull;
  return value.is_array() ? kTypeArray : kTypeObject;
}

JsonTypes TypeNamed(const OrderedJson& name) {
  if (!name.is_string()) return 0;
  const auto& text = name.get_ref<const std::string&>();
  if (text == "string") return kTypeString;
  if (text == "number" || text == "integer") return kTypeNumber;
  if (text == "boolean") return kTypeBoolean;
  if (text == "null") return kTypeNull;
  if (text == "object") return kTypeObject;
  return text == "array" ? kTypeArray : 0;
}

JsonTypes TypesOf(const OrderedJson& schema, bool deeper) {
  if (!schema.is_object()) return 0;
  JsonTypes types = 0;
  if (const auto type = schema.find("type"); type != schema.end()) {
    if (!type->is_array()) return TypeNamed(*type);
    for (const auto& name : *type) types |= TypeNamed(name);
    return types;
  }
  if (const auto value = schema.find("const"); value != schema.end()) return TypeOf(*value);
  if (const auto values = schema.find("enum"); values != schema.end() && values->is_array()) {
    for (const auto& value : *values) types |= TypeOf(value);
    return types;
  }
  for (const std::string_view key : {"anyOf", "oneOf"}) {
    const auto members = schema.find(key);
    if (!deeper || members == schema.end() || !members->is_array()) continue;
    for (const auto& member : *members) types |= TypesOf(member, false);
  }
  return types;
}

std::string_view PythonWord(std::string_view text) {
  if (text == "True") return "true";
  if (text == "False") return "false";
  return text == "None" ? "null" : text;
}

}  // namespace

JsonTypes PropertyTypes(const OrderedJson& schema, std::string_view property) {
  if (!schema.is_object()) return 0;
  const auto properties = schema.find("properties");
  if (properties == schema.end() || !properties->is_object()) return 0;
  const auto it = properties->find(property);
  return it == properties->end() ? JsonTypes{0} : TypesOf(*it, true);
}

void ParameterValue::Push(std::string_view text, std::string* json) {
  if (passes_) {
    json->append(text);
    return;
  }
  if (string_) {
    if (!std::exchange(begun_, true)) *json += '"';
    for (const char c : text) AppendJsonEscaped(c, json);
    return;
  }
  held_.append(text);
  if (held_.size() > kMaxHeld) {
    passes_ = true;
    json->append(std::exchange(held_, {}));
  }
}

void ParameterValue::End(std::string* json) {
  if (passes_) return;
  if (string_) {
    if (!begun_) *json += '"';
    *json += '"';
    return;
  }
  std::string_view text = PythonWord(WithoutSpace(held_));
  const OrderedJson value = OrderedJson::parse(text, nullptr, /*allow_exceptions=*/false);
  const bool fits = (types_ & TypeOf(value)) != 0 || (types_ & kTypeString) == 0;
  if (!value.is_discarded() && fits) {
    json->append(text);
  } else {
    json->append(JsonQuoted(held_));
  }
}

void ParameterValue::Cut(std::string* json) { json->append(std::exchange(held_, {})); }

}  // namespace qiao::serve
