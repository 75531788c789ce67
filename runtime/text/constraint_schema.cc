#include "runtime/text/constraint_schema.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "runtime/base/json.h"
#include "runtime/text/constraint_choice.h"
#include "runtime/text/constraint_format.h"
#include "runtime/text/constraint_json.h"
#include "runtime/text/constraint_number.h"
#include "runtime/text/constraint_regex.h"
#include "runtime/text/constraint_schema_document.h"
#include "runtime/text/constraint_schema_merge.h"

namespace qiao::text {
namespace {

constexpr uint32_t kNone = JsonRules::kNone;

bool IsFalse(const OrderedJson* schema) { return schema && schema->is_boolean() && !schema->get<bool>(); }

// A value as it may be written, with kOptionalSpace where a space may stand.
void Spell(const OrderedJson& value, std::string* out) {
  if (value.is_object()) {
    *out += '{';
    for (auto it = value.begin(); it != value.end(); ++it) {
      if (it != value.begin()) *out += {',', kOptionalSpace};
      *out += QuoteJson(it.key());
      *out += {':', kOptionalSpace};
      Spell(it.value(), out);
    }
    *out += '}';
  } else if (value.is_array()) {
    *out += '[';
    for (size_t i = 0; i < value.size(); ++i) {
      if (i > 0) *out += {',', kOptionalSpace};
      Spell(value[i], out);
    }
    *out += ']';
  } else {
    *out += value.dump();
  }
}

bool IsOfType(const OrderedJson& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "number") return value.is_number();
  return value.is_number_integer() ||
         (value.is_number_float() && value.get<double>() == std::floor(value.get<double>()));
}

// A schema that SchemaMerger would only copy.
bool IsPlain(const OrderedJson& schema) {
  for (const char* keyword : {"$ref", "allOf", "anyOf", "oneOf", "const", "nullable", "additionalItems"}) {
    if (schema.contains(keyword)) return false;
  }
  const OrderedJson* items = Find(schema, "items");
  return !items || !items->is_array();
}

// Rules are made one after the other from a queue, since a schema may come back to itself.
class SchemaCompiler {
 public:
  SchemaCompiler(const SchemaDocument& document, AutomatonBuilder& builder)
      : document_(document), b_(builder), json_(builder) {}

  absl::Status Run(uint32_t root) {
    rules_[&document_.root()] = root;
    queue_.push_back({&document_.root(), &document_.root(), root});
    while (!queue_.empty()) {
      const Work work = queue_.front();
      queue_.pop_front();
      origin_ = work.origin;
      QIAO_RETURN_IF_ERROR(Compile(*work.schema, b_.Start(work.rule)));
      QIAO_RETURN_IF_ERROR(b_.status());
    }
    return absl::OkStatus();
  }

 private:
  struct Work {
    const OrderedJson* schema;
    const OrderedJson* origin;  // the schema of the document that it comes from, for messages
    uint32_t rule;
  };

  std::string Where() const { return document_.PathOf(origin_); }

  // The rule of a subschema of what is being compiled. Merged schemas are copies: those that read the same
  // are one, or a recursion would make them without end.
  uint32_t RuleFor(const OrderedJson& schema) {
    const auto enqueue = [&](const OrderedJson* origin) {
      const uint32_t rule = b_.AddRule();
      queue_.push_back({&schema, origin, rule});
      return rule;
    };
    if (document_.Has(&schema)) {
      const auto [it, fresh] = rules_.try_emplace(&schema);
      if (fresh) it->second = enqueue(&schema);
      return it->second;
    }
    std::string text = schema.dump();
    if (!b_.budget().Spend(static_cast<int64_t>(text.size() / 8))) return 0;
    const auto [it, fresh] = merged_rules_.try_emplace(std::move(text));
    if (fresh) it->second = enqueue(origin_);
    return it->second;
  }

  absl::Status Compile(const OrderedJson& schema, uint32_t start) {
    if (schema.is_boolean()) {
      if (schema.get<bool>()) b_.AddTailCall(start, json_.Value());
      return absl::OkStatus();
    }
    // What says one thing only need not be merged, and is called where it lies.
    std::string only;
    int said = 0;
    for (auto it = schema.begin(); it != schema.end(); ++it) {
      if (KindOf(it.key()) != KeywordKind::kAnnotation) only = it.key(), ++said;
    }
    if (said == 1 && only == "$ref") {
      b_.AddTailCall(start, RuleFor(*document_.Resolve(schema["$ref"])));
      return absl::OkStatus();
    }
    if (said == 1 && (only == "anyOf" || only == "oneOf" || only == "allOf") &&
        (only != "allOf" || schema["allOf"].size() == 1)) {
      for (const OrderedJson& part : schema[only]) b_.AddTailCall(start, RuleFor(part));
      return absl::OkStatus();
    }
    // What needs no merging is not copied, so that errors below it know their place.
    if (IsPlain(schema)) return CompileFlat(schema, start);
    QIAO_ASSIGN_OR_RETURN(std::vector<OrderedJson> alternatives,
                          SchemaMerger(document_, b_.limits(), b_.budget(), Where()).Expand(schema));
    for (OrderedJson& alternative : alternatives) {
      owned_.push_back(std::move(alternative));
      QIAO_RETURN_IF_ERROR(CompileFlat(owned_.back(), start));
    }
    return absl::OkStatus();
  }

