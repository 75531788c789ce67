// Arguments that a model writes as elements (DeepSeek's DSML, Qwen3-Coder), turned into the text of a JSON object.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/json.h"

namespace qiao::serve {

// The JSON types that a schema lets a property have, as a set; 0: it does not say. Looks at type, enum, const, anyOf
// and oneOf, of the property itself and one level below.
using JsonTypes = uint8_t;
inline constexpr JsonTypes kTypeString = 1, kTypeNumber = 2, kTypeBoolean = 4, kTypeNull = 8,
                           kTypeObject = 16, kTypeArray = 32, kTypeAny = 63;
JsonTypes PropertyTypes(const OrderedJson& schema, std::string_view property);

// One value: a string, which passes through as it comes; or anything else, which is held until its end to see whether
// it is JSON of an expected type, and is a JSON string if not. Python's True, False and None are understood.
class ParameterValue {
 public:
  static constexpr size_t kMaxHeld = 16 << 10;  // what is longer passes as it is written

  ParameterValue() = default;
  explicit ParameterValue(JsonTypes types) : types_(types), string_(types == kTypeString) {}

  // Append the JSON text that is known by now.
  void Push(std::string_view text, std::string* json);
  void End(std::string* json);
  // Instead of End, where the text was cut off: what was held, as it is written.
  void Cut(std::string* json);

 private:
  JsonTypes types_ = kTypeString;
  bool string_ = true, begun_ = false, passes_ = false;
  std::string held_;
};

}  // namespace qiao::serve
