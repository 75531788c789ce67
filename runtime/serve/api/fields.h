// Reading the members of a request's body: types, bounds, and errors that say where.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/json.h"
#include "runtime/base/status.h"

namespace qiao::serve {

// Views of one object and its path, which must outlive it. A member that is null counts as absent, as clients send
// them. Members that nobody asks for are ignored: clients send many that change nothing here.
class Fields {
 public:
  // INVALID_ARGUMENT where `value` is no object.
  static absl::StatusOr<Fields> Of(const OrderedJson& value, std::string path);

  const std::string& path() const { return path_; }
  // "tools[3].function" + "name".
  std::string PathOf(std::string_view name) const;

  // Null where it is absent.
  const OrderedJson* Find(std::string_view name) const;
  bool Has(std::string_view name) const { return Find(name) != nullptr; }

  // Each: absent gives nullopt, another type or a value out of bounds INVALID_ARGUMENT with the path and the bounds.
  absl::StatusOr<std::optional<std::string>> String(std::string_view name) const;
  absl::StatusOr<std::optional<bool>> Bool(std::string_view name) const;
  // A whole number; 3.0 is one.
  absl::StatusOr<std::optional<int64_t>> Int(std::string_view name, int64_t lo, int64_t hi) const;
  absl::StatusOr<std::optional<double>> Number(std::string_view name, double lo, double hi) const;
  // Null where it is absent.
  absl::StatusOr<const OrderedJson*> Array(std::string_view name, int64_t most) const;
  absl::StatusOr<const OrderedJson*> Object(std::string_view name) const;

  // As above, where it must be there.
  absl::StatusOr<std::string> NeedString(std::string_view name) const;
  absl::StatusOr<const OrderedJson*> NeedArray(std::string_view name, int64_t most) const;

  // For what cannot be done here: INVALID_ARGUMENT where it is there and differs from what changes nothing.
  absl::Status Refuse(std::string_view name, std::string_view why) const;

 private:
  Fields(const OrderedJson& object, std::string path) : object_(object), path_(std::move(path)) {}

  const OrderedJson& object_;
  std::string path_;
};

// Whether it is a whole number of 0 .. vocab - 1.
bool IsTokenId(const OrderedJson& value, int64_t vocab);

// "a string", "a number", ... for errors.
std::string_view TypeName(const OrderedJson& value);

}  // namespace qiao::serve