  absl::Status CompileFlat(const OrderedJson& schema, uint32_t start) {
    if (schema.contains("enum")) return CompileEnum(schema, start);
    std::vector<std::string> types = TypesOf(schema);
    if (types.empty()) {
      b_.AddTailCall(start, json_.Value());
      return absl::OkStatus();
    }
    const bool number = std::find(types.begin(), types.end(), "number") != types.end();
    for (const std::string& type : types) {
      if (type == "integer" && number) continue;
      QIAO_ASSIGN_OR_RETURN(const uint32_t rule, TypeRule(schema, type));
      b_.AddTailCall(start, rule);
    }
    return absl::OkStatus();
  }

  absl::Status CompileEnum(const OrderedJson& schema, uint32_t start) {
    for (auto it = schema.begin(); it != schema.end(); ++it) {
      const KeywordKind kind = KindOf(it.key());
      if (kind == KeywordKind::kAnnotation || kind == KeywordKind::kOnlyFalse) continue;
      if (it.key() != "enum" && it.key() != "type") {
        return InvalidArgument("%s: \"%s\" beside \"enum\" or \"const\" is not supported", Where(), it.key());
      }
    }
    std::vector<std::string> types, texts;
    if (schema.contains("type")) types = TypesOf(schema);
    for (const OrderedJson& value : schema["enum"]) {
      const bool fits =
          types.empty() || std::any_of(types.begin(), types.end(),
                                       [&](const std::string& type) { return IsOfType(value, type); });
      if (!fits) continue;
      std::string text;
      Spell(value, &text);
      if (!b_.budget().Spend(static_cast<int64_t>(text.size()))) return b_.status();
      texts.push_back(std::move(text));
    }
    const uint32_t end = b_.AddState();
    b_.Accept(end);
    AddTexts(std::move(texts), true, start, end, b_);
    return absl::OkStatus();
  }

  absl::StatusOr<uint32_t> TypeRule(const OrderedJson& schema, const std::string& type) {
    if (type == "object") return ObjectRule(schema);
    if (type == "array") return ArrayRule(schema);
    if (type == "string") return StringRule(schema);
    if (type == "boolean") return json_.Boolean();
    if (type == "null") return json_.Null();
    return NumberRule(schema, type == "integer");
  }

  absl::StatusOr<uint32_t> ObjectRule(const OrderedJson& schema) {
    const OrderedJson *properties = Find(schema, "properties"), *rest = Find(schema, "additionalProperties"),
                      *required = Find(schema, "required");
    const bool any_rest = rest ? rest->is_boolean() && rest->get<bool>() : !properties;
    if (!properties && !required && any_rest) return json_.Object();
    absl::flat_hash_set<std::string> needed;
    if (required) needed.insert(required->begin(), required->end());
    std::vector<JsonRules::Property> list;
    if (properties) {
      for (auto it = properties->begin(); it != properties->end(); ++it) {
        list.push_back({it.key(), RuleFor(it.value()), needed.erase(it.key()) > 0});
      }
    }
    if (required) {
      for (const OrderedJson& name : *required) {
        const auto& key = name.get_ref<const std::string&>();
        if (needed.erase(key) == 0) continue;
        if (IsFalse(rest)) {
          return InvalidArgument(
              "%s: \"required\" names \"%s\", which is not in \"properties\" and additionalProperties is "
              "false",
              Where(), key);
        }
        list.push_back({key, rest ? RuleFor(*rest) : json_.Value(), true});
      }
    }
    uint32_t additional = kNone;
    if (any_rest) {
      additional = json_.Value();
    } else if (rest && !IsFalse(rest)) {
      additional = RuleFor(*rest);
    }
    return json_.ObjectOf(list, additional);
  }

  absl::StatusOr<uint32_t> ArrayRule(const OrderedJson& schema) {
    const OrderedJson *prefix = Find(schema, "prefixItems"), *items = Find(schema, "items");
    QIAO_ASSIGN_OR_RETURN(const int64_t min, Count(schema, "minItems", 0));
    QIAO_ASSIGN_OR_RETURN(const int64_t max, Count(schema, "maxItems", -1));
    if (!prefix && !items && min == 0 && max < 0) return json_.Array();
    std::vector<uint32_t> first;
    if (prefix) {
      for (const OrderedJson& item : *prefix) first.push_back(RuleFor(item));
    }
    uint32_t rest = kNone;
    if (items ? !IsFalse(items) : !prefix) rest = items ? RuleFor(*items) : json_.Value();
    return json_.ArrayOf(first, rest, min, max);
  }

