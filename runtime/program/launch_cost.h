// What one launch had to do at least: the catalogue's cost with the counts of the step that ran, the experts
// that were chosen in it among them. For profiles and rooflines, from inside a StepObserver.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/ops/catalogue.h"
#include "runtime/program/observer.h"

namespace qiao::program {

// What the operands of an operation's products are, whose peak bounds its speed. 8-bit floats are multiplied
// as bf16.
enum class Arithmetic { kF32, kBF16, kI8 };
std::string_view Name(Arithmetic arithmetic);  // "f32", "bf16", "int8"
// Operations a second; 0: not measured.
double PeakOf(const qiao_device_limits& limits, Arithmetic arithmetic);

struct LaunchCost {
  ops::Cost cost;  // every live argument once, of weights with experts those that have rows
  Arithmetic arithmetic = Arithmetic::kF32;
  std::vector<int32_t> experts;  // that have rows, ascending; empty where nothing is routed

  // The weights among the arguments.
  struct Weight {
    size_t argument = 0;
    double bytes = 0;         // that this launch reads, scales included
    double expert_bytes = 0;  // of one expert; 0 where the weight has none
  };
  std::vector<Weight> weights;
};

// Reads the routing of the launch from the device where there is any.
absl::StatusOr<LaunchCost> CostOf(const LaunchEvent& event);

}  // namespace qiao::program
