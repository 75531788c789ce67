// Conformance: every case of an operation, run on a device and compared with the scalar definition.
//
// Arguments lie in device memory between guard zones that must not change, contiguous and in strided
// variants, weights aligned for their dtype and no more. A device that says no to a call is counted with its
// reason; one that says yes must prepare, launch and agree.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/hal/device.h"
#include "runtime/ops/catalogue.h"

namespace qiao::conformance {

struct Outcome {
  enum Kind { kPassed, kUnsupported, kFailed };
  Kind kind = kPassed;
  std::string op, case_name;
  std::string why;     // the device's reason, or what failed
  std::string kernel;  // that ran
  // The largest error of any output, as a part of what is tolerated (0 where outputs must be equal and are).
  double of_tolerance = 0;
  bool row_invariant = false;  // claimed, and held
};

// One outcome for each case and variant.
std::vector<Outcome> Run(const std::shared_ptr<const hal::Device>& device, const ops::OpSpec& spec,
                         uint64_t seed = 1, bool large = false);

// A row for each operation: cases passed, unsupported, failed; the kernels that ran; the reasons given.
std::string SupportTable(std::string_view device, const std::vector<Outcome>& outcomes);

}  // namespace qiao::conformance
