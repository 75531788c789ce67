// Runs one conformance case: by the scalar definition in host memory, and on a device.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "runtime/hal/device.h"
#include "runtime/ops/catalogue.h"

namespace qiao::conformance {

// How arguments that may be strided lie on the device, and where the host would rather have weights.
struct Variant {
  std::string name;
  int64_t padding = 0;  // elements more than contiguous between rows
  int64_t shift = 0;    // elements from an aligned address
  uint32_t residence = QIAO_WEIGHT_MAP;
};

// The contents of all arguments after the operation, contiguous; weights and absent ones are empty.
struct Contents {
  std::vector<std::vector<std::byte>> args;
};

// The definition's result.
absl::StatusOr<Contents> RunReference(const ops::OpSpec& spec, const ops::Case& c);

struct DeviceRun {
  bool supported = false;
  std::string why;     // when not
  std::string kernel;  // when supported
  bool row_invariant = false;
  double weight_error = 0;                    // the largest that storing a weight added
  qiao_tensor described[QIAO_MAX_ARGS] = {};  // what was prepared
  Contents contents;
};

// An error is a broken promise of the device: a supported call that could not be prepared or launched, or
// memory outside the outputs that has changed.
absl::StatusOr<DeviceRun> RunOnDevice(const std::shared_ptr<const hal::Device>& device,
                                      const ops::OpSpec& spec, const ops::Case& c, const Variant& variant);

// The byte that outputs hold before a launch, and guard zones always.
inline constexpr std::byte kGuard{0xc7};

}  // namespace qiao::conformance
