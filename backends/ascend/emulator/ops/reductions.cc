// Softmax, ArgMax, Amax: along dimensions.
#include <aclnnop/aclnn_amax.h>
#include <aclnnop/aclnn_argmax.h>
#include <aclnnop/aclnn_softmax.h>

#include <cmath>
#include <limits>

#include "backends/ascend/emulator/ops/rows.h"

using namespace qiao::cann;

aclnnStatus aclnnSoftmaxGetWorkspaceSize(const aclTensor* self, int64_t dim, aclTensor* out,
                                         uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnSoftmax", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.DType(x, {ACL_FLOAT, ACL_FLOAT16, ACL_BF16, ACL_DOUBLE})
      .DType(y, {ACL_FLOAT, ACL_FLOAT16, ACL_BF16, ACL_DOUBLE});
  op.SameShape(x, y);
  const int along = static_cast<int>(op.Dim(x, dim));
  return op.Finish([=](const Args& args) {
    if (args[x].empty()) return;
    const View from = Along(args[x], along), to = Along(args[y], along);
    ForEachRow<float>(from, [&](int64_t r, std::vector<float>& row) {
      float largest = -std::numeric_limits<float>::infinity();
      for (float v : row) largest = std::max(largest, v);
      double sum = 0;
      for (float& v : row) sum += static_cast<double>(v = std::exp(v - largest));
      for (float& v : row) v = static_cast<float>(static_cast<double>(v) / sum);
      StoreRow(to.dtype, to.Row(r), to.step(-1), to.size(-1), row.data());
    });
  });
}
QIAO_ACLNN_LAUNCH(Softmax)

aclnnStatus aclnnArgMaxGetWorkspaceSize(const aclTensor* self, int64_t dim, bool keepdim, aclTensor* out,
                                        uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnArgMax", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.DType(y, {ACL_INT32, ACL_INT64});
  const int along = static_cast<int>(op.Dim(x, dim));
  if (op.ok()) {
    const View& v = op.at(x);
    op.Require(HasElements(v.dtype), "self is %s", NameOf(v.dtype));
    View expected = v;
    if (v.rank > 0) {
      op.Require(v.size(along) > 0, "dimension %d of self is empty", along);
      expected = keepdim ? v.Narrow(along, 0, 1) : v.Select(along, 0);
    }
    op.Require(op.at(y).SameShape(expected), "out is %s; it must be %s", op.at(y).ShapeString(),
               expected.ShapeString());
  }
  return op.Finish([=](const Args& args) {
    if (args[x].empty()) return;
    const View from = Along(args[x], along);
    View to = args[y];
    if (!keepdim || to.rank == 0) to = to.Insert(along, 1);
    to = Along(to, along);
    ForEachRow<double>(from, [&](int64_t r, const std::vector<double>& row) {
      size_t best = 0;
      for (size_t i = 1; i < row.size(); ++i)
        if (Beats(row[i], row[best])) best = i;
      const auto index = static_cast<int64_t>(best);
      StoreRow(to.dtype, to.Row(r), 1, 1, &index);
    });
  });
}
QIAO_ACLNN_LAUNCH(ArgMax)

aclnnStatus aclnnAmaxGetWorkspaceSize(const aclTensor* self, const aclIntArray* dim, bool keepDim,
                                      aclTensor* out, uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnAmax", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  if (!op.Needs("dim", dim) || !op.ok()) return op.Finish({});
  const View& v = op.at(x);
  op.Require(HasElements(v.dtype), "self is %s", NameOf(v.dtype)).SameDType(x, y);
  const uint32_t reduced = DimSet(op, x, dim);
  for (int d = 0; d < v.rank; ++d)
    op.Require(!(reduced >> d & 1) || v.size(d) > 0, "dimension %d of self is empty", d);
  const View expected = ReducedShape(v, reduced, keepDim);
  op.Require(op.at(y).SameShape(expected), "out is %s; it must be %s", op.at(y).ShapeString(),
             expected.ShapeString());
  return op.Finish([=](const Args& args) {
    Reduce<double>(args[x], reduced, args[y], [](const std::vector<double>& values) {
      double best = values[0];
      for (double v : values)
        if (Beats(v, best)) best = v;
      return best;
    });
  });
}
QIAO_ACLNN_LAUNCH(Amax)
