#include "runtime/text/jinja_value.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "runtime/text/jinja_unicode.h"

namespace qiao::text::jinja {
namespace {

constexpr size_t kIndexedDictSize = 8;  // above it a dict has a hash index

Value FromObject(Kind kind, std::shared_ptr<Object> object) { return Value::Make(kind, std::move(object)); }

std::shared_ptr<StringObject> StringOf(std::string s) {
  auto object = std::make_shared<StringObject>();
  object->s = std::move(s);
  return object;
}

}  // namespace

Value Value::Bool(bool b) {
  Value v(Kind::kBool);
  v.int_ = b ? 1 : 0;
  return v;
}
Value Value::Int(int64_t i) {
  Value v(Kind::kInt);
  v.int_ = i;
  return v;
}
Value Value::Float(double d) {
  Value v(Kind::kFloat);
  v.float_ = d;
  return v;
}
Value Value::String(std::string s) { return Make(Kind::kString, StringOf(std::move(s))); }
Value Value::Markup(std::string s) {
  Value v = String(std::move(s));
  v.markup_ = true;
  return v;
}
Value Value::Undefined(std::string message) { return Make(Kind::kUndefined, StringOf(std::move(message))); }
Value Value::Function(std::string_view static_name) {
  Value v(Kind::kFunction);
  v.name_ = static_name.data();
  return v;
}
Value Value::Make(Kind kind, std::shared_ptr<Object> object) {
  Value v(kind);
  v.object_ = std::move(object);
  return v;
}

std::string_view Value::str() const {
  if (kind_ == Kind::kFunction) return name_;
  if (!object_) return {};
  return static_cast<const StringObject&>(*object_).s;
}

const Value* DictObject::Find(std::string_view key) const {
  if (!index.empty()) return FindKey(absl::StrCat("s", Abs(key)));
  for (const auto& [k, v] : entries) {
    if (k.is_string() && k.str() == key) return &v;
  }
  return nullptr;
}

const Value* DictObject::FindKey(const std::string& encoded_key) const {
  if (!index.empty()) {
    auto it = index.find(encoded_key);
    return it == index.end() ? nullptr : &entries[it->second].second;
  }
  Budget none(std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::max(),
              std::numeric_limits<int64_t>::max(), std::numeric_limits<int>::max());
  for (const auto& [k, v] : entries) {
    StatusOr<std::string> encoded = EncodeKey(k, none);
    if (encoded.ok() && *encoded == encoded_key) return &v;
  }
  return nullptr;
}

Value* NamespaceObject::Find(std::string_view name) {
  for (auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

Status Budget::Steps(int64_t n) {
  steps_ += n;
  if (steps_ <= max_steps_) return absl::OkStatus();
  return ResourceExhausted(
      "the template took more than %d steps (max_steps); it loops too long for this conversation",
      max_steps_);
}

Status Budget::Bytes(size_t bytes) {
  const int64_t n = static_cast<int64_t>(std::min<size_t>(bytes, size_t{1} << 60));
  if (n > max_bytes_ - bytes_) {
    return ResourceExhausted("the template made more than %d bytes of values (max_value_bytes)", max_bytes_);
  }
  bytes_ += n;
  return Touch(bytes);
}

Status Budget::StringBytes(size_t bytes) {
  if (bytes > static_cast<size_t>(max_string_bytes_)) {
    return ResourceExhausted("the template made a string of %d bytes, more than %d (max_string_bytes)", bytes,
                             max_string_bytes_);
  }
  return Bytes(bytes + sizeof(StringObject));
}

Status Budget::Depth(int depth) const {
  if (depth <= max_value_depth_) return absl::OkStatus();
  return ResourceExhausted("the template nests values more than %d deep (max_value_depth)", max_value_depth_);
}

StatusOr<Value> NewString(std::string s, Budget& budget, bool markup) {
  QIAO_RETURN_IF_ERROR(budget.StringBytes(s.size()));
  return markup ? Value::Markup(std::move(s)) : Value::String(std::move(s));
}

StatusOr<Value> NewSequence(Kind list_or_tuple, Values items, Budget& budget) {
  QIAO_RETURN_IF_ERROR(budget.Bytes(items.size() * sizeof(Value) + sizeof(SequenceObject)));
  int depth = 0;
  for (const Value& v : items) depth = std::max(depth, v.depth());
  QIAO_RETURN_IF_ERROR(budget.Depth(depth + 1));
  auto object = std::make_shared<SequenceObject>();
  object->items = std::move(items);
  object->depth = depth + 1;
  return FromObject(list_or_tuple, std::move(object));
}

StatusOr<Value> NewIterator(Values items, Budget& budget) {
  QIAO_RETURN_IF_ERROR(budget.Bytes(items.size() * sizeof(Value) + sizeof(IteratorObject)));
  int depth = 0;
  for (const Value& v : items) depth = std::max(depth, v.depth());
  QIAO_RETURN_IF_ERROR(budget.Depth(depth + 1));
  auto object = std::make_shared<IteratorObject>();
  object->items = std::move(items);
  object->depth = depth + 1;
  return FromObject(Kind::kIterator, std::move(object));
}

StatusOr<Value> NewDict(std::vector<std::pair<Value, Value>> entries, Budget& budget) {
  QIAO_RETURN_IF_ERROR(budget.Bytes(entries.size() * 2 * sizeof(Value) + sizeof(DictObject)));
  auto object = std::make_shared<DictObject>();
  absl::flat_hash_map<std::string, uint32_t> index;
  int depth = 0;
  for (auto& [key, value] : entries) {
    QIAO_ASSIGN_OR_RETURN(std::string encoded, EncodeKey(key, budget));
    depth = std::max({depth, key.depth(), value.depth()});
    auto [it, inserted] = index.emplace(std::move(encoded), static_cast<uint32_t>(object->entries.size()));
    if (inserted) {
      object->entries.emplace_back(std::move(key), std::move(value));
    } else {
      object->entries[it->second].second = std::move(value);
    }
  }
  QIAO_RETURN_IF_ERROR(budget.Depth(depth + 1));
  object->depth = depth + 1;
  if (object->entries.size() > kIndexedDictSize) object->index = std::move(index);
  return FromObject(Kind::kDict, std::move(object));
}

Value NewMethod(const Value& receiver, std::string_view name) {
  auto object = std::make_shared<MethodObject>();
  object->receiver = receiver;
  object->name = std::string(name);
  object->depth = receiver.depth();
  return FromObject(Kind::kMethod, std::move(object));
}

StatusOr<Value> FromJson(const OrderedJson& json, Budget& budget) {
  QIAO_RETURN_IF_ERROR(budget.Steps(1));
  switch (json.type()) {
    case OrderedJson::value_t::null:
      return Value::None();
    case OrderedJson::value_t::boolean:
      return Value::Bool(json.get<bool>());
    case OrderedJson::value_t::number_integer:
      return Value::Int(json.get<int64_t>());
    case OrderedJson::value_t::number_unsigned: {
      const uint64_t u = json.get<uint64_t>();
      if (u > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return InvalidArgument("the integer %d does not fit 64 bits with sign", u);
      }
      return Value::Int(static_cast<int64_t>(u));
    }
    case OrderedJson::value_t::number_float:
      return Value::Float(json.get<double>());
    case OrderedJson::value_t::string:
      return NewString(json.get_ref<const std::string&>(), budget);
    case OrderedJson::value_t::array: {
      Values items;
      items.reserve(json.size());
      for (const OrderedJson& item : json) {
        QIAO_ASSIGN_OR_RETURN(Value v, FromJson(item, budget));
        items.push_back(std::move(v));
      }
      return NewSequence(Kind::kList, std::move(items), budget);
    }
    case OrderedJson::value_t::object: {
      std::vector<std::pair<Value, Value>> entries;
      entries.reserve(json.size());
      for (const auto& [key, item] : json.items()) {
        QIAO_ASSIGN_OR_RETURN(Value k, NewString(key, budget));
        QIAO_ASSIGN_OR_RETURN(Value v, FromJson(item, budget));
        entries.emplace_back(std::move(k), std::move(v));
      }
      return NewDict(std::move(entries), budget);
    }
    default:
      return InvalidArgument("a %s is no JSON value that a template can read", json.type_name());
  }
}

std::string_view TypeName(const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kRange:
      return "range";
    case Kind::kDictView:
      return "dict_view";
    case Kind::kIterator:
      return "generator";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kFunction:
      return "function";
    case Kind::kMethod:
      return "method";
    case Kind::kMacro:
      return "Macro";
    case Kind::kLoop:
      return "LoopContext";
  }
  return "object";
}

bool Truthy(const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return v.integer() != 0;
    case Kind::kFloat:
      return v.number() != 0;
    case Kind::kString:
      return !v.str().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !v.as<SequenceObject>().items.empty();
    case Kind::kDict:
      return !v.as<DictObject>().entries.empty();
    case Kind::kDictView:
      return Truthy(v.as<DictViewObject>().dict);
    case Kind::kRange:
      return v.as<RangeObject>().length > 0;
    default:
      return true;
  }
}

StatusOr<int64_t> Length(const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<int64_t>(CodePointCount(v.str()));
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<int64_t>(v.as<SequenceObject>().items.size());
    case Kind::kDict:
      return static_cast<int64_t>(v.as<DictObject>().entries.size());
    case Kind::kDictView:
      return Length(v.as<DictViewObject>().dict);
    case Kind::kRange:
      return v.as<RangeObject>().length;
    default:
      return InvalidArgument("object of type '%s' has no length", TypeName(v));
  }
}

