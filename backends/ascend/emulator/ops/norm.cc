// RmsNorm and AddRmsNorm.
#include <aclnnop/aclnn_add_rms_norm.h>
#include <aclnnop/aclnn_rms_norm.h>

#include <cmath>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"

using namespace qiao::cann;

namespace {

// gamma has the trailing dimensions of x; rstd one element for each index of the others.
void CheckNorm(Operator& op, int x, int gamma, int y, int rstd) {
  op.DType(x, kFloats).DType(gamma, kFloats).DType(rstd, {ACL_FLOAT}).SameDType(x, y).SameShape(x, y);
  op.Rank(x, 1, kMaxDims).Rank(gamma, 1, kMaxDims);
  if (!op.ok()) return;
  const View &v = op.at(x), &g = op.at(gamma);
  op.Require(g.dtype == v.dtype || g.dtype == ACL_FLOAT, "gamma is %s and x is %s", NameOf(g.dtype),
             NameOf(v.dtype));
  op.Require(g.rank <= v.rank, "gamma is %s and x is %s", g.ShapeString(), v.ShapeString());
  for (int d = 1; op.ok() && d <= g.rank; ++d)
    op.Require(g.size(-d) == v.size(-d), "gamma is %s, x is %s", g.ShapeString(), v.ShapeString());
  if (op.ok() && op.has(rstd))
    op.Require(op.at(rstd).elements() == v.elements(0, v.rank - g.rank),
               "rstdOut is %s, where x %s has %d rows", op.at(rstd).ShapeString(), v.ShapeString(),
               v.elements(0, v.rank - g.rank));
}

void Norm(const View& x, const View& gamma, double epsilon, const View& y, const View* rstd) {
  if (x.empty()) return;
  const int64_t width = gamma.elements(), rows = x.elements() / width;
  // Contiguous rows of f32 or bf16 are what the kernel takes.
  auto rows_of = [&](const View& v, const void* data) { return View::Of(v.dtype, {rows, width}, data); };
  Buffer x_memory, y_memory;
  View from = x, to = y;
  const bool narrow = x.dtype == ACL_FLOAT16;
  if (narrow || !x.contiguous()) {
    x_memory = Converted(x, narrow ? ACL_FLOAT : x.dtype);
    from = x_memory;
  }
  if (narrow || !y.contiguous()) {
    y_memory = Buffer(from.dtype, y);
    to = y_memory;
  }
  from = rows_of(from, from.data());
  const Buffer g = Converted(gamma, ACL_FLOAT);
  const qiao_rmsnorm_params params{sizeof(params), static_cast<float>(epsilon)};
  if (rstd) {
    Buffer value(ACL_FLOAT, *rstd);
    Pool().ParallelFor(rows, RowGrain(width), [&](int64_t begin, int64_t end, int) {
      std::vector<float> row(static_cast<size_t>(width));
      for (int64_t r = begin; r < end; ++r) {
        LoadRow(from.dtype, from.Row(r), 1, width, row.data());
        double sum = 0;
        for (float v : row) sum += static_cast<double>(v) * static_cast<double>(v);
        value.as<float>()[r] =
            static_cast<float>(1.0 / std::sqrt(sum / static_cast<double>(width) + epsilon));
      }
    });
    CopyBits(*rstd, value);
  }
  KernelRun(QIAO_OP_RMSNORM, &params)
      .Add(from)
      .Add(View::Of(ACL_FLOAT, {width}, g.view().data()))
      .Add(rows_of(to, to.data()))
      .Run();
  if (y_memory.view().base) Convert(y, y_memory);
}

}  // namespace

aclnnStatus aclnnRmsNormGetWorkspaceSize(const aclTensor* x, const aclTensor* gamma, double epsilon,
                                         const aclTensor* yOut, const aclTensor* rstdOut,
                                         uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnRmsNorm", workspaceSize, executor);
  const int in = op.In("x", x), g = op.In("gamma", gamma), y = op.Out("yOut", yOut),
            r = op.Out("rstdOut", rstdOut);
  CheckNorm(op, in, g, y, r);
  return op.Finish([=](const Args& args) { Norm(args[in], args[g], epsilon, args[y], &args[r]); });
}
QIAO_ACLNN_LAUNCH(RmsNorm)

aclnnStatus aclnnAddRmsNormGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* gamma,
                                            double epsilon, const aclTensor* yOut, const aclTensor* rstdOut,
                                            const aclTensor* xOut, uint64_t* workspaceSize,
                                            aclOpExecutor** executor) {
  Operator op("aclnnAddRmsNorm", workspaceSize, executor);
  const int a = op.In("x1", x1), b = op.In("x2", x2), g = op.In("gamma", gamma), y = op.Out("yOut", yOut),
            r = op.Out("rstdOut", rstdOut), sum = op.Out("xOut", xOut);
  CheckNorm(op, a, g, y, r);
  for (int other : {b, sum}) op.SameDType(a, other).SameShape(a, other);
  return op.Finish([=](const Args& args) {
    MapRows<float, 2>(args[sum], {args[a], args[b]}, [](const auto& in, int64_t n, float* out) {
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) out[i] = in[0][i] + in[1][i];
    });
    Norm(args[sum], args[g], epsilon, args[y], &args[r]);
  });
}
QIAO_ACLNN_LAUNCH(AddRmsNorm)
