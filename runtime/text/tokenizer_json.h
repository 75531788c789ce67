// Fields of tokenizer.json with their names in errors. Internal to runtime/text.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/json.h"
#include "runtime/text/utf8.h"

namespace qiao::text {

// The member of an object, or null if it is absent (or `object` is no object).
inline const Json& Field(const Json& object, const char* name) {
  static const Json null;
  const auto it = object.find(name);
  return it == object.end() ? null : *it;
}

// The "type" of a part such as a pre-tokenizer.
inline absl::StatusOr<std::string_view> TypeOf(const Json& part, std::string_view where) {
  const Json& type = Field(part, "type");
  if (!type.is_string()) return InvalidArgument("%s: must be an object with a string \"type\"", where);
  return std::string_view(type.get_ref<const std::string&>());
}

inline absl::StatusOr<std::string> StringField(const Json& object, const char* name, std::string_view where) {
  const Json& value = Field(object, name);
  if (!value.is_string()) return InvalidArgument("%s.%s: must be a string", where, name);
  return value.get<std::string>();
}

// An absent or null field means `otherwise`.
inline absl::StatusOr<std::string> StringField(const Json& object, const char* name, std::string_view where,
                                               std::string_view otherwise) {
  if (Field(object, name).is_null()) return std::string(otherwise);
  return StringField(object, name, where);
}

inline absl::StatusOr<bool> BoolField(const Json& object, const char* name, std::string_view where,
                                      bool otherwise) {
  const Json& value = Field(object, name);
  if (value.is_null()) return otherwise;
  if (!value.is_boolean()) return InvalidArgument("%s.%s: must be true or false", where, name);
  return value.get<bool>();
}

// Whether `value` is an integer from 0 to `most`.
inline bool IsIndex(const Json& value, int64_t most) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned()) return value.get<uint64_t>() <= static_cast<uint64_t>(most);
  return value.get<int64_t>() >= 0 && value.get<int64_t>() <= most;
}

// An integer from `low`, not negative, to `high`.
inline absl::StatusOr<int64_t> IntField(const Json& object, const char* name, std::string_view where,
                                        int64_t low, int64_t high) {
  const Json& value = Field(object, name);
  if (!IsIndex(value, high) || value.get<int64_t>() < low) {
    return InvalidArgument("%s.%s: must be an integer from %d to %d", where, name, low, high);
  }
  return value.get<int64_t>();
}

// A field that is one character, for instance a replacement for spaces.
inline absl::StatusOr<std::string> CharacterField(const Json& object, const char* name,
                                                  std::string_view where, std::string_view otherwise = "") {
  QIAO_ASSIGN_OR_RETURN(std::string text, StringField(object, name, where, otherwise));
  if (text.empty() || NextCodePoint(text).length != text.size()) {
    return InvalidArgument("%s.%s: must be one character", where, name);
  }
  return text;
}

inline constexpr int kMaxPartDepth = 8;  // nesting of Sequence parts
inline constexpr size_t kMaxParts = 16;  // steps of one normalizer, pre-tokenizer or decoder

}  // namespace qiao::text
