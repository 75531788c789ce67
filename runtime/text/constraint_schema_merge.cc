#include "runtime/text/constraint_schema_merge.h"

#include <algorithm>
#include <utility>

namespace qiao::text {
namespace {

int64_t SizeOf(const OrderedJson& v) {
  int64_t size = 1;
  if (v.is_string()) size += static_cast<int64_t>(v.get_ref<const std::string&>().size() / 16);
  if (v.is_structured()) {
    for (const OrderedJson& kid : v) size += 1 + SizeOf(kid);
  }
  return size;
}

bool Holds(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

OrderedJson BothOf(const OrderedJson& a, const OrderedJson& b) {
  OrderedJson out = OrderedJson::object();
  out["allOf"] = OrderedJson::array({a, b});
  return out;
}

}  // namespace

const OrderedJson* Find(const OrderedJson& schema, std::string_view keyword) {
  const auto it = schema.find(keyword);
  return it == schema.end() ? nullptr : &*it;
}

std::vector<std::string> StringsOf(const OrderedJson& value) {
  if (value.is_string()) return {value.get<std::string>()};
  return value.get<std::vector<std::string>>();
}

std::vector<std::string> TypesOf(const OrderedJson& schema) {
  if (const OrderedJson* type = Find(schema, "type")) return StringsOf(*type);
  constexpr std::pair<std::string_view, std::string_view> kAbout[] = {
      {"properties", "object"}, {"required", "object"},         {"additionalProperties", "object"},
      {"items", "array"},       {"prefixItems", "array"},       {"minItems", "array"},
      {"maxItems", "array"},    {"minLength", "string"},        {"maxLength", "string"},
      {"pattern", "string"},    {"format", "string"},           {"minimum", "number"},
      {"maximum", "number"},    {"exclusiveMinimum", "number"}, {"exclusiveMaximum", "number"}};
  std::vector<std::string> out;
  for (const auto& [keyword, type] : kAbout) {
    if (schema.contains(std::string(keyword)) && !Holds(out, type)) out.emplace_back(type);
  }
  return out;
}

absl::Status SchemaMerger::SpendOn(const OrderedJson& copied) {
  budget_.Spend(SizeOf(copied));
  return budget_.status();
}

absl::StatusOr<OrderedJson> SchemaMerger::Base(const OrderedJson& schema) {
  OrderedJson out = OrderedJson::object();
  const auto items = schema.find("items");
  const bool tuple = items != schema.end() && items->is_array();
  for (auto it = schema.begin(); it != schema.end(); ++it) {
    const std::string& keyword = it.key();
    const KeywordKind kind = KindOf(keyword);
    if (kind == KeywordKind::kAnnotation || kind == KeywordKind::kOnlyFalse || keyword == "$ref" ||
        keyword == "anyOf" || keyword == "oneOf" || keyword == "allOf" || keyword == "nullable") {
      continue;
    }
    QIAO_RETURN_IF_ERROR(SpendOn(it.value()));
    if (keyword == "const") {
      if (!schema.contains("enum")) out["enum"] = OrderedJson::array({it.value()});
    } else if (keyword == "pattern" || keyword == "format") {
      out[keyword] = OrderedJson::array({it.value()});
    } else if (keyword == "items" && tuple) {
      if (schema.contains("prefixItems")) {
        return InvalidArgument("%s: a list in \"items\" beside \"prefixItems\"", where_);
      }
      out["prefixItems"] = it.value();
    } else if (keyword == "additionalItems") {
      if (tuple) out["items"] = it.value();  // without a list in items, it says nothing
    } else {
      out[keyword] = it.value();
    }
  }
  const auto constant = schema.find("const");
  if (constant != schema.end() && schema.contains("enum")) {
    OrderedJson& values = out["enum"];
    const bool listed = std::find(values.begin(), values.end(), *constant) != values.end();
    values = listed ? OrderedJson::array({*constant}) : OrderedJson::array();
  }
  return out;
}

absl::StatusOr<std::vector<OrderedJson>> SchemaMerger::Expand(const OrderedJson& schema, int depth) {
  if (depth > limits_.max_merge_depth) {
    return ResourceExhausted("%s: $ref, allOf, anyOf and oneOf lead more than %d deep into each other",
                             where_, limits_.max_merge_depth);
  }
  if (!budget_.Spend(20)) return budget_.status();
  std::vector<OrderedJson> out;
  if (schema.is_boolean()) {
    if (schema.get<bool>()) out.push_back(OrderedJson::object());
    return out;
  }
  QIAO_ASSIGN_OR_RETURN(OrderedJson base, Base(schema));
  out.push_back(std::move(base));
  if (const auto it = schema.find("$ref"); it != schema.end()) {
    QIAO_ASSIGN_OR_RETURN(const auto others, Expand(*document_.Resolve(*it), depth + 1));
    QIAO_RETURN_IF_ERROR(Cross(&out, others));
  }
  if (const auto it = schema.find("allOf"); it != schema.end()) {
    for (const OrderedJson& part : *it) {
      QIAO_ASSIGN_OR_RETURN(const auto others, Expand(part, depth + 1));
      QIAO_RETURN_IF_ERROR(Cross(&out, others));
    }
  }
  for (const char* keyword : {"anyOf", "oneOf"}) {
    const auto it = schema.find(keyword);
    if (it == schema.end()) continue;
    std::vector<OrderedJson> any;
    for (const OrderedJson& part : *it) {
      QIAO_ASSIGN_OR_RETURN(auto others, Expand(part, depth + 1));
      std::move(others.begin(), others.end(), std::back_inserter(any));
      if (any.size() > limits_.max_alternatives) break;  // Cross says so
    }
    QIAO_RETURN_IF_ERROR(Cross(&out, any));
  }
  if (const auto it = schema.find("nullable"); it != schema.end() && it->get<bool>()) {
    OrderedJson null = OrderedJson::object();
    null["type"] = "null";
    out.push_back(std::move(null));
  }
  return out;
}

absl::Status SchemaMerger::Cross(std::vector<OrderedJson>* all, const std::vector<OrderedJson>& others) {
  std::vector<OrderedJson> out;
  if (all->size() * others.size() > limits_.max_alternatives) {
    return ResourceExhausted("%s: more than %d alternatives once allOf, anyOf, oneOf and $ref are merged",
                             where_, limits_.max_alternatives);
  }
  for (const OrderedJson& a : *all) {
    for (const OrderedJson& b : others) {
      QIAO_RETURN_IF_ERROR(SpendOn(a));
      QIAO_RETURN_IF_ERROR(SpendOn(b));
      OrderedJson both = a;
      QIAO_ASSIGN_OR_RETURN(const bool possible, Merge(&both, b));
      if (possible) out.push_back(std::move(both));
    }
  }
  *all = std::move(out);
  return absl::OkStatus();
}

absl::StatusOr<bool> SchemaMerger::Merge(OrderedJson* a, const OrderedJson& b) {
  if (a->empty()) {
    *a = b;
    return true;
  }
  const bool lists = a->contains("prefixItems") || b.contains("prefixItems");
  const bool both = (a->contains("prefixItems") || a->contains("items")) &&
                    (b.contains("prefixItems") || b.contains("items"));
  if (lists && both)
    return InvalidArgument("%s: allOf of several schemas with \"prefixItems\" is not supported", where_);
  // Together, for what one says of additional properties is about the other's.
  QIAO_RETURN_IF_ERROR(MergeProperties(a, b));
  for (auto it = b.begin(); it != b.end(); ++it) {
    if (it.key() == "properties" || it.key() == "additionalProperties") continue;
    QIAO_ASSIGN_OR_RETURN(const bool possible, MergeKeyword(a, it.key(), it.value()));
    if (!possible) return false;
  }
  return true;
}

absl::StatusOr<bool> SchemaMerger::MergeKeyword(OrderedJson* a, const std::string& keyword,
                                                const OrderedJson& b) {
  const auto here = a->find(keyword);
  if (here == a->end()) {
    (*a)[keyword] = b;
    return true;
  }
  OrderedJson& mine = *here;
  if (keyword == "type") {
    const std::vector<std::string> x = StringsOf(mine), y = StringsOf(b);
    OrderedJson types = OrderedJson::array();
    for (const std::string& name : x) {
      if (Holds(y, name) || (name == "integer" && Holds(y, "number"))) types.push_back(name);
    }
    if (Holds(y, "integer") && Holds(x, "number") && !Holds(x, "integer")) types.push_back("integer");
    mine = types;
    return !types.empty();
  }
  if (keyword == "enum") {
    OrderedJson values = OrderedJson::array();
    for (const OrderedJson& v : mine) {
      if (!budget_.Spend(static_cast<int64_t>(b.size()))) return budget_.status();
      if (std::find(b.begin(), b.end(), v) != b.end()) values.push_back(v);
    }
    mine = values;
    return !values.empty();
  }
  if (keyword == "required" || keyword == "pattern" || keyword == "format") {
    if (!budget_.Spend(static_cast<int64_t>(mine.size() * b.size()))) return budget_.status();
    for (const OrderedJson& v : b) {
      if (std::find(mine.begin(), mine.end(), v) == mine.end()) mine.push_back(v);
    }
    return true;
  }
  if (keyword == "items") {
    mine = BothOf(mine, b);
    return true;
  }
  const bool lower = keyword.starts_with("min") || keyword == "exclusiveMinimum";
  if (mine.is_number() && b.is_number()) {
    if (lower ? mine < b : b < mine) mine = b;
    return true;
  }
  return Internal("%s: no rule for merging \"%s\"", where_, keyword);
}

absl::Status SchemaMerger::MergeProperties(OrderedJson* a, const OrderedJson& b) {
  const OrderedJson *mine = Find(*a, "properties"), *others = Find(b, "properties");
  const OrderedJson *my_rest = Find(*a, "additionalProperties"),
                    *other_rest = Find(b, "additionalProperties");
  if (!others && !other_rest) return absl::OkStatus();
  OrderedJson merged = OrderedJson::object();
  const auto find = [&](const OrderedJson* map, const std::string& name) -> const OrderedJson* {
    if (!map) return nullptr;
    budget_.Spend(1 + static_cast<int64_t>(map->size() / 4));
    return Find(*map, name);
  };
  // What the other schema says of a property that it does not name. `true` and silence say nothing.
  const auto beside = [&](const OrderedJson& schema, const OrderedJson* rest) {
    if (!rest || (rest->is_boolean() && rest->get<bool>())) return schema;
    return rest->is_boolean() ? *rest : BothOf(schema, *rest);
  };
  if (mine) {
    for (auto it = mine->begin(); it != mine->end() && !budget_.spent(); ++it) {
      const OrderedJson* other = find(others, it.key());
      merged.push_back({it.key(), other ? BothOf(it.value(), *other) : beside(it.value(), other_rest)});
    }
  }
  if (others) {
    for (auto it = others->begin(); it != others->end() && !budget_.spent(); ++it) {
      if (!find(mine, it.key())) merged.push_back({it.key(), beside(it.value(), my_rest)});
    }
  }
  if (budget_.spent()) return budget_.status();
  OrderedJson rest;
  const bool has_rest = my_rest || other_rest;
  if (my_rest && other_rest) {
    rest = my_rest->is_boolean() ? beside(*other_rest, my_rest) : BothOf(*my_rest, *other_rest);
  } else if (has_rest) {
    rest = my_rest ? *my_rest : *other_rest;
  }
  if (mine || others) (*a)["properties"] = std::move(merged);
  if (has_rest) (*a)["additionalProperties"] = std::move(rest);
  return absl::OkStatus();
}

}  // namespace qiao::text
