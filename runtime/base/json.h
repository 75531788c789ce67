// JSON from outside: parsed within limits, duplicate keys refused, errors as Status with file and byte
// offset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "nlohmann/json.hpp"
#include "runtime/base/status.h"

namespace qiao {

using Json = nlohmann::json;                 // objects sorted by key: for files that are looked up
using OrderedJson = nlohmann::ordered_json;  // objects as written: for messages that are rendered again

struct JsonLimits {
  size_t max_bytes = size_t{64} << 20;
  int max_depth = 64;
  size_t max_values = size_t{20} << 20;      // scalars, arrays and objects together
  size_t max_object_keys = size_t{4} << 20;  // of one object
};

// Parses exactly one document. `what` names it in errors ("DIR/config.json"). Refused: duplicate keys in one
// object, anything after the document, a byte order mark, NUL bytes, invalid UTF-8, lone surrogates, numbers
// out of the range of double (INVALID_ARGUMENT); more than the limits (RESOURCE_EXHAUSTED). Never throws.
absl::StatusOr<Json> ParseJson(std::string_view text, std::string_view what, const JsonLimits& limits = {});
// Objects keep their order. Lookup is linear, so at most `max_object_keys` or 10,000 keys an object,
// whichever is less.
absl::StatusOr<OrderedJson> ParseOrderedJson(std::string_view text, std::string_view what,
                                             const JsonLimits& limits = {});

// On one line. What is no UTF-8 in it becomes U+FFFD.
std::string DumpJson(const OrderedJson& json);

}  // namespace qiao
