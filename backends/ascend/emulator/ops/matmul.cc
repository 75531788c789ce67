// Matmul, Mm, Mv, BatchMatMul and their forms with weights in FRACTAL_NZ.
#include <aclnnop/aclnn_batch_matmul.h>
#include <aclnnop/aclnn_matmul.h>
#include <aclnnop/aclnn_mm.h>
#include <aclnnop/aclnn_mv.h>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"
#include "backends/ascend/emulator/ops/product.h"

using namespace qiao::cann;

namespace {

struct Form {
  const char* name;
  int least_rank, most_rank;  // of both operands
  bool fractal;               // mat2 must be FRACTAL_NZ
};

// [.., M, K] with the matrix's missing dimension and the batch's, to `rank` dimensions.
View Padded(View v, int rank, bool left) {
  if (v.rank == 1) v = v.Insert(left ? 0 : 1);
  while (v.rank < rank) v = v.Insert(0);
  return v;
}

aclnnStatus Multiply(const Form& form, const aclTensor* self, const aclTensor* mat2, aclTensor* out,
                     int8_t cube_math_type, uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op(form.name, workspaceSize, executor);
  const int x = op.In("self", self), w = op.In("mat2", mat2), y = op.Out("out", out);
  op.DType(x, kFloats).DType(w, kFloats).DType(y, kFloats);
  op.Rank(x, form.least_rank, form.most_rank).Rank(w, form.least_rank, form.most_rank);
  op.Require(cube_math_type >= 0 && cube_math_type <= 3, "cubeMathType is %d; it must be 0 to 3",
             cube_math_type);
  if (!op.ok()) return op.Finish({});
  for (int slot : {x, y})
    op.Require(op.at(slot).format != ACL_FORMAT_FRACTAL_NZ, "%s is FRACTAL_NZ", op.name(slot));
  if (form.fractal) {
    op.Require(op.at(w).format == ACL_FORMAT_FRACTAL_NZ, "mat2 is not FRACTAL_NZ");
    op.DType(x, {ACL_FLOAT16, ACL_BF16}).DType(w, {ACL_FLOAT16, ACL_BF16}).SameDType(x, w);
  }
  const View &a = op.at(x), &b = op.at(w);
  const int rank = std::max({a.rank, b.rank, 2});
  const View pa = Padded(a, rank, true), pb = Padded(b, rank, false);
  op.Require(pa.size(-1) == pb.size(-2), "self is %s and mat2 is %s: K differs", a.ShapeString(),
             b.ShapeString());
  View result = pa;
  for (int d = 0; d < rank - 2; ++d) {
    op.Require(pa.size(d) == pb.size(d) || pa.size(d) == 1 || pb.size(d) == 1,
               "self is %s and mat2 is %s: their batches do not broadcast", a.ShapeString(), b.ShapeString());
    if (pa.size(d) == 1) result.dim[static_cast<size_t>(d)] = pb.size(d);
  }
  result.dim[static_cast<size_t>(rank - 2)] = pa.size(-2);
  result.dim[static_cast<size_t>(rank - 1)] = pb.size(-1);
  View expected = result;
  if (b.rank == 1) expected = expected.Select(rank - 1, 0);
  if (a.rank == 1) expected = expected.Select(expected.rank - (b.rank == 1 ? 1 : 2), 0);
  op.Require(op.at(y).SameShape(expected), "out is %s; it must be %s", op.at(y).ShapeString(),
             expected.ShapeString());
  const F32Operands operands = OperandsFor(cube_math_type);
  return op.Finish([=](const Args& args) {
    const View left = Padded(args[x], rank, true), right = Padded(args[w], rank, false);
    View to = args[y];
    if (args[x].rank == 1) to = to.Insert(args[w].rank == 1 ? to.rank : to.rank - 1);
    if (args[w].rank == 1) to = to.Insert(to.rank);
    for (int64_t i = 0; i < to.elements(0, rank - 2); ++i)
      Product(MatrixOf(left, to, i), MatrixOf(right, to, i), MatrixOf(to, to, i), operands);
  });
}

}  // namespace

#define QIAO_MATMUL(NAME, LEAST, MOST, FRACTAL)                                                           \
  aclnnStatus aclnn##NAME##GetWorkspaceSize(const aclTensor* self, const aclTensor* mat2, aclTensor* out, \
                                            int8_t cubeMathType, uint64_t* workspaceSize,                 \
                                            aclOpExecutor** executor) {                                   \
    return Multiply({"aclnn" #NAME, LEAST, MOST, FRACTAL}, self, mat2, out, cubeMathType, workspaceSize,  \
                    executor);                                                                            \
  }                                                                                                       \
  QIAO_ACLNN_LAUNCH(NAME)

QIAO_MATMUL(Matmul, 1, 6, false)
QIAO_MATMUL(MatmulWeightNz, 2, 6, true)
QIAO_MATMUL(Mm, 2, 2, false)
QIAO_MATMUL(BatchMatMul, 3, 3, false)
QIAO_MATMUL(BatchMatMulWeightNz, 3, 3, true)

aclnnStatus aclnnMvGetWorkspaceSize(const aclTensor* self, const aclTensor* vec, aclTensor* out,
                                    int8_t cubeMathType, uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnMv", workspaceSize, executor);
  const int x = op.In("self", self), v = op.In("vec", vec), y = op.Out("out", out);
  op.DType(x, kFloats).DType(v, kFloats).DType(y, kFloats).Rank(x, 2, 2);
  op.Require(cubeMathType >= 0 && cubeMathType <= 3, "cubeMathType is %d; it must be 0 to 3", cubeMathType);
  if (op.ok()) op.Shape(v, {op.at(x).size(1)}).Shape(y, {op.at(x).size(0)});
  const F32Operands operands = OperandsFor(cubeMathType);
  return op.Finish(
      [=](const Args& args) { Product(args[x], args[v].Insert(1), args[y].Insert(1), operands); });
}
QIAO_ACLNN_LAUNCH(Mv)
