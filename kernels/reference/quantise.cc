// quantise to E4M3: for each row and each `block` channels (the last block of a row may be short),
//
//   scale = max(max |x|, floor) / 448,  q = e4m3(x / scale)
//
// Both divisions are f32 divisions, so that the result is the same everywhere, bit for bit: act_quant of
// DeepSeek-V3's inference/kernel.py. e4m3 rounds to nearest, ties to even.
//
// To INT8: for each row
//
//   scale = max(max |x|, floor) / 127,  q = x / scale rounded to the nearest integer, ties to even
//
// likewise. |q| is 127 at most: the largest quotient errs by less than half of one. A row with a NaN gets NaN
// for a scale, and 0 for every q, so that what is multiplied with it is NaN.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kX, kEnds, kQ, kScale };
constexpr float kLargestE4M3 = 448.0f, kLargestI8 = 127.0f;

void QuantiseI8(const float* x, int64_t width, float floor, int8_t* q, float* scale) {
  float largest = floor;
  for (int64_t c = 0; c < width; ++c) {
    if (std::isnan(x[c])) largest = std::fabs(x[c]);
    if (!std::isnan(largest)) largest = std::max(largest, std::fabs(x[c]));
  }
  *scale = largest / kLargestI8;
  for (int64_t c = 0; c < width; ++c) {
    const float quotient = x[c] / *scale;
    q[c] = std::isnan(quotient) ? int8_t{0} : static_cast<int8_t>(std::nearbyint(quotient));
  }
}
}  // namespace

void QuantiseToE4m3(const float* x, int64_t width, int64_t block, float floor, uint8_t* q, float* scales) {
  for (int64_t begin = 0; begin < width; begin += block) {
    const int64_t end = std::min(width, begin + block);
    float largest = floor;
    for (int64_t c = begin; c < end; ++c) largest = std::max(largest, std::fabs(x[c]));
    const float scale = largest / kLargestE4M3;
    scales[begin / block] = scale;
    for (int64_t c = begin; c < end; ++c) q[c] = FloatToF8E4M3(x[c] / scale);
  }
}

void Quantise(const KernelCall& call) {
  const auto& p = call.as<qiao_quantise_params>();
  const Rows x(call, kX), q(call, kQ), scales(call, kScale);
  const int64_t width = x.width();
  const int64_t experts = call.has(kEnds) ? call.tensor[kEnds].dim[0] : 0;
  const int64_t rows = LiveRows(call, kX, call.data<const int64_t>(kEnds), experts) * x.inner();

  std::vector<float> row(static_cast<size_t>(width));
  for (int64_t i = 0; i < rows; ++i) {
    x.Load(i, row.data());
    auto* scale = static_cast<float*>(scales.at(i));
    if (q.dtype() == QIAO_I8) {
      QuantiseI8(row.data(), width, p.floor, static_cast<int8_t*>(q.at(i)), scale);
    } else {
      QuantiseToE4m3(row.data(), width, p.block, p.floor, static_cast<uint8_t*>(q.at(i)), scale);
    }
  }
}

}  // namespace qiao::kernels::reference
