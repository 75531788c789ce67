// Watching a program run: taps, profiles, traces and lockstep are observers.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/hal/device.h"
#include "runtime/ops/graph.h"

namespace qiao::program {

// One launch, after it has finished.
struct LaunchEvent {
  const ops::Graph* graph = nullptr;
  const ops::Node* node = nullptr;
  const qiao_op_call* call = nullptr;
  const hal::Plan* plan = nullptr;
  const qiao_batch* batch = nullptr;
  double seconds = 0;  // wall clock, the device idle before and after
  // Copies the value, contiguous and row-major in its own dims, to host memory.
  std::function<absl::Status(ops::ValueId value, std::vector<std::byte>& out)> read;
};

// With an observer, the stream is synchronised around every launch: right for looking, wrong for speed.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  virtual absl::Status OnLaunch(const LaunchEvent& event) = 0;
  // `bytes` moved between the host and a device.
  virtual void OnCopy(std::string_view /*value*/, uint64_t /*bytes*/, double /*seconds*/) {}
};

}  // namespace qiao::program
