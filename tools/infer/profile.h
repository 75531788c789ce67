// Where the time of steps goes: operations by kind and kernel, and the places in the model that call them.
#pragma once

#include <qiao/engine.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "runtime/base/json.h"
#include "tools/infer/limits.h"

namespace qiao::tools {

// Sums launches. The device was idle before and after each, so their times add up to a little more than a
// step takes on its own.
class Profile {
 public:
  void Add(const OperationReport& launch, const std::optional<Limits>& limits);
  bool empty() const { return rows_.empty(); }
  double seconds() const;

  // A table, slowest first: for each operation and kernel a line and, where several places in the model call
  // it, below that a line for each of them.
  std::string Text() const;
  OrderedJson ToJson() const;

  struct Sum {
    int64_t calls = 0;
    double seconds = 0, flops = 0, bytes = 0;
    double roofline_seconds = 0;  // 0: not known
  };

 private:
  struct Row {
    Sum sum;
    std::map<std::string, Sum> nodes;
  };
  std::map<std::pair<std::string, std::string>, Row> rows_;  // by operation and kernel
};

// "layers.3.moe.gate_up" as "layers.*.moe.gate_up".
std::string WithoutNumbers(std::string_view node);

}  // namespace qiao::tools
