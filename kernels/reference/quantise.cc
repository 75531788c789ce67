// quantise: for each row and each `block` channels (the last block of a row may be short),
//
//   scale = max(max |x|, floor) / 448,  q = e4m3(x / scale)
//
// Both divisions are f32 divisions, so that the result is the same everywhere, bit for bit: act_quant of
// DeepSeek-V3's inference/kernel.py. e4m3 rounds to nearest, ties to even.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kX, kQ, kScale };
constexpr float kLargestE4M3 = 448.0f;
}  // namespace

void Quantise(const KernelCall& call) {
  const auto& p = call.as<qiao_quantise_params>();
  const Rows x(call, kX), q(call, kQ), scales(call, kScale);
  const int64_t width = x.width();
  const int64_t rows = LiveRows(call, kX) * x.inner();

  std::vector<float> row(static_cast<size_t>(width));
  for (int64_t i = 0; i < rows; ++i) {
    x.Load(i, row.data());
    auto* to = static_cast<uint8_t*>(q.at(i));
    auto* scale_to = static_cast<float*>(scales.at(i));
    for (int64_t begin = 0; begin < width; begin += p.block) {
      const int64_t end = std::min<int64_t>(width, begin + p.block);
      float largest = p.floor;
      for (int64_t c = begin; c < end; ++c)
        largest = std::max(largest, std::fabs(row[static_cast<size_t>(c)]));
      const float scale = largest / kLargestE4M3;
      scale_to[begin / p.block] = scale;
      for (int64_t c = begin; c < end; ++c) to[c] = FloatToF8E4M3(row[static_cast<size_t>(c)] / scale);
    }
  }
}

}  // namespace qiao::kernels::reference
