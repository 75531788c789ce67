// Comparing an output with the scalar definition's.
#pragma once

#include <cstddef>
#include <string>

#include "absl/types/span.h"
#include "runtime/base/dtype.h"
#include "runtime/ops/catalogue.h"

namespace qiao::conformance {

struct Difference {
  double max_abs_over_rms = 0;
  double calc_diff = 0;
  // Of the tolerance, what is larger; more than 1 fails. Infinite where numbers must be equal and are not, or
  // where one side is NaN and the other is not.
  double of_tolerance = 0;
  std::string text;  // where the largest difference is
};

// n elements of each; NaN equals NaN, infinities equal themselves.
Difference Compare(DType dtype, const std::byte* got, const std::byte* want, int64_t n,
                   const ops::Tolerance& tolerance);

}  // namespace qiao::conformance
