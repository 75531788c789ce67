// ReduceSum, Mean, Norm, Cumsum, Argsort, Arange.
#include <aclnnop/aclnn_arange.h>
#include <aclnnop/aclnn_argsort.h>
#include <aclnnop/aclnn_cumsum.h>
#include <aclnnop/aclnn_mean.h>
#include <aclnnop/aclnn_norm.h>
#include <aclnnop/aclnn_reduce_sum.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "backends/ascend/emulator/ops/rows.h"

using namespace qiao::cann;

namespace {

// The dimensions that go; checks the shape of `out`.
uint32_t Reduced(Operator& op, int x, int y, const char* name, const aclIntArray* dims, bool keep) {
  if (!op.Needs(name, dims) || !op.ok()) return 0;
  const uint32_t reduced = DimSet(op, x, dims);
  if (!op.ok()) return 0;
  const View& v = op.at(x);
  op.Require(HasElements(v.dtype) && HasElements(op.at(y).dtype), "self is %s and out %s", NameOf(v.dtype),
             NameOf(op.at(y).dtype));
  const View expected = ReducedShape(v, reduced, keep);
  const bool one = expected.rank == 0 && op.at(y).rank == 1 && op.at(y).elements() == 1;
  op.Require(one || op.at(y).SameShape(expected), "out is %s; it must be %s", op.at(y).ShapeString(),
             expected.ShapeString());
  return reduced;
}

void CheckDType(Operator& op, int y, aclDataType dtype) {
  if (op.ok())
    op.Require(op.at(y).dtype == dtype, "dtype is %s and out is %s", NameOf(dtype), NameOf(op.at(y).dtype));
}

double PNorm(const std::vector<double>& values, double p) {
  double result = p == -std::numeric_limits<double>::infinity() ? std::numeric_limits<double>::infinity() : 0;
  for (double v : values) {
    const double a = std::abs(v);
    if (std::isinf(p)) {
      result = p > 0 ? std::max(result, a) : std::min(result, a);
    } else if (p == 0) {
      result += a != 0 ? 1 : 0;
    } else {
      result += p == 2 ? a * a : std::pow(a, p);
    }
  }
  if (std::isinf(p) || p == 0) return result;
  return p == 2 ? std::sqrt(result) : std::pow(result, 1 / p);
}

}  // namespace

aclnnStatus aclnnReduceSumGetWorkspaceSize(const aclTensor* self, const aclIntArray* dims, bool keepDims,
                                           aclDataType dtype, aclTensor* out, uint64_t* workspaceSize,
                                           aclOpExecutor** executor) {
  Operator op("aclnnReduceSum", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  CheckDType(op, y, dtype);
  const uint32_t reduced = Reduced(op, x, y, "dims", dims, keepDims);
  return op.Finish([=](const Args& args) {
    if (IsFloat(args[x].dtype) || IsFloat(args[y].dtype)) {
      Reduce<double>(args[x], reduced, args[y],
                     [](const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0); });
    } else {
      Reduce<int64_t>(args[x], reduced, args[y], [](const std::vector<int64_t>& v) {
        return std::accumulate(v.begin(), v.end(), int64_t{0});
      });
    }
  });
}
QIAO_ACLNN_LAUNCH(ReduceSum)

