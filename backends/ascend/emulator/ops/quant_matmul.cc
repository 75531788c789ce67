// Products of quantised operands: INT8 with scales for tokens and channels, FP8 with scales for blocks (950).
#include <aclnnop/aclnn_quant_matmul_v4.h>
#include <aclnnop/aclnn_quant_matmul_v5.h>
#include <aclnnop/aclnn_quant_matmul_weight_nz.h>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"
#include "backends/ascend/emulator/ops/product.h"

using namespace qiao::cann;

namespace {

struct Slots {
  int x1, x2, x1_scale, x2_scale, bias, out;
  bool transpose1, transpose2;
};

View Turned(const View& v, bool transpose) { return transpose ? v.Swap(v.rank - 2, v.rank - 1) : v; }

// Numbers of a vector as f32; one number is repeated.
std::vector<float> Repeated(const View& v, int64_t n) {
  std::vector<float> numbers = Floats(v);
  if (numbers.size() == 1) numbers.assign(static_cast<size_t>(n), numbers[0]);
  return numbers;
}

void CheckShapes(Operator& op, const Slots& s) {
  op.Rank(s.x1, 2, 6).Rank(s.x2, 2, 6).Rank(s.out, 2, 6);
  if (!op.ok()) return;
  const View a = Turned(op.at(s.x1), s.transpose1), b = Turned(op.at(s.x2), s.transpose2);
  const View& out = op.at(s.out);
  op.Require(a.size(-1) == b.size(-2), "x1 is %s and x2 is %s (transposeX1 %d, transposeX2 %d): K differs",
             op.at(s.x1).ShapeString(), op.at(s.x2).ShapeString(), s.transpose1, s.transpose2);
  op.Require(out.rank == std::max(a.rank, b.rank) && out.size(-2) == a.size(-2) && out.size(-1) == b.size(-1),
             "out is %s, where x1 is %s and x2 is %s", out.ShapeString(), op.at(s.x1).ShapeString(),
             op.at(s.x2).ShapeString());
  for (const View& v : {a, b})
    for (int d = 3; op.ok() && d <= v.rank; ++d)
      op.Require(v.size(-d) == 1 || v.size(-d) == out.size(-d),
                 "the batch of %s does not broadcast to out %s", v.ShapeString(), out.ShapeString());
  op.Require(op.at(s.x1).format != ACL_FORMAT_FRACTAL_NZ, "x1 is FRACTAL_NZ");
}

aclnnStatus Integers8(Operator& op, const Slots& s) {
  CheckShapes(op, s);
  op.DType(s.x2, {ACL_INT8}).DType(s.out, {ACL_FLOAT16, ACL_BF16, ACL_INT32, ACL_FLOAT});
  op.DType(s.x1_scale, {ACL_FLOAT}).DType(s.x2_scale, {ACL_FLOAT, ACL_BF16});
  op.DType(s.bias, {ACL_INT32, ACL_FLOAT, ACL_BF16, ACL_FLOAT16});
  if (!op.ok()) return op.Finish({});
  const View& out = op.at(s.out);
  if (out.dtype == ACL_FLOAT16 && !op.has(s.x1_scale))
    Warn("quant-matmul-scale-f16",
         "a product of INT8 with FLOAT16 output and without scales for tokens: op-plugin passes "
         "packed 64-bit scales there, not these");
  const int64_t n_size = out.size(-1), m_size = out.size(-2);
  const bool sums = out.dtype == ACL_INT32;
  op.Require(sums || op.has(s.x2_scale), "%s is null", op.name(s.x2_scale));
  op.Require(!sums || !op.has(s.x1_scale), "%s is given and out is INT32", op.name(s.x1_scale));
  if (op.ok() && op.has(s.x2_scale))
    op.Require(op.at(s.x2_scale).elements() == n_size || op.at(s.x2_scale).elements() == 1,
               "%s is %s; it must be [%d]", op.name(s.x2_scale), op.at(s.x2_scale).ShapeString(), n_size);
  if (op.ok() && op.has(s.x1_scale))
    op.Require(op.at(s.x1_scale).elements() == m_size, "%s is %s; it must be [%d]", op.name(s.x1_scale),
               op.at(s.x1_scale).ShapeString(), m_size);
  if (op.ok() && op.has(s.bias)) {
    op.Require(op.at(s.bias).elements() == n_size, "bias is %s; it must be [%d]", op.at(s.bias).ShapeString(),
               n_size);
    op.Require(!sums || op.at(s.bias).dtype == ACL_INT32, "bias is %s and out is INT32",
               NameOf(op.at(s.bias).dtype));
  }
  return op.Finish([=](const Args& args) {
    const View& to = args[s.out];
    const View a = Turned(args[s.x1], s.transpose1), b = Turned(args[s.x2], s.transpose2);
    IntegerScales scales;
    std::vector<float> rows, columns, bias;
    std::vector<int32_t> whole;
    if (args.has(s.x1_scale)) scales.a_scale = (rows = Repeated(args[s.x1_scale], to.size(-2))).data();
    if (to.dtype != ACL_INT32) scales.b_scale = (columns = Repeated(args[s.x2_scale], to.size(-1))).data();
    if (args.has(s.bias) && args[s.bias].dtype == ACL_INT32) {
      for (int64_t v : Integers(args[s.bias])) whole.push_back(static_cast<int32_t>(v));
      scales.integer_bias = whole.data();
    } else if (args.has(s.bias)) {
      scales.bias = (bias = Repeated(args[s.bias], to.size(-1))).data();
    }
    for (int64_t i = 0; i < to.elements(0, to.rank - 2); ++i)
      IntegerProduct(MatrixOf(a, to, i), MatrixOf(b, to, i), MatrixOf(to, to, i), scales);
  });
}

aclnnStatus Blocks8(Operator& op, const Slots& s, int64_t group_size) {
  op.NeedsFp8("an FP8 product");
  CheckShapes(op, s);
  op.DType(s.x2, {ACL_FLOAT8_E4M3FN})
      .DType(s.out, kFloats)
      .DType(s.x1_scale, {ACL_FLOAT})
      .DType(s.x2_scale, {ACL_FLOAT});
  op.DType(s.bias, {ACL_FLOAT});
  if (!op.ok()) return op.Finish({});
  op.Require(op.has(s.x1_scale) && op.has(s.x2_scale), "the scales of FP8 operands are null");
  if (!op.ok()) return op.Finish({});
  const View& out = op.at(s.out);
  const View a = Turned(op.at(s.x1), s.transpose1);
  const int64_t m_size = out.size(-2), n_size = out.size(-1), k_size = a.size(-1);
  op.Rank(s.x1_scale, 2, 6).Rank(s.x2_scale, 2, 6);
  if (!op.ok()) return op.Finish({});
  const View as = Turned(op.at(s.x1_scale), s.transpose1), bs = Turned(op.at(s.x2_scale), s.transpose2);
  const int64_t group_m = group_size >> 32, group_n = group_size >> 16 & 0xffff,
                group_k = group_size & 0xffff;
  op.Require(group_size == 0 || ((group_m == 0 || group_m == 1 || group_m == kBlock) &&
                                 (group_n == 0 || group_n == kBlock) && (group_k == 0 || group_k == kBlock)),
             "groupSize means blocks of %d x %d x %d (M, N, K); 1 or 128 x 128 x 128 are served", group_m,
             group_n, group_k);
  const bool rows = as.size(-2) == m_size && group_m != kBlock;
  op.Require((rows || as.size(-2) == Blocks(m_size)) && as.size(-1) == Blocks(k_size),
             "x1Scale is %s, where x1 is %s", op.at(s.x1_scale).ShapeString(), op.at(s.x1).ShapeString());
  op.Require(bs.size(-2) == Blocks(k_size) && bs.size(-1) == Blocks(n_size), "x2Scale is %s, where x2 is %s",
             op.at(s.x2_scale).ShapeString(), op.at(s.x2).ShapeString());
  if (op.has(s.bias))
    op.Require(op.at(s.bias).elements() == n_size, "bias is %s", op.at(s.bias).ShapeString());
  return op.Finish([=](const Args& args) {
    const View& to = args[s.out];
    const View x = Turned(args[s.x1], s.transpose1), w = Turned(args[s.x2], s.transpose2);
    const View x_scale = Turned(args[s.x1_scale], s.transpose1),
               w_scale = Turned(args[s.x2_scale], s.transpose2);
    std::vector<float> bias;
    if (args.has(s.bias)) bias = Repeated(args[s.bias], n_size);
    for (int64_t i = 0; i < to.elements(0, to.rank - 2); ++i) {
      View scale = MatrixOf(x_scale, to, i);
      Buffer spread;
      if (!rows) {  // a scale for each row, repeated
        spread = Buffer(ACL_FLOAT, {m_size, scale.size(1)});
        for (int64_t m = 0; m < m_size; ++m)
          CopyBits(spread.view().Select(0, m), scale.Select(0, m / kBlock));
        scale = spread;
      }
      BlockProduct(MatrixOf(x, to, i), MatrixOf(w, to, i), scale, MatrixOf(w_scale, to, i),
                   MatrixOf(to, to, i), bias.empty() ? nullptr : bias.data());
    }
  });
}

aclnnStatus Version5(const char* name, bool fractal, const aclTensor* x1, const aclTensor* x2,
                     const aclTensor* x1Scale, const aclTensor* x2Scale, const aclTensor* yScale,
                     const aclTensor* x1Offset, const aclTensor* x2Offset, const aclTensor* yOffset,
                     const aclTensor* bias, bool transposeX1, bool transposeX2, int64_t groupSize,
                     const aclTensor* out, uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op(name, workspaceSize, executor);
  Slots s{};
  s.x1 = op.In("x1", x1);
  s.x2 = op.In("x2", x2);
  s.x1_scale = op.MaybeIn("x1Scale", x1Scale);
  s.x2_scale = op.MaybeIn("x2Scale", x2Scale);
  for (const auto& [what, tensor] :
       {std::pair("yScale", yScale), {"x1Offset", x1Offset}, {"x2Offset", x2Offset}, {"yOffset", yOffset}})
    op.Null(op.MaybeIn(what, tensor));
  s.bias = op.MaybeIn("bias", bias);
  s.out = op.Out("out", out);
  s.transpose1 = transposeX1;
  s.transpose2 = transposeX2;
  op.DType(s.x1, {ACL_INT8, ACL_FLOAT8_E4M3FN});
  if (op.ok() && fractal) op.Require(op.at(s.x2).format == ACL_FORMAT_FRACTAL_NZ, "x2 is not FRACTAL_NZ");
  if (!op.ok()) return op.Finish({});
  return op.at(s.x1).dtype == ACL_INT8 ? Integers8(op, s) : Blocks8(op, s, groupSize);
}

}  // namespace

