// SwiGlu and RotaryPositionEmbedding.
#include <aclnnop/aclnn_rotary_position_embedding.h>
#include <aclnnop/aclnn_swi_glu.h>

#include <cmath>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"

using namespace qiao::cann;

aclnnStatus aclnnSwiGluGetWorkspaceSize(const aclTensor* x, int64_t dim, const aclTensor* out,
                                        uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnSwiGlu", workspaceSize, executor);
  const int in = op.In("x", x), y = op.Out("out", out);
  op.DType(in, kFloats).SameDType(in, y).Rank(in, 1, kMaxDims);
  const int along = static_cast<int>(op.Dim(in, dim));
  if (op.ok()) {
    const View& v = op.at(in);
    op.Require(v.size(along) % 2 == 0, "dimension %d of x has %d elements, which is odd", along,
               v.size(along));
    const View half = v.Narrow(along, 0, v.size(along) / 2);
    op.Require(op.at(y).SameShape(half), "out is %s; it must be %s", op.at(y).ShapeString(),
               half.ShapeString());
  }
  return op.Finish([=](const Args& args) {
    const View& v = args[in];
    const int64_t half = v.size(along) / 2;
    MapRows<float, 2>(args[y], {v.Narrow(along, 0, half), v.Narrow(along, half, half)},
                      [](const auto& part, int64_t n, float* to) {
                        for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
                          const float gate = part[0][i];
                          to[i] = gate / (1.0f + std::exp(-gate)) * part[1][i];
                        }
                      });
  });
}
QIAO_ACLNN_LAUNCH(SwiGlu)

aclnnStatus aclnnRotaryPositionEmbeddingGetWorkspaceSize(const aclTensor* x, const aclTensor* cos,
                                                         const aclTensor* sin, int64_t mode,
                                                         const aclTensor* yOut, uint64_t* workspaceSize,
                                                         aclOpExecutor** executor) {
  Operator op("aclnnRotaryPositionEmbedding", workspaceSize, executor);
  const int in = op.In("x", x), c = op.In("cos", cos), s = op.In("sin", sin), y = op.Out("yOut", yOut);
  op.DType(in, kFloats).SameDType(in, y).SameShape(in, y).DType(c, kFloats).SameDType(c, s).SameShape(c, s);
  op.Rank(in, 3, 4);
  op.Require(mode == 0 || mode == 1, "mode is %d; 0 (half) and 1 (interleave) are served", mode);
  if (op.ok()) {
    const View &v = op.at(in), &t = op.at(c);
    op.Require(t.dtype == v.dtype || t.dtype == ACL_FLOAT, "cos is %s and x is %s", NameOf(t.dtype),
               NameOf(v.dtype));
    op.Require(v.size(-1) % 2 == 0, "x has %d channels, which is odd", v.size(-1));
    op.Require(t.BroadcastsTo(v) && t.rank > 0 && t.size(-1) == v.size(-1),
               "cos is %s, which does not broadcast to %s of x", t.ShapeString(), v.ShapeString());
  }
  return op.Finish([=](const Args& args) {
    const View &from = args[in], &to = args[y];
    if (from.empty()) return;
    const View cosines = args[c].BroadcastTo(from), sines = args[s].BroadcastTo(from);
    const int64_t width = from.size(-1);
    Pool().ParallelFor(from.rows(), RowGrain(width), [&](int64_t begin, int64_t end, int) {
      std::vector<float> v(static_cast<size_t>(width)), a(v), b(v), turned(v);
      for (int64_t r = begin; r < end; ++r) {
        LoadRow(from.dtype, from.Row(r), from.step(-1), width, v.data());
        LoadRow(cosines.dtype, cosines.Row(r), cosines.step(-1), width, a.data());
        LoadRow(sines.dtype, sines.Row(r), sines.step(-1), width, b.data());
        const auto half = static_cast<size_t>(width) / 2;
        for (size_t i = 0; i < half; ++i) {
          const size_t first = mode == 0 ? i : 2 * i, second = mode == 0 ? i + half : 2 * i + 1;
          turned[first] = v[first] * a[first] - v[second] * b[first];
          turned[second] = v[second] * a[second] + v[first] * b[second];
        }
        StoreRow(to.dtype, to.Row(r), to.step(-1), width, turned.data());
      }
    });
  });
}
QIAO_ACLNN_LAUNCH(RotaryPositionEmbedding)
