// TriangularSolve: by substitution, in double.
#include <aclnnop/aclnn_triangular_solve.h>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"

using namespace qiao::cann;

aclnnStatus aclnnTriangularSolveGetWorkspaceSize(const aclTensor* self, const aclTensor* A, bool upper,
                                                 bool transpose, bool unitriangular, aclTensor* xOut,
                                                 aclTensor* mOut, uint64_t* workspaceSize,
                                                 aclOpExecutor** executor) {
  Operator op("aclnnTriangularSolve", workspaceSize, executor);
  const int b = op.In("self", self), a = op.In("A", A), x = op.Out("xOut", xOut), m = op.Out("mOut", mOut);
  op.DType(b, {ACL_FLOAT, ACL_DOUBLE}).Rank(b, 2, kMaxDims).Rank(a, 2, kMaxDims);
  for (int slot : {a, x, m}) op.SameDType(b, slot);
  if (op.ok()) {
    const View &right = op.at(b), &matrix = op.at(a);
    const int rank = std::max(right.rank, matrix.rank);
    op.Require(matrix.size(-1) == matrix.size(-2) && matrix.size(-1) == right.size(-2), "A is %s and self %s",
               matrix.ShapeString(), right.ShapeString());
    // Both outputs have the broadcast leading dimensions.
    for (int slot : {x, m}) {
      const View& out = op.at(slot);
      const View& own = slot == x ? right : matrix;
      op.Require(out.rank == rank && out.size(-1) == own.size(-1) && out.size(-2) == own.size(-2) &&
                     right.Narrow(-1, 0, 1).Narrow(-2, 0, 1).BroadcastsTo(out) &&
                     matrix.Narrow(-1, 0, 1).Narrow(-2, 0, 1).BroadcastsTo(out),
                 "%s is %s, A is %s and self %s", op.name(slot), out.ShapeString(), matrix.ShapeString(),
                 right.ShapeString());
    }
  }
  return op.Finish([=](const Args& args) {
    const View &out = args[x], &copy = args[m];
    if (!copy.empty()) CopyBits(copy, args[a].BroadcastTo(copy));
    if (out.empty()) return;
    const Buffer matrix = Converted(args[a].BroadcastTo(copy), ACL_DOUBLE),
                 values = Converted(args[b].BroadcastTo(out), ACL_DOUBLE);
    const int64_t n = out.size(-2), cols = out.size(-1);
    // The transpose of an upper matrix is solved from the top, as a lower one is.
    const bool from_top = upper == transpose;
    Pool().ParallelFor(out.elements(0, out.rank - 2), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t batch = begin; batch < end; ++batch) {
        const double* l = matrix.as<double>() + batch * n * n;
        double* v = values.as<double>() + batch * n * cols;
        auto at = [&](int64_t r, int64_t c) { return transpose ? l[c * n + r] : l[r * n + c]; };
        for (int64_t k = 0; k < n; ++k) {
          const int64_t r = from_top ? k : n - 1 - k;
          for (int64_t j = 0; j < k; ++j) {
            const int64_t c = from_top ? j : n - 1 - j;
            const double factor = at(r, c);
            for (int64_t i = 0; i < cols; ++i) v[r * cols + i] -= factor * v[c * cols + i];
          }
          if (!unitriangular)
            for (int64_t i = 0; i < cols; ++i) v[r * cols + i] /= at(r, r);
        }
      }
    });
    Convert(out, values);
  });
}
QIAO_ACLNN_LAUNCH(TriangularSolve)
