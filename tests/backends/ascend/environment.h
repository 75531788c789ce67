// Gives a test program an emulated Ascend device: QIAO_CANN=emulator, with f32 products that stay f32
// (QIAO_CANN_EXACT=1) so that f32 results can be compared with the definitions. What is set already stays. Included for
// its effect, which comes before main.
#pragma once

#include <cstdlib>

namespace qiao {

[[maybe_unused]] inline const bool kEmulatedAscend = [] {
  setenv("QIAO_CANN", "emulator", 0);
  setenv("QIAO_CANN_EXACT", "1", 0);
  return true;
}();

}  // namespace qiao
