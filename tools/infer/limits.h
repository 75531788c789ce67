// What the device can do at most, as rooflines divide by it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/program/launch_cost.h"
#include "tools/infer/args.h"

namespace qiao::tools {

struct Limits {
  double read = 0;               // bytes a second; 0: not measured
  std::array<double, 3> peak{};  // operations a second, by program::Arithmetic; 0: not measured
  uint32_t threads = 0;          // host threads that measured; 0 where none
  std::vector<std::string> how;  // a line a figure
};

// Work to be done, by what bounds it.
struct Demand {
  std::array<double, 3> flops{};  // by program::Arithmetic
  double bytes = 0;
};

// The time that the work takes at least: its arithmetic at its peaks or its bytes at the read rate, whichever
// is longer. 0 where the limits are not known.
double RooflineSeconds(const Limits& limits, const Demand& demand);
bool BoundByReads(const Limits& limits, const Demand& demand);

// Opens the device, measures and closes it. Absent where the backend measures nothing. `stream_bytes` 0: the
// backend's choice.
absl::StatusOr<std::optional<Limits>> MeasureLimits(const DeviceArgs& args, uint64_t stream_bytes);
// Two measurements of one machine: the larger of each figure, since a neighbour only takes away.
void TakeBetter(Limits& limits, const Limits& other);

OrderedJson ToJson(const std::optional<Limits>& limits);  // {} where nothing was measured
std::string OneLine(const Limits& limits);  // "reads 30.6 GB/s; bf16 0.35, f32 0.35 TFLOP/s; int8 1.40 TOP/s"

}  // namespace qiao::tools
