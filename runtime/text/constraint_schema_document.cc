#include "runtime/text/constraint_schema_document.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/text/hex.h"

namespace qiao::text {
namespace {

constexpr size_t kMaxPathBytes = 300;  // in a message

// As much of `text` as a message may hold. A cut inside a character would make it something other than UTF-8.
std::string_view Clipped(std::string_view text) {
  if (text.size() <= kMaxPathBytes) return text;
  size_t end = kMaxPathBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

bool IsCount(const OrderedJson& v) {
  if (v.is_number_unsigned()) return true;
  if (v.is_number_integer()) return v.get<int64_t>() >= 0;
  return v.is_number_float() && v.get<double>() >= 0 && v.get<double>() == std::floor(v.get<double>());
}

bool IsTypeName(const OrderedJson& v) {
  constexpr std::string_view kTypes[] = {"object", "array", "string", "integer", "number", "boolean", "null"};
  return v.is_string() &&
         std::find(std::begin(kTypes), std::end(kTypes), v.get_ref<const std::string&>()) != std::end(kTypes);
}

// A reference token of a JSON pointer (RFC 6901) in a URI fragment. False: not well formed.
bool DecodeToken(std::string_view token, std::string* out) {
  std::string plain;
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] != '%') {
      plain += token[i];
      continue;
    }
    if (i + 2 >= token.size()) return false;
    const int high = HexDigit(token[i + 1]), low = HexDigit(token[i + 2]);
    if (high < 0 || low < 0) return false;
    plain += static_cast<char>(high * 16 + low);
    i += 2;
  }
  for (size_t i = 0; i < plain.size(); ++i) {
    if (plain[i] != '~') {
      *out += plain[i];
      continue;
    }
    if (i + 1 >= plain.size() || (plain[i + 1] != '0' && plain[i + 1] != '1')) return false;
    *out += plain[++i] == '0' ? '~' : '/';
  }
  return true;
}

void AppendToken(std::string_view token, std::string* out) {
  *out += '/';
  for (const char c : Clipped(token)) {
    if (c == '~') {
      *out += "~0";
    } else if (c == '/') {
      *out += "~1";
    } else {
      *out += c;
    }
  }
}

}  // namespace

KeywordKind KindOf(std::string_view keyword) {
  using K = KeywordKind;
  static const auto* const kinds = new absl::flat_hash_map<std::string_view, K>{
      {"title", K::kAnnotation},
      {"description", K::kAnnotation},
      {"default", K::kAnnotation},
      {"example", K::kAnnotation},
      {"examples", K::kAnnotation},
      {"deprecated", K::kAnnotation},
      {"readOnly", K::kAnnotation},
      {"writeOnly", K::kAnnotation},
      {"contentEncoding", K::kAnnotation},
      {"contentMediaType", K::kAnnotation},
      {"contentSchema", K::kAnnotation},
      {"externalDocs", K::kAnnotation},
      {"discriminator", K::kAnnotation},
      {"xml", K::kAnnotation},
      {"$schema", K::kAnnotation},
      {"$id", K::kAnnotation},
      {"id", K::kAnnotation},
      {"$comment", K::kAnnotation},
      {"$anchor", K::kAnnotation},
      {"$vocabulary", K::kAnnotation},
      {"$defs", K::kAnnotation},
      {"definitions", K::kAnnotation},
      {"strict", K::kAnnotation},
      {"not", K::kRefused},
      {"if", K::kRefused},
      {"then", K::kRefused},
      {"else", K::kRefused},
      {"contains", K::kRefused},
      {"minContains", K::kRefused},
      {"maxContains", K::kRefused},
      {"multipleOf", K::kRefused},
      {"divisibleBy", K::kRefused},
      {"disallow", K::kRefused},
      {"extends", K::kRefused},
      {"patternProperties", K::kRefused},
      {"propertyNames", K::kRefused},
      {"minProperties", K::kRefused},
      {"maxProperties", K::kRefused},
      {"dependencies", K::kRefused},
      {"dependentRequired", K::kRefused},
      {"dependentSchemas", K::kRefused},
      {"unevaluatedItems", K::kRefused},
      {"unevaluatedProperties", K::kRefused},
      {"$dynamicRef", K::kRefused},
      {"$dynamicAnchor", K::kRefused},
      {"$recursiveRef", K::kRefused},
      {"$recursiveAnchor", K::kRefused},
      {"uniqueItems", K::kOnlyFalse},
      {"type", K::kType},
      {"enum", K::kList},
      {"const", K::kAny},
      {"nullable", K::kBoolean},
      {"properties", K::kSchemaMap},
      {"required", K::kStringList},
      {"additionalProperties", K::kSchema},
      {"items", K::kSchemaOrList},
      {"additionalItems", K::kSchema},
      {"prefixItems", K::kSchemaList},
      {"minItems", K::kCount},
      {"maxItems", K::kCount},
      {"minLength", K::kCount},
      {"maxLength", K::kCount},
      {"pattern", K::kString},
      {"format", K::kString},
      {"minimum", K::kNumber},
      {"maximum", K::kNumber},
      {"exclusiveMinimum", K::kNumber},
      {"exclusiveMaximum", K::kNumber},
      {"anyOf", K::kSchemaList},
      {"oneOf", K::kSchemaList},
      {"allOf", K::kSchemaList},
      {"$ref", K::kString},
  };
  if (keyword.starts_with("x-")) return K::kAnnotation;
  const auto it = kinds->find(keyword);
  return it == kinds->end() ? K::kUnknown : it->second;
}

