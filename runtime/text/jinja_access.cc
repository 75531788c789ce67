// Attributes, items and slices of template values.
#include <algorithm>
#include <limits>

#include "runtime/text/jinja_operators.h"
#include "runtime/text/jinja_unicode.h"

namespace qiao::text::jinja {
namespace {

constexpr std::string_view kStringMethods[] = {
    "capitalize", "casefold",     "center",       "count",   "encode",     "endswith",    "expandtabs",
    "find",       "format",       "format_map",   "index",   "isalnum",    "isalpha",     "isascii",
    "isdecimal",  "isdigit",      "isidentifier", "islower", "isnumeric",  "isprintable", "isspace",
    "istitle",    "isupper",      "join",         "ljust",   "lower",      "lstrip",      "maketrans",
    "partition",  "removeprefix", "removesuffix", "replace", "rfind",      "rindex",      "rjust",
    "rpartition", "rsplit",       "rstrip",       "split",   "splitlines", "startswith",  "strip",
    "swapcase",   "title",        "translate",    "upper",   "zfill"};
constexpr std::string_view kDictMethods[] = {"copy", "fromkeys", "get", "items", "keys", "values"};
constexpr std::string_view kListMethods[] = {"copy", "count", "index"};
constexpr std::string_view kTupleMethods[] = {"count", "index"};
// Methods that would change the object: the sandbox hides them, and an item of that name with them.
constexpr std::string_view kDictMutators[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kListMutators[] = {"append", "clear",  "extend",  "insert",
                                              "pop",    "remove", "reverse", "sort"};

template <size_t N>
bool Has(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool IsForbidden(const Value& v, std::string_view name) {
  if (v.Is(Kind::kDict)) return Has(kDictMutators, name);
  if (v.Is(Kind::kList)) return Has(kListMutators, name);
  return false;
}

// Names like __class__ exist on every Python object, and the sandbox hides them all.
bool IsDunder(std::string_view name) {
  return name.size() > 4 && name.starts_with("__") && name.ends_with("__");
}

Value Unsafe(const Value& object, std::string_view name) {
  return Value::Undefined(
      absl::StrFormat("access to attribute '%s' of '%s' object is unsafe", name, TypeName(object)));
}

Value Missing(const Value& object, std::string_view name) {
  if (object.is_none()) return Value::Undefined(absl::StrFormat("'None' has no attribute '%s'", name));
  return Value::Undefined(absl::StrFormat("'%s object' has no attribute '%s'", TypeName(object), name));
}

const Value* FindInDict(const Value& dict, std::string_view name) { return dict.as<DictObject>().Find(name); }

}  // namespace

bool HasMethod(const Value& v, std::string_view name) {
  switch (v.kind()) {
    case Kind::kString:
      return Has(kStringMethods, name);
    case Kind::kDict:
      return Has(kDictMethods, name);
    case Kind::kList:
      return Has(kListMethods, name);
    case Kind::kTuple:
    case Kind::kRange:
      return Has(kTupleMethods, name);
    default:
      return false;
  }
}

StatusOr<Value> GetAttribute(const Value& object, std::string_view name, Budget& budget) {
  QIAO_RETURN_IF_ERROR(budget.Bytes(96));
  if (object.is_undefined()) return UndefinedError(object);
  if (IsDunder(name)) return Unsafe(object, name);
  if (HasMethod(object, name)) return NewMethod(object, name);
  if (IsForbidden(object, name)) return Unsafe(object, name);
  if (object.Is(Kind::kDict)) {
    if (const Value* item = FindInDict(object, name)) return *item;
  }
  if (object.Is(Kind::kRange)) {
    const RangeObject& r = object.as<RangeObject>();
    if (name == "start") return Value::Int(r.start);
    if (name == "stop") return Value::Int(r.stop);
    if (name == "step") return Value::Int(r.step);
  }
  if (object.Is(Kind::kNamespace)) {
    QIAO_RETURN_IF_ERROR(
        budget.Steps(static_cast<int64_t>(object.as<NamespaceObject>().attributes.size() / 8)));
    if (const Value* value = object.as<NamespaceObject>().Find(name)) return *value;
  }
  return Missing(object, name);
}

StatusOr<Value> GetItem(const Value& object, const Value& key, Budget& budget) {
  if (object.is_undefined()) return UndefinedError(object);
  QIAO_RETURN_IF_ERROR(budget.Bytes(96));
  const auto in_range = [&key](int64_t length) -> int64_t {
    const int64_t i = key.integer() < 0 ? key.integer() + length : key.integer();
    return i >= 0 && i < length ? i : -1;
  };
  switch (object.kind()) {
    case Kind::kDict:
      if (key.is_string()) {
        if (const Value* item = FindInDict(object, key.str())) return *item;
      } else if (StatusOr<std::string> encoded = EncodeKey(key, budget); encoded.ok()) {
        if (const Value* item = object.as<DictObject>().FindKey(*encoded)) return *item;
      }
      break;
    case Kind::kList:
    case Kind::kTuple:
      if (key.is_integral()) {
        const Values& items = object.as<SequenceObject>().items;
        const int64_t i = in_range(static_cast<int64_t>(items.size()));
        if (i >= 0) return items[static_cast<size_t>(i)];
      }
      break;
    case Kind::kRange:
      if (key.is_integral()) {
        const int64_t i = in_range(object.as<RangeObject>().length);
        if (i >= 0) return Value::Int(object.as<RangeObject>().at(i));
      }
      break;
    case Kind::kString:
      if (key.is_integral()) {
        const std::string_view s = object.str();
        QIAO_RETURN_IF_ERROR(budget.Touch(s.size()));
        const int64_t wanted = in_range(static_cast<int64_t>(CodePointCount(s)));
        if (wanted >= 0) {
          size_t pos = 0;
          for (int64_t i = 0; i < wanted; ++i) NextCodePoint(s, &pos);
          const size_t start = pos;
          NextCodePoint(s, &pos);
          return NewString(std::string(s.substr(start, pos - start)), budget);
        }
      }
      break;
    default:
      break;
  }
  if (key.is_string()) {
    if (IsDunder(key.str()) || IsForbidden(object, key.str())) return Unsafe(object, key.str());
    if (HasMethod(object, key.str())) return NewMethod(object, key.str());
    if (object.Is(Kind::kNamespace)) return GetAttribute(object, key.str(), budget);
    return Missing(object, key.str());
  }
  QIAO_ASSIGN_OR_RETURN(std::string shown, Repr(key, budget));
  return Missing(object, shown);
}

StatusOr<Value> Slice(const Value& object, const Value& start, const Value& stop, const Value& step,
                      Budget& budget) {
  if (object.is_undefined()) return UndefinedError(object);
  const bool sliceable =
      object.is_string() || object.Is(Kind::kList) || object.Is(Kind::kTuple) || object.Is(Kind::kRange);
  if (!sliceable) return InvalidArgument("'%s' object cannot be sliced", TypeName(object));
  for (const Value* bound : {&start, &stop, &step}) {
    if (!bound->is_none() && !bound->is_integral()) {
      return InvalidArgument("slice indices must be integers or none, not '%s'", TypeName(*bound));
    }
  }
  const int64_t by = step.is_none() ? 1 : step.integer();
  if (by == 0) return InvalidArgument("slice step cannot be zero");
  QIAO_ASSIGN_OR_RETURN(const int64_t length, Length(object));
  const auto clamp = [&](const Value& bound, int64_t open) {
    if (bound.is_none()) return open;
    int64_t i = bound.integer();
    if (i < 0) i = std::max(i, -length - 1) + length;
    return std::clamp<int64_t>(i, by < 0 ? -1 : 0, by < 0 ? length - 1 : length);
  };
  const int64_t from = clamp(start, by < 0 ? length - 1 : 0);
  const int64_t to = clamp(stop, by < 0 ? -1 : length);
  if (by == std::numeric_limits<int64_t>::min()) return InvalidArgument("slice step is out of range");
  const int64_t distance = by > 0 ? to - from : from - to, stride = by > 0 ? by : -by;
  const int64_t count = distance > 0 ? (distance - 1) / stride + 1 : 0;
  QIAO_RETURN_IF_ERROR(budget.Touch(static_cast<size_t>(length)));

  if (object.is_string() && by == 1) {  // the usual case: no copy of code points
    const std::string_view s = object.str();
    if (count == length) return object;
    size_t pos = 0;
    for (int64_t i = 0; i < from; ++i) NextCodePoint(s, &pos);
    const size_t first = pos;
    for (int64_t i = 0; i < count; ++i) NextCodePoint(s, &pos);
    return NewString(std::string(s.substr(first, pos - first)), budget, object.is_markup());
  }
  if (object.is_string()) {
    QIAO_RETURN_IF_ERROR(budget.Bytes(static_cast<size_t>(length + count) * sizeof(char32_t)));
    const std::vector<char32_t> all = CodePoints(object.str());
    std::vector<char32_t> out;
    for (int64_t i = 0; i < count; ++i) out.push_back(all[static_cast<size_t>(from + i * by)]);
    return NewString(FromCodePoints(out.data(), out.data() + out.size()), budget, object.is_markup());
  }
  if (object.Is(Kind::kRange)) {
    const RangeObject& r = object.as<RangeObject>();
    auto out = std::make_shared<RangeObject>();
    int64_t first = 0, last = 0, stride_of_both = 0;
    if (__builtin_mul_overflow(r.step, by, &stride_of_both) || __builtin_mul_overflow(from, r.step, &first) ||
        __builtin_mul_overflow(to, r.step, &last)) {
      return OutOfRange("a slice of a range leaves 64 bits");
    }
    out->start = r.start + first;
    out->stop = r.start + last;
    out->step = stride_of_both;
    out->length = count;
    return Value::Make(Kind::kRange, std::move(out));
  }
  QIAO_RETURN_IF_ERROR(budget.Bytes(static_cast<size_t>(count) * sizeof(Value)));
  const Values& items = object.as<SequenceObject>().items;
  Values out;
  for (int64_t i = 0; i < count; ++i) out.push_back(items[static_cast<size_t>(from + i * by)]);
  return NewSequence(object.kind(), std::move(out), budget);
}

}  // namespace qiao::text::jinja
