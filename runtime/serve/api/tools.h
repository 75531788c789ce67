// placeholder until branch s-answer is merged
#pragma once
#include <string>
#include <vector>

#include "runtime/base/json.h"
namespace qiao::serve {
struct Tool {
  std::string name, description;
  OrderedJson parameters;
  bool strict = false;
};
using ToolList = std::vector<Tool>;
struct ToolChoice {
  enum class Kind { kAuto, kNone, kRequired, kNamed };
  Kind kind = Kind::kAuto;
  std::string name;
};
}  // namespace qiao::serve