absl::StatusOr<SchemaDocument> SchemaDocument::Parse(std::string_view text, const ConstraintLimits& limits,
                                                     WorkBudget& budget) {
  JsonLimits json;
  json.max_bytes = limits.max_schema_bytes;
  json.max_depth = limits.max_schema_depth;
  SchemaDocument out;
  QIAO_ASSIGN_OR_RETURN(OrderedJson root, ParseOrderedJson(text, "schema", json));
  out.root_ = std::make_unique<const OrderedJson>(std::move(root));
  QIAO_RETURN_IF_ERROR(out.Check(budget));
  return out;
}

void SchemaDocument::Add(const OrderedJson* schema, uint32_t parent, std::string_view keyword,
                         std::string_view key, int64_t index) {
  if (!places_.try_emplace(schema, static_cast<uint32_t>(all_.size())).second) return;
  all_.push_back({schema, parent, keyword, key, index});
}

std::string SchemaDocument::PathOf(uint32_t place) const {
  std::vector<uint32_t> up = {place};
  while (!all_[up.back()].keyword.empty()) up.push_back(all_[up.back()].parent);
  std::string out = "#";
  out += Clipped(all_[up.back()].key);
  while (up.pop_back(), !up.empty()) {
    const Place& p = all_[up.back()];
    AppendToken(p.keyword, &out);
    if (p.index >= 0) {
      AppendToken(std::to_string(p.index), &out);
    } else if (p.key.data() != nullptr) {
      AppendToken(p.key, &out);
    }
    if (out.size() > kMaxPathBytes) return std::string(Clipped(out)) + "...";
  }
  return out;
}

std::string SchemaDocument::PathOf(const OrderedJson* schema) const {
  const auto it = places_.find(schema);
  return "schema at " + (it == places_.end() ? std::string("#") : PathOf(it->second));
}

const OrderedJson* SchemaDocument::Resolve(const OrderedJson& ref) const {
  return references_.at(ref.get_ref<const std::string&>());
}

absl::Status SchemaDocument::Check(WorkBudget& budget) {
  Add(root_.get(), 0, {}, {}, -1);
  for (uint32_t place = 0; place < all_.size(); ++place) {
    const OrderedJson& schema = *all_[place].schema;
    if (schema.is_boolean()) continue;
    if (!schema.is_object()) {
      return InvalidArgument("schema at %s: a schema is an object, true or false", PathOf(place));
    }
    for (auto it = schema.begin(); it != schema.end(); ++it) {
      if (!budget.Spend(5)) return budget.status();
      QIAO_RETURN_IF_ERROR(CheckKeyword(place, it.key(), it.value(), budget));
    }
  }
  return absl::OkStatus();
}

