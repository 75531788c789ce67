// Windows that slide over the last one or two dimensions: what convolutions and pools have in common.
#pragma once

#include <array>
#include <cstdint>

#include "backends/ascend/emulator/nnopbase/executor.h"

namespace qiao::cann {

// Of one dimension.
struct Window {
  int64_t kernel = 1, stride = 1, dilation = 1;
  int64_t before = 0, after = 0;  // padding

  int64_t reach() const { return dilation * (kernel - 1) + 1; }
  // Windows over n elements. `ceil`: also one that begins inside but ends beyond.
  int64_t Count(int64_t n, bool ceil = false) const {
    const int64_t room = n + before + after - reach();
    if (room < 0) return 0;
    int64_t count = (room + (ceil ? stride - 1 : 0)) / stride + 1;
    if (ceil && (count - 1) * stride >= n + before) --count;
    return count;
  }
  bool good() const { return kernel > 0 && stride > 0 && dilation > 0 && before >= 0 && after >= 0; }
};

// Rows, then columns.
using Windows = std::array<Window, 2>;

// Entry d of an array with one entry for all dimensions, or one each; `otherwise` where there is none.
inline int64_t EntryOf(const aclIntArray* array, size_t d, int64_t otherwise) {
  if (!array || array->values.empty()) return otherwise;
  return array->values[array->values.size() == 1 ? 0 : d];
}

// [.., C, H, W] as [N, C, H, W]: without a batch, N is 1.
inline View Batched(const View& v) { return v.rank == 3 ? v.Insert(0) : v; }

}  // namespace qiao::cann