aclnnStatus aclnnMeanGetWorkspaceSize(const aclTensor* self, const aclIntArray* dim, bool keepDim,
                                      aclDataType dtype, aclTensor* out, uint64_t* workspaceSize,
                                      aclOpExecutor** executor) {
  Operator op("aclnnMean", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.DType(x, kFloats).DType(y, kFloats);
  CheckDType(op, y, dtype);
  const uint32_t reduced = Reduced(op, x, y, "dim", dim, keepDim);
  return op.Finish([=](const Args& args) {
    Reduce<double>(args[x], reduced, args[y], [](const std::vector<double>& v) {
      return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
    });
  });
}
QIAO_ACLNN_LAUNCH(Mean)

aclnnStatus aclnnNormGetWorkspaceSize(const aclTensor* self, const aclScalar* pScalar, const aclIntArray* dim,
                                      bool keepdim, aclTensor* out, uint64_t* workspaceSize,
                                      aclOpExecutor** executor) {
  Operator op("aclnnNorm", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.DType(x, kFloats).DType(y, kFloats);
  const uint32_t reduced = Reduced(op, x, y, "dim", dim, keepdim);
  if (!op.Needs("pScalar", pScalar)) return op.Finish({});
  return op.Finish([=, p = pScalar->ToDouble()](const Args& args) {
    Reduce<double>(args[x], reduced, args[y], [=](const std::vector<double>& v) { return PNorm(v, p); });
  });
}
QIAO_ACLNN_LAUNCH(Norm)

aclnnStatus aclnnCumsumGetWorkspaceSize(const aclTensor* self, int64_t dim, aclDataType dtype, aclTensor* out,
                                        uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnCumsum", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.SameShape(x, y);
  CheckDType(op, y, dtype);
  const int along = static_cast<int>(op.Dim(x, dim));
  if (op.ok())
    op.Require(HasElements(op.at(x).dtype) && HasElements(dtype), "self is %s and out %s",
               NameOf(op.at(x).dtype), NameOf(dtype));
  return op.Finish([=](const Args& args) {
    if (args[x].empty()) return;
    const View from = Along(args[x], along), to = Along(args[y], along);
    auto run = [&]<typename T>(T) {
      ForEachRow<T>(from, [&](int64_t r, std::vector<T>& row) {
        T sum = 0;
        for (T& v : row) v = sum += v;
        StoreRow(to.dtype, to.Row(r), to.step(-1), to.size(-1), row.data());
      });
    };
    if (IsFloat(from.dtype) || IsFloat(to.dtype)) {
      run(double{});
    } else {
      run(int64_t{});
    }
  });
}
QIAO_ACLNN_LAUNCH(Cumsum)

aclnnStatus aclnnArgsortGetWorkspaceSize(const aclTensor* self, int64_t dim, bool descending, aclTensor* out,
                                         uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnArgsort", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.SameShape(x, y).DType(y, {ACL_INT64});
  const int along = static_cast<int>(op.Dim(x, dim));
  if (op.ok()) op.Require(HasElements(op.at(x).dtype), "self is %s", NameOf(op.at(x).dtype));
  return op.Finish([=](const Args& args) {
    if (args[x].empty()) return;
    const View from = Along(args[x], along), to = Along(args[y], along);
    ForEachRow<double>(from, [&](int64_t r, const std::vector<double>& row) {
      std::vector<int64_t> order(row.size());
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        const double va = row[static_cast<size_t>(a)], vb = row[static_cast<size_t>(b)];
        return descending ? Beats(va, vb) : Beats(vb, va);
      });
      StoreRow(to.dtype, to.Row(r), to.step(-1), to.size(-1), order.data());
    });
  });
}
QIAO_ACLNN_LAUNCH(Argsort)

aclnnStatus aclnnArangeGetWorkspaceSize(const aclScalar* start, const aclScalar* end, const aclScalar* step,
                                        aclTensor* out, uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnArange", workspaceSize, executor);
  const int y = op.Out("out", out);
  if (!op.Needs("start", start) || !op.Needs("end", end) || !op.Needs("step", step) || !op.ok())
    return op.Finish({});
  const double first = start->ToDouble(), last = end->ToDouble(), by = step->ToDouble();
  op.Require(by != 0, "step is 0")
      .Require((last - first) * by >= 0, "from %f to %f in steps of %f", first, last, by);
  op.Require(HasElements(op.at(y).dtype), "out is %s", NameOf(op.at(y).dtype)).Rank(y, 1, kMaxDims);
  if (!op.ok()) return op.Finish({});
  // Scalars of f32 do not divide exactly: a count that is all but whole is whole.
  const double count = std::ceil((last - first) / by - 1e-6);
  op.Require(static_cast<double>(op.at(y).elements()) == count, "out is %s, and there are %.0f elements",
             op.at(y).ShapeString(), count);
  return op.Finish([=](const Args& args) {
    const View& to = args[y];
    Buffer values(ACL_DOUBLE, to);
    for (int64_t i = 0; i < to.elements(); ++i) values.as<double>()[i] = first + static_cast<double>(i) * by;
    Convert(to, values);
  });
}
QIAO_ACLNN_LAUNCH(Arange)
