// AvgPool2d, MaxPool.
#include <aclnnop/aclnn_avgpool2d.h>
#include <aclnnop/aclnn_max_pool.h>

#include <cmath>
#include <limits>

#include "backends/ascend/emulator/ops/loops.h"
#include "backends/ascend/emulator/ops/window.h"

using namespace qiao::cann;

namespace {

void CheckPool(Operator& op, int x, int y, const Windows& w, bool ceil) {
  op.DType(x, kFloats).SameDType(x, y).Rank(x, 3, 4);
  op.Require(w[0].good() && w[1].good(),
             "a kernel, stride or dilation is not positive, or a padding is negative");
  if (!op.ok()) return;
  View expected = op.at(x);
  for (int d : {0, 1}) {
    const size_t at = static_cast<size_t>(expected.rank - 2 + d);
    expected.dim[at] = w[static_cast<size_t>(d)].Count(expected.dim[at], ceil);
  }
  op.Require(op.at(y).SameShape(expected), "out is %s; it must be %s", op.at(y).ShapeString(),
             expected.ShapeString());
}

// value(pool, elements of the padded input that the window covers): pool(add) is called with each real element.
template <class Window_>
void ForEachWindow(const View& x, const View& y, const Windows& w, Window_ window) {
  if (y.empty()) return;
  const View from = Batched(x), to = Batched(y);
  const Buffer plain = Converted(from, ACL_FLOAT), result(ACL_FLOAT, to);
  const int64_t height = from.size(2), width = from.size(3), rows = to.size(2), cols = to.size(3);
  Pool().ParallelFor(to.size(0) * to.size(1), 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> inside;
    for (int64_t plane = begin; plane < end; ++plane) {
      const float* in = plain.as<float>() + plane * height * width;
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < cols; ++c) {
          inside.clear();
          const int64_t top = r * w[0].stride - w[0].before, left = c * w[1].stride - w[1].before;
          for (int64_t i = 0; i < w[0].kernel; ++i) {
            for (int64_t j = 0; j < w[1].kernel; ++j) {
              const int64_t h = top + i * w[0].dilation, v = left + j * w[1].dilation;
              if (h >= 0 && h < height && v >= 0 && v < width) inside.push_back(in[h * width + v]);
            }
          }
          // What of the window lies within the padded input.
          const int64_t covered = (std::min(top + w[0].kernel, height + w[0].after) - top) *
                                  (std::min(left + w[1].kernel, width + w[1].after) - left);
          result.as<float>()[(plane * rows + r) * cols + c] = window(inside, covered);
        }
      }
    }
  });
  Convert(to, result);
}

}  // namespace

aclnnStatus aclnnAvgPool2dGetWorkspaceSize(const aclTensor* self, const aclIntArray* kernelSize,
                                           const aclIntArray* strides, const aclIntArray* paddings,
                                           const bool ceilMode, const bool countIncludePad,
                                           const int64_t divisorOverride, const int8_t cubeMathType,
                                           aclTensor* out, uint64_t* workspaceSize,
                                           aclOpExecutor** executor) {
  Operator op("aclnnAvgPool2d", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  if (!op.Needs("kernelSize", kernelSize) || !op.Needs("strides", strides) || !op.Needs("paddings", paddings))
    return op.Finish({});
  op.Require(cubeMathType >= 0 && cubeMathType <= 3, "cubeMathType is %d; it must be 0 to 3", cubeMathType);
  Windows w;
  for (const auto* array : {kernelSize, strides, paddings})
    op.Require(array->values.size() <= 2, "an array has %d entries; 1 or 2 are needed", array->values.size());
  op.Require(!kernelSize->values.empty(), "kernelSize is empty");
  if (!op.ok()) return op.Finish({});
  for (size_t d = 0; d < 2; ++d) {
    w[d].kernel = EntryOf(kernelSize, d, 1);
    w[d].stride = EntryOf(strides, d, w[d].kernel);
    w[d].before = w[d].after = EntryOf(paddings, d, 0);
    op.Require(w[d].before * 2 <= w[d].kernel, "a padding of %d for a kernel of %d: half is the most",
               w[d].before, w[d].kernel);
  }
  CheckPool(op, x, y, w, ceilMode);
  return op.Finish([=](const Args& args) {
    ForEachWindow(args[x], args[y], w, [=](const std::vector<float>& inside, int64_t covered) {
      double sum = 0;
      for (float v : inside) sum += static_cast<double>(v);
      const auto count = static_cast<int64_t>(inside.size());
      const int64_t divisor = divisorOverride ? divisorOverride : countIncludePad ? covered : count;
      return static_cast<float>(sum / static_cast<double>(divisor));
    });
  });
}
QIAO_ACLNN_LAUNCH(AvgPool2d)

aclnnStatus aclnnMaxPoolGetWorkspaceSize(const aclTensor* self, const aclIntArray* kernelShape,
                                         const aclIntArray* strides, const int64_t autoPad,
                                         const aclIntArray* pads, const aclIntArray* dilations,
                                         const int64_t ceilMode, aclTensor* out, uint64_t* workspaceSize,
                                         aclOpExecutor** executor) {
  Operator op("aclnnMaxPool", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  if (!op.Needs("kernelShape", kernelShape) || !op.Needs("strides", strides) || !op.Needs("pads", pads) ||
      !op.Needs("dilations", dilations))
    return op.Finish({});
  op.Require(autoPad == 0, "autoPad is %d; 0 is served", autoPad);
  op.Require(ceilMode == 0 || ceilMode == 1, "ceilMode is %d; it must be 0 or 1", ceilMode);
  for (const auto* array : {kernelShape, strides, dilations})
    op.Require(array->values.size() <= 2, "an array has %d entries; 1 or 2 are needed", array->values.size());
  const std::vector<int64_t>& pad = pads->values;
  op.Require(!kernelShape->values.empty() && (pad.size() <= 2 || pad.size() == 4),
             "kernelShape has %d entries, pads %d", kernelShape->values.size(), pad.size());
  if (!op.ok()) return op.Finish({});
  Windows w;
  for (size_t d = 0; d < 2; ++d) {
    w[d].kernel = EntryOf(kernelShape, d, 1);
    w[d].stride = EntryOf(strides, d, w[d].kernel);
    w[d].dilation = EntryOf(dilations, d, 1);
    w[d].before = pad.size() == 4 ? pad[d] : EntryOf(pads, d, 0);
    w[d].after = pad.size() == 4 ? pad[d + 2] : w[d].before;
  }
  CheckPool(op, x, y, w, ceilMode != 0);
  return op.Finish([=](const Args& args) {
    ForEachWindow(args[x], args[y], w, [](const std::vector<float>& inside, int64_t) {
      float best = -std::numeric_limits<float>::infinity();
      for (float v : inside)
        if (v > best || std::isnan(v)) best = v;
      return best;
    });
  });
}
QIAO_ACLNN_LAUNCH(MaxPool)