absl::Status SchemaDocument::CheckKeyword(uint32_t place, const std::string& keyword,
                                          const OrderedJson& value, WorkBudget& budget) {
  using K = KeywordKind;
  const std::string_view name = keyword;  // of the document, which lives as long as this object
  const auto wrong = [&](std::string_view must) {
    return InvalidArgument("schema at %s: \"%s\" must be %s", PathOf(place), keyword, must);
  };
  const auto add_list = [&] {
    for (size_t i = 0; i < value.size(); ++i) Add(&value[i], place, name, {}, static_cast<int64_t>(i));
  };
  const auto is_list_of = [&](auto test) {
    return value.is_array() && std::all_of(value.begin(), value.end(), test);
  };
  switch (KindOf(keyword)) {
    case K::kUnknown:
      return InvalidArgument(
          "schema at %s: the keyword \"%s\" is not known; if it is an annotation, leave it out or begin its "
          "name "
          "with x-",
          PathOf(place), Clipped(keyword));
    case K::kOnlyFalse:
      if (value.is_boolean() && !value.get<bool>()) break;
      [[fallthrough]];
    case K::kRefused:
      return InvalidArgument("schema at %s: the keyword \"%s\" is not supported", PathOf(place), keyword);
    case K::kAnnotation:
    case K::kAny:
      break;
    case K::kSchemaOrList:
      if (value.is_array()) {
        add_list();
        break;
      }
      [[fallthrough]];
    case K::kSchema:
      Add(&value, place, name, {}, -1);
      break;
    case K::kSchemaMap:
      if (!value.is_object()) return wrong("an object");
      for (auto it = value.begin(); it != value.end(); ++it) Add(&it.value(), place, name, it.key(), -1);
      break;
    case K::kSchemaList:
      if (!value.is_array() || value.empty()) return wrong("a list of at least one schema");
      add_list();
      break;
    case K::kString:
      if (!value.is_string()) return wrong("a string");
      if (keyword == "$ref") return Find(place, value.get_ref<const std::string&>(), budget);
      break;
    case K::kStringList:
      if (!is_list_of([](const OrderedJson& v) { return v.is_string(); })) return wrong("a list of strings");
      break;
    case K::kCount:
      if (!IsCount(value)) return wrong("a whole number that is not negative");
      break;
    case K::kNumber:
      if (!value.is_number()) return wrong("a number");
      break;
    case K::kBoolean:
      if (!value.is_boolean()) return wrong("true or false");
      break;
    case K::kType:
      if (!IsTypeName(value) && (!is_list_of(IsTypeName) || value.empty())) {
        return wrong("a type of JSON, or a list of them");
      }
      break;
    case K::kList:
      if (!value.is_array() || value.empty()) return wrong("a list of at least one value");
      break;
  }
  return absl::OkStatus();
}

absl::Status SchemaDocument::Find(uint32_t place, const std::string& ref, WorkBudget& budget) {
  if (!references_.try_emplace(ref, nullptr).second) return absl::OkStatus();
  const auto bad = [&](std::string_view why) {
    return InvalidArgument("schema at %s: the reference \"%s\" %s", PathOf(place), Clipped(ref), why);
  };
  if (ref.empty() || ref[0] != '#' || (ref.size() > 1 && ref[1] != '/')) {
    return bad("is not supported: only JSON pointers into the same document are, such as #/$defs/name");
  }
  const OrderedJson* at = root_.get();
  std::string_view rest = std::string_view(ref).substr(1);
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const size_t end = std::min(rest.find('/'), rest.size());
    std::string token;
    if (!DecodeToken(rest.substr(0, end), &token)) return bad("is not a JSON pointer");
    rest.remove_prefix(end);
    if (!budget.Spend(1 + static_cast<int64_t>(at->size() / 32))) return budget.status();
    const OrderedJson* next = nullptr;
    if (at->is_object()) {
      if (const auto it = at->find(token); it != at->end()) next = &*it;
    } else if (at->is_array() && !token.empty() && token.size() < 8 &&
               token.find_first_not_of("0123456789") == token.npos) {
      const size_t index = std::stoul(token);
      if (index < at->size()) next = &(*at)[index];
    }
    if (next == nullptr) return bad("leads nowhere");
    at = next;
  }
  references_[ref] = at;
  Add(at, place, {}, std::string_view(ref).substr(1), -1);
  return absl::OkStatus();
}

}  // namespace qiao::text
