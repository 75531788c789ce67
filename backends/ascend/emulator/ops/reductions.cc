// Softmax, ArgMax, Amax: along dimensions.
#include <aclnnop/aclnn_amax.h>
#include <aclnnop/aclnn_argmax.h>
#include <aclnnop/aclnn_softmax.h>

#include <cmath>
#include <limits>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"

using namespace qiao::cann;

namespace {

// Rows that run along a dimension, whichever it is.
View Along(const View& v, int dim) { return v.rank == 0 ? v.Insert(0) : v.Swap(dim, v.rank - 1); }

template <typename T>
bool Beats(T a, T b) {
  return a > b || (a != a && b == b);  // a NaN beats numbers
}

template <typename T, class Body>
void ForEachRow(const View& v, Body body) {
  const int64_t width = v.size(-1);
  Pool().ParallelFor(v.rows(), RowGrain(width), [&](int64_t begin, int64_t end, int) {
    std::vector<T> row(static_cast<size_t>(width));
    for (int64_t r = begin; r < end; ++r) {
      LoadRow(v.dtype, v.Row(r), v.step(-1), width, row.data());
      body(r, row);
    }
  });
}

}  // namespace

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
  uint32_t reduced = 0;
  for (int64_t d : dim->values) reduced |= 1u << op.Dim(x, d);
  if (dim->values.empty()) reduced = ~0u;
  View expected = v;
  expected.rank = 0;
  for (int d = 0; d < v.rank; ++d) {
    const bool gone = reduced >> d & 1;
    op.Require(!gone || v.size(d) > 0, "dimension %d of self is empty", d);
    if (!gone || keepDim) expected.dim[static_cast<size_t>(expected.rank++)] = gone ? 1 : v.size(d);
  }
  op.Require(op.at(y).SameShape(expected), "out is %s; it must be %s", op.at(y).ShapeString(),
             expected.ShapeString());
  return op.Finish([=](const Args& args) {
    // Kept dimensions first, reduced ones behind them.
    const View& all = args[x];
    View kept = all, rest = all, to = args[y];
    kept.rank = rest.rank = 0;
    for (int d = 0; d < all.rank; ++d) {
      View& part = reduced >> d & 1 ? rest : kept;
      part.dim[static_cast<size_t>(part.rank)] = all.size(d);
      part.stride[static_cast<size_t>(part.rank++)] = all.step(d);
    }
    const int64_t bytes = BytesOf(all.dtype), count = rest.elements();
    Pool().ParallelFor(kept.elements(), RowGrain(count), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const char* from = all.data() + kept.OffsetOf(i, 0, kept.rank) * bytes;
        double best = 0;
        for (int64_t j = 0; j < count; ++j) {
          const auto value = LoadElement<double>(all.dtype, from + rest.OffsetOf(j, 0, rest.rank) * bytes);
          if (j == 0 || Beats(value, best)) best = value;
        }
        StoreRow(to.dtype, to.data() + to.OffsetOf(i, 0, to.rank) * bytes, 1, 1, &best);
      }
    });
  });
}
QIAO_ACLNN_LAUNCH(Amax)
