// SoftmaxCrossEntropyWithLogits.
#include <aclnnop/aclnn_softmax_cross_entropy_with_logits.h>

#include <cmath>
#include <limits>

#include "backends/ascend/emulator/ops/rows.h"

using namespace qiao::cann;

aclnnStatus aclnnSoftmaxCrossEntropyWithLogitsGetWorkspaceSize(const aclTensor* features, aclTensor* labels,
                                                               aclTensor* loss, aclTensor* backprop,
                                                               uint64_t* workspaceSize,
                                                               aclOpExecutor** executor) {
  Operator op("aclnnSoftmaxCrossEntropyWithLogits", workspaceSize, executor);
  const int x = op.In("features", features), t = op.In("labels", labels), l = op.Out("loss", loss),
            g = op.Out("backprop", backprop);
  op.DType(x, kFloats).Rank(x, 2, 2).SameShape(x, t).SameShape(x, g);
  for (int slot : {t, l, g}) op.SameDType(x, slot);
  if (op.ok()) op.Shape(l, {op.at(x).size(0)});
  return op.Finish([=](const Args& args) {
    const View &target = args[t], &losses = args[l], &gradient = args[g];
    if (args[x].empty()) return;
    ForEachRow<double>(args[x], [&](int64_t r, std::vector<double>& row) {
      std::vector<double> label(row.size());
      LoadRow(target.dtype, target.Row(r), target.step(-1), target.size(-1), label.data());
      double largest = -std::numeric_limits<double>::infinity(), sum = 0, value = 0;
      for (double v : row) largest = std::max(largest, v);
      for (double v : row) sum += std::exp(v - largest);
      for (size_t i = 0; i < row.size(); ++i) {
        const double log_share = row[i] - largest - std::log(sum);
        value -= label[i] == 0 ? 0 : label[i] * log_share;
        row[i] = std::exp(log_share) - label[i];
      }
      StoreRow(losses.dtype, losses.data() + r * losses.step(0) * BytesOf(losses.dtype), 1, 1, &value);
      StoreRow(gradient.dtype, gradient.Row(r), gradient.step(-1), gradient.size(-1), row.data());
    });
  });
}
QIAO_ACLNN_LAUNCH(SoftmaxCrossEntropyWithLogits)