  absl::StatusOr<uint32_t> StringRule(const OrderedJson& schema) {
    QIAO_ASSIGN_OR_RETURN(const int64_t min, Count(schema, "minLength", 0));
    QIAO_ASSIGN_OR_RETURN(const int64_t max, Count(schema, "maxLength", -1));
    std::optional<CodeAutomaton> code;
    const auto add = [&](absl::StatusOr<CodeAutomaton> next) -> absl::Status {
      QIAO_RETURN_IF_ERROR(next.status());
      if (!code) {
        code = *std::move(next);
        return absl::OkStatus();
      }
      QIAO_ASSIGN_OR_RETURN(code, Intersect(*code, *next, b_.limits(), b_.budget()));
      return absl::OkStatus();
    };
    const auto strings = [&](const char* keyword) {
      const OrderedJson* value = Find(schema, keyword);
      return value ? StringsOf(*value) : std::vector<std::string>();
    };
    for (const std::string& pattern : strings("pattern")) {
      QIAO_RETURN_IF_ERROR(
          add(BuildRegex(pattern, RegexMatch::kPart, Where() + "/pattern", b_.limits(), b_.budget())));
    }
    for (const std::string& format : strings("format")) {
      const std::optional<std::string_view> pattern = FormatPattern(format);
      if (!pattern) return InvalidArgument("%s: \"format\": \"%s\" is not supported", Where(), format);
      QIAO_RETURN_IF_ERROR(
          add(BuildRegex(*pattern, RegexMatch::kWhole, Where() + "/format", b_.limits(), b_.budget())));
    }
    if (!code) return json_.CountedString(min, max);
    if (min > 0 || max >= 0) QIAO_RETURN_IF_ERROR(add(BuildLength(min, max, b_.limits(), b_.budget())));
    const uint32_t rule = b_.AddRule();
    const uint32_t body = b_.AddState(), close = b_.AddState(), end = b_.AddState();
    b_.AddByte(b_.Start(rule), '"', body);
    AddCodeAutomaton(*code, Spelling::kJson, body, close, b_);
    b_.AddByte(close, '"', end);
    b_.Accept(end);
    return rule;
  }

  absl::StatusOr<uint32_t> NumberRule(const OrderedJson& schema, bool integer) {
    NumberBounds bounds{.integer = integer};
    using Bound = NumberBounds::Bound;
    const auto bound = [&](const char* plain, const char* exclusive, bool low,
                           std::optional<Bound>* out) -> absl::Status {
      const OrderedJson *a = Find(schema, plain), *b = Find(schema, exclusive);
      if (!a && !b) return absl::OkStatus();
      const bool open = b && (!a || (low ? *a <= *b : *b <= *a));
      const std::optional<Decimal> value = ParseDecimal((open ? b : a)->dump());
      if (!value) {
        return ResourceExhausted("%s: \"%s\" has more than 400 digits", Where(), open ? exclusive : plain);
      }
      *out = Bound{*value, open};
      return absl::OkStatus();
    };
    QIAO_RETURN_IF_ERROR(bound("minimum", "exclusiveMinimum", true, &bounds.low));
    QIAO_RETURN_IF_ERROR(bound("maximum", "exclusiveMaximum", false, &bounds.high));
    if (!bounds.low && !bounds.high) return integer ? json_.Integer() : json_.Number();
    return AddNumberRule(bounds, b_);
  }

  absl::StatusOr<int64_t> Count(const OrderedJson& schema, const char* keyword, int64_t absent) {
    const OrderedJson* value = Find(schema, keyword);
    if (!value) return absent;
    // As a double, which holds whatever the document may say.
    const double count = value->get<double>();
    if (count > static_cast<double>(b_.limits().max_count)) {
      return ResourceExhausted("%s: \"%s\" is above the limit of %d", Where(), keyword,
                               b_.limits().max_count);
    }
    return static_cast<int64_t>(count);
  }

  const SchemaDocument& document_;
  AutomatonBuilder& b_;
  JsonRules json_;
  std::deque<Work> queue_;
  const OrderedJson* origin_ = nullptr;
  std::deque<OrderedJson> owned_;  // merged schemas, where rules of the queue may point into them
  absl::flat_hash_map<const OrderedJson*, uint32_t> rules_;
  absl::flat_hash_map<std::string, uint32_t> merged_rules_;
};

}  // namespace

absl::Status CompileSchema(std::string_view schema, uint32_t root, AutomatonBuilder& builder) {
  QIAO_ASSIGN_OR_RETURN(const SchemaDocument document,
                        SchemaDocument::Parse(schema, builder.limits(), builder.budget()));
  return SchemaCompiler(document, builder).Run(root);
}

}  // namespace qiao::text
