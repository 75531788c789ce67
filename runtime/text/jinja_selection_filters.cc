// Filters that apply filters, tests and attributes: map, select, reject, default, attr.
#include <algorithm>

#include "absl/strings/numbers.h"
#include "runtime/text/jinja_functions.h"

namespace qiao::text::jinja {
namespace {

// arguments[from..] and the keywords.
Arguments Rest(const Arguments& arguments, size_t from) {
  Arguments rest;
  for (size_t i = from; i < arguments.positional.size(); ++i)
    rest.positional.push_back(arguments.positional[i]);
  rest.keyword = arguments.keyword;
  return rest;
}

StatusOr<Value> Map(const Value& value, const Arguments& arguments, Budget& budget) {
  Values out;
  if (!Truthy(value)) return NewIterator(std::move(out), budget);
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget));
  const Value* attribute = arguments.Keyword("attribute");
  if (arguments.positional.empty() && attribute != nullptr) {
    const Value* given = arguments.Keyword("default");
    const Value* fallback = given != nullptr && !given->is_none() ? given : nullptr;
    if (arguments.keyword.size() > (given != nullptr ? 2u : 1u)) {
      return InvalidArgument("map got an unexpected keyword argument");
    }
    for (const Value& item : items) {
      QIAO_ASSIGN_OR_RETURN(Value got, GetPath(item, *attribute, budget, fallback));
      out.push_back(std::move(got));
    }
    return NewIterator(std::move(out), budget);
  }
  if (arguments.positional.empty()) return InvalidArgument("map requires a filter argument");
  if (!arguments.positional[0].is_string()) return InvalidArgument("map: the filter's name must be a string");
  const Arguments rest = Rest(arguments, 1);
  for (const Value& item : items) {
    QIAO_ASSIGN_OR_RETURN(Value got, ApplyFilter(arguments.positional[0].str(), item, rest, budget));
    out.push_back(std::move(got));
  }
  return NewIterator(std::move(out), budget);
}

template <bool kKeep, bool kAttribute>
StatusOr<Value> Select(const Value& value, const Arguments& arguments, Budget& budget) {
  Values out;
  if (!Truthy(value)) return NewIterator(std::move(out), budget);
  const size_t name_at = kAttribute ? 1 : 0;
  if (arguments.positional.size() < name_at) return InvalidArgument("missing parameter for attribute name");
  const bool has_test = arguments.positional.size() > name_at;
  if (has_test && !arguments.positional[name_at].is_string()) {
    return InvalidArgument("the name of a test must be a string");
  }
  const Arguments rest = Rest(arguments, name_at + 1);
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget));
  for (Value& item : items) {
    QIAO_RETURN_IF_ERROR(budget.Steps(1));
    Value subject = item;
    if (kAttribute) {
      QIAO_ASSIGN_OR_RETURN(subject, GetPath(item, arguments.positional[0], budget));
    }
    bool yes = Truthy(subject);
    if (has_test) {
      QIAO_ASSIGN_OR_RETURN(yes, ApplyTest(arguments.positional[name_at].str(), subject, rest, budget));
    }
    if (yes == kKeep) out.push_back(std::move(item));
  }
  return NewIterator(std::move(out), budget);
}

StatusOr<Value> Default(const Value& value, const Arguments& arguments, Budget&) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<2>("default", {"default_value", "boolean"})));
  const bool replace = value.is_undefined() || (bound[1] && Truthy(*bound[1]) && !Truthy(value));
  if (!replace) return value;
  return bound[0] ? *bound[0] : Value::String("");
}

StatusOr<Value> Attr(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<1>("attr", {"name"}, 1)));
  if (value.is_undefined()) return UndefinedError(value);
  QIAO_ASSIGN_OR_RETURN(std::string name, TextOf(*bound[0], budget));
  if (HasMethod(value, name)) return NewMethod(value, name);
  if (!value.Is(Kind::kDict)) return GetAttribute(value, name, budget);
  return Value::Undefined(absl::StrFormat("'dict object' has no attribute '%s'", name));
}

}  // namespace

StatusOr<Value> GetPath(const Value& item, const Value& path, Budget& budget, const Value* fallback) {
  Value value = item;
  std::string_view rest = path.is_string() ? path.str() : std::string_view();
  for (bool more = true; more;) {
    const size_t dot = rest.find('.');
    more = dot != rest.npos;
    const std::string_view part = rest.substr(0, dot);
    rest = more ? rest.substr(dot + 1) : rest;
    const bool digits =
        !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    int64_t index = 0;
    const bool is_index = digits && absl::SimpleAtoi(Abs(part), &index);
    const Value key = !path.is_string() ? path
                      : is_index        ? Value::Int(index)
                                        : Value::String(std::string(part));
    QIAO_ASSIGN_OR_RETURN(value, GetItem(value, key, budget));
    if (value.is_undefined() && fallback != nullptr) value = *fallback;
  }
  return value;
}

void AddSelectionFilters(FilterTable* table) {
  FilterTable& t = *table;
  t["map"] = Map;
  t["select"] = Select<true, false>;
  t["reject"] = Select<false, false>;
  t["selectattr"] = Select<true, true>;
  t["rejectattr"] = Select<false, true>;
  t["default"] = t["d"] = Default;
  t["attr"] = Attr;
}

}  // namespace qiao::text::jinja
