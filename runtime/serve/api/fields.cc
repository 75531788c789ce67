#include "runtime/serve/api/fields.h"

#include <cmath>

#include "runtime/serve/api/errors.h"

namespace qiao::serve {
namespace {

absl::Status WrongType(const std::string& path, std::string_view wanted, const OrderedJson& value) {
  return BadParam(path, absl::StrFormat("must be %s, not %s", wanted, TypeName(value)));
}

// Whether leaving the member out would have meant the same.
bool ChangesNothing(const OrderedJson& value) {
  return (value.is_boolean() && !value.get<bool>()) ||
         ((value.is_string() || value.is_array() || value.is_object()) && value.empty()) ||
         (value.is_number() && value.get<double>() == 0);
}

}  // namespace

std::string_view TypeName(const OrderedJson& value) {
  switch (value.type()) {
    case OrderedJson::value_t::null:
      return "null";
    case OrderedJson::value_t::object:
      return "an object";
    case OrderedJson::value_t::array:
      return "an array";
    case OrderedJson::value_t::string:
      return "a string";
    case OrderedJson::value_t::boolean:
      return "true or false";
    default:
      return "a number";
  }
}

bool IsTokenId(const OrderedJson& value, int64_t vocab) {
  return value.is_number_integer() && value.get<int64_t>() >= 0 && value.get<int64_t>() < vocab;
}

absl::StatusOr<Fields> Fields::Of(const OrderedJson& value, std::string path) {
  if (!value.is_object()) return WrongType(path.empty() ? "the body" : path, "an object", value);
  return Fields(value, std::move(path));
}

std::string Fields::PathOf(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

const OrderedJson* Fields::Find(std::string_view name) const {
  const auto it = object_.find(name);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

absl::StatusOr<std::optional<std::string>> Fields::String(std::string_view name) const {
  const OrderedJson* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return WrongType(PathOf(name), "a string", *value);
  return value->get<std::string>();
}

absl::StatusOr<std::optional<bool>> Fields::Bool(std::string_view name) const {
  const OrderedJson* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) return WrongType(PathOf(name), "true or false", *value);
  return value->get<bool>();
}

absl::StatusOr<std::optional<int64_t>> Fields::Int(std::string_view name, int64_t lo, int64_t hi) const {
  const OrderedJson* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) return WrongType(PathOf(name), "a whole number", *value);
  const auto out_of_bounds = [&](std::string_view found) {
    return BadParam(PathOf(name), absl::StrFormat("is %s, must be a whole number of %d..%d", found, lo, hi));
  };
  if (value->is_number_unsigned()) {
    const auto number = value->get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX) || static_cast<int64_t>(number) < lo ||
        static_cast<int64_t>(number) > hi) {
      return out_of_bounds(value->dump());
    }
    return static_cast<int64_t>(number);
  }
  if (value->is_number_integer()) {
    const auto number = value->get<int64_t>();
    if (number < lo || number > hi) return out_of_bounds(value->dump());
    return number;
  }
  const auto number = value->get<double>();
  // Doubles of that size are whole; the comparison comes before the conversion, which would not be defined.
  if (number != std::floor(number) || std::fabs(number) > 9e15 || static_cast<int64_t>(number) < lo ||
      static_cast<int64_t>(number) > hi) {
    return out_of_bounds(value->dump());
  }
  return static_cast<int64_t>(number);
}

absl::StatusOr<std::optional<double>> Fields::Number(std::string_view name, double lo, double hi) const {
  const OrderedJson* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) return WrongType(PathOf(name), "a number", *value);
  const auto number = value->get<double>();
  if (!(number >= lo && number <= hi)) {
    return BadParam(PathOf(name), absl::StrFormat("is %s, must be %g..%g", value->dump(), lo, hi));
  }
  return number;
}

absl::StatusOr<const OrderedJson*> Fields::Array(std::string_view name, int64_t most) const {
  const OrderedJson* value = Find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) return WrongType(PathOf(name), "an array", *value);
  if (static_cast<int64_t>(value->size()) > most) {
    return BadParam(PathOf(name),
                    absl::StrFormat("has %d elements; at most %d are allowed", value->size(), most));
  }
  return value;
}

absl::StatusOr<const OrderedJson*> Fields::Object(std::string_view name) const {
  const OrderedJson* value = Find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) return WrongType(PathOf(name), "an object", *value);
  return value;
}

absl::StatusOr<std::string> Fields::NeedString(std::string_view name) const {
  QIAO_ASSIGN_OR_RETURN(std::optional<std::string> value, String(name));
  if (!value) return BadParam(PathOf(name), "is missing; it must be a string");
  return *std::move(value);
}

absl::StatusOr<const OrderedJson*> Fields::NeedArray(std::string_view name, int64_t most) const {
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* value, Array(name, most));
  if (value == nullptr) return BadParam(PathOf(name), "is missing; it must be an array");
  return value;
}

absl::Status Fields::Refuse(std::string_view name, std::string_view why) const {
  const OrderedJson* value = Find(name);
  if (value == nullptr || ChangesNothing(*value)) return absl::OkStatus();
  return WithErrorCode(BadParam(PathOf(name), why), "unsupported_parameter");
}

}  // namespace qiao::serve