bool IsIterable(const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kDictView:
    case Kind::kRange:
    case Kind::kIterator:
    case Kind::kLoop:
      return true;
    default:
      return false;
  }
}

StatusOr<Values> Iterate(const Value& v, Budget& budget) {
  Values out;
  switch (v.kind()) {
    case Kind::kUndefined:
      return out;
    case Kind::kString: {
      const std::string_view s = v.str();
      QIAO_RETURN_IF_ERROR(budget.Bytes(s.size() * (sizeof(Value) + sizeof(StringObject))));
      for (size_t pos = 0; pos < s.size();) {
        const size_t start = pos;
        NextCodePoint(s, &pos);
        out.push_back(Value::String(std::string(s.substr(start, pos - start))));
      }
      return out;
    }
    case Kind::kList:
    case Kind::kTuple:
      QIAO_RETURN_IF_ERROR(budget.Bytes(v.as<SequenceObject>().items.size() * sizeof(Value)));
      return v.as<SequenceObject>().items;
    case Kind::kRange: {
      const RangeObject& range = v.as<RangeObject>();
      QIAO_RETURN_IF_ERROR(budget.Bytes(static_cast<size_t>(range.length) * sizeof(Value)));
      for (int64_t i = 0; i < range.length; ++i) out.push_back(Value::Int(range.at(i)));
      return out;
    }
    case Kind::kDict:
    case Kind::kDictView: {
      const bool view = v.Is(Kind::kDictView);
      const auto part = view ? v.as<DictViewObject>().part : DictViewObject::Part::kKeys;
      const DictObject& dict = view ? v.as<DictViewObject>().dict.as<DictObject>() : v.as<DictObject>();
      QIAO_RETURN_IF_ERROR(budget.Bytes(dict.entries.size() * sizeof(Value)));
      for (const auto& [key, value] : dict.entries) {
        if (part == DictViewObject::Part::kItems) {
          QIAO_ASSIGN_OR_RETURN(Value pair, NewSequence(Kind::kTuple, {key, value}, budget));
          out.push_back(std::move(pair));
        } else {
          out.push_back(part == DictViewObject::Part::kKeys ? key : value);
        }
      }
      return out;
    }
    case Kind::kIterator: {
      IteratorObject& it = v.as<IteratorObject>();
      QIAO_RETURN_IF_ERROR(budget.Bytes((it.items.size() - it.next) * sizeof(Value)));
      out.assign(it.items.begin() + static_cast<std::ptrdiff_t>(it.next), it.items.end());
      it.next = it.items.size();
      return out;
    }
    default:
      return InvalidArgument("'%s' object is not iterable", TypeName(v));
  }
}

Status UndefinedError(const Value& v) {
  if (v.str().empty()) return InvalidArgument("a value is undefined");
  return InvalidArgument("%s", v.str());
}

}  // namespace qiao::text::jinja
