// rope: rotates pairs of the channels offset .. offset + width of each head and copies the others.
//
//   (a, b) -> (a cos - b sin, b cos + a sin), sin negated when `inverse`
//
// "RoFormer", arXiv 2104.09864, equation 34. Pair i is channels (2i, 2i+1) interleaved, (i, i + width/2)
// half; pairs stay where they lie.
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kX, kCos, kSin, kY };
}  // namespace

void Rope(const KernelCall& call) {
  const auto& p = call.as<qiao_rope_params>();
  const Rows x(call, kX), y(call, kY);
  const int64_t heads = x.inner(), pairs = p.width / 2;
  const int64_t live = LiveRows(call, kX);

  std::vector<float> in(static_cast<size_t>(x.width()));
  std::vector<double> out(in.size());
  for (int64_t t = 0; t < live; ++t) {
    const float* cosine = call.data<const float>(kCos) + t * pairs;
    const float* sine = call.data<const float>(kSin) + t * pairs;
    for (int64_t h = 0; h < heads; ++h) {
      x.Load(t * heads + h, in.data());
      out.assign(in.begin(), in.end());
      for (int64_t i = 0; i < pairs; ++i) {
        const bool half = p.style == QIAO_ROPE_HALF;
        const auto first = static_cast<size_t>(p.offset + (half ? i : 2 * i));
        const auto second = static_cast<size_t>(p.offset + (half ? i + pairs : 2 * i + 1));
        const double a = static_cast<double>(in[first]), b = static_cast<double>(in[second]);
        const double c = static_cast<double>(cosine[i]);
        const double s = p.inverse ? -static_cast<double>(sine[i]) : static_cast<double>(sine[i]);
        out[first] = a * c - b * s;
        out[second] = b * c + a * s;
      }
      y.Store(t * heads + h, out.data());
    }
  }
}

}  // namespace qiao::kernels::reference
