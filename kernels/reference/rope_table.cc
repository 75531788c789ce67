// rope_table: cos[t,i] = cos(a) * factor, sin[t,i] = sin(a) * factor, where a is the f32 product of
// positions[t] and inv_freq[i]. The product is rounded to f32 because models were trained with that angle: at
// position 100000 it is off by some thousandths, and an exact product would disagree.
#include <cmath>

#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kPositions, kInvFreq, kCos, kSin };
}  // namespace

void RopeTable(const KernelCall& call) {
  const auto* positions = call.data<const int32_t>(kPositions);
  const auto* inv_freq = call.data<const float>(kInvFreq);
  const double factor = static_cast<double>(call.as<qiao_rope_table_params>().factor);
  const int64_t pairs = call.tensor[kInvFreq].dim[0];
  const int64_t live = LiveRows(call, kPositions);
  for (int64_t t = 0; t < live; ++t) {
    for (int64_t i = 0; i < pairs; ++i) {
      const float angle = static_cast<float>(positions[t]) * inv_freq[i];
      call.data<float>(kCos)[t * pairs + i] =
          static_cast<float>(std::cos(static_cast<double>(angle)) * factor);
      call.data<float>(kSin)[t * pairs + i] =
          static_cast<float>(std::sin(static_cast<double>(angle)) * factor);
    }
  }
}

}  // namespace qiao::kernels::reference