aclnnStatus aclnnQuantMatmulV4GetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                               const aclTensor* scale, const aclTensor* offset,
                                               const aclTensor* pertokenScaleOptional, const aclTensor* bias,
                                               bool transposeX1, bool transposeX2, const aclTensor* out,
                                               uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnQuantMatmulV4", workspaceSize, executor);
  Slots s{};
  s.x1 = op.In("x1", x1);
  s.x2 = op.In("x2", x2);
  s.x2_scale = op.MaybeIn("scale", scale);
  op.Null(op.MaybeIn("offset", offset));
  s.x1_scale = op.MaybeIn("pertokenScaleOptional", pertokenScaleOptional);
  s.bias = op.MaybeIn("bias", bias);
  s.out = op.Out("out", out);
  s.transpose1 = transposeX1;
  s.transpose2 = transposeX2;
  op.DType(s.x1, {ACL_INT8});
  return Integers8(op, s);
}
QIAO_ACLNN_LAUNCH(QuantMatmulV4)

aclnnStatus aclnnQuantMatmulV5GetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                               const aclTensor* x1Scale, const aclTensor* x2Scale,
                                               const aclTensor* yScale, const aclTensor* x1Offset,
                                               const aclTensor* x2Offset, const aclTensor* yOffset,
                                               const aclTensor* bias, bool transposeX1, bool transposeX2,
                                               int64_t groupSize, const aclTensor* out,
                                               uint64_t* workspaceSize, aclOpExecutor** executor) {
  return Version5("aclnnQuantMatmulV5", false, x1, x2, x1Scale, x2Scale, yScale, x1Offset, x2Offset, yOffset,
                  bias, transposeX1, transposeX2, groupSize, out, workspaceSize, executor);
}
QIAO_ACLNN_LAUNCH(QuantMatmulV5)

aclnnStatus aclnnQuantMatmulWeightNzGetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* x1Scale, const aclTensor* x2Scale,
    const aclTensor* yScale, const aclTensor* x1Offset, const aclTensor* x2Offset, const aclTensor* yOffset,
    const aclTensor* bias, bool transposeX1, bool transposeX2, int64_t groupSize, const aclTensor* out,
    uint64_t* workspaceSize, aclOpExecutor** executor) {
  return Version5("aclnnQuantMatmulWeightNz", true, x1, x2, x1Scale, x2Scale, yScale, x1Offset, x2Offset,
                  yOffset, bias, transposeX1, transposeX2, groupSize, out, workspaceSize, executor);
}
QIAO_ACLNN_LAUNCH(QuantMatmulWeightNz)
