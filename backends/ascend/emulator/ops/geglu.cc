// GeGluV3: a GELU gate (arXiv 2002.05202).
#include <aclnnop/aclnn_geglu.h>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/gelu.h"
#include "backends/ascend/emulator/ops/loops.h"

using namespace qiao::cann;

aclnnStatus aclnnGeGluV3GetWorkspaceSize(const aclTensor* self, int64_t dim, int64_t approximate,
                                         bool activateLeft, aclTensor* out, aclTensor* outGelu,
                                         uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnGeGluV3", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out), g = op.Out("outGelu", outGelu);
  op.DType(x, kFloats).SameDType(x, y).SameDType(x, g).Rank(x, 1, kMaxDims).SameShape(y, g);
  op.Require(approximate == 0 || approximate == 1, "approximate is %d; it must be 0 or 1", approximate);
  const int along = static_cast<int>(op.Dim(x, dim));
  if (op.ok()) {
    const View& v = op.at(x);
    op.Require(v.size(along) % 2 == 0, "dimension %d of self has %d elements, which is odd", along,
               v.size(along));
    const View half = v.Narrow(along, 0, v.size(along) / 2);
    op.Require(op.at(y).SameShape(half), "out is %s; it must be %s", op.at(y).ShapeString(),
               half.ShapeString());
  }
  return op.Finish([=](const Args& args) {
    const View& v = args[x];
    const int64_t half = v.size(along) / 2;
    const View left = v.Narrow(along, 0, half), right = v.Narrow(along, half, half);
    const View &gate = activateLeft ? left : right, &value = activateLeft ? right : left;
    auto activated = [=](float a) { return approximate == 0 ? GeluTanh(a) : Gelu(a); };
    MapRows<float, 1>(args[g], {gate}, [=](const auto& in, int64_t n, float* to) {
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) to[i] = activated(in[0][i]);
    });
    MapRows<float, 2>(args[y], {gate, value}, [=](const auto& in, int64_t n, float* to) {
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) to[i] = activated(in[0][i]) * in[1][i];
    });
  });
}
QIAO_ACLNN_LAUNCH(GeGluV3)
