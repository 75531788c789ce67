// Functions of one tensor, and comparisons: more rows of the elementwise table.
#include <aclnnop/aclnn_elu.h>
#include <aclnnop/aclnn_eq_tensor.h>
#include <aclnnop/aclnn_exp.h>
#include <aclnnop/aclnn_gelu.h>
#include <aclnnop/aclnn_gelu_v2.h>
#include <aclnnop/aclnn_gt_scalar.h>
#include <aclnnop/aclnn_hardsigmoid.h>
#include <aclnnop/aclnn_hardswish.h>
#include <aclnnop/aclnn_leaky_relu.h>
#include <aclnnop/aclnn_log.h>
#include <aclnnop/aclnn_neg.h>
#include <aclnnop/aclnn_pow.h>
#include <aclnnop/aclnn_relu.h>
#include <aclnnop/aclnn_sigmoid.h>
#include <aclnnop/aclnn_sign.h>
#include <aclnnop/aclnn_silu.h>
#include <aclnnop/aclnn_softplus.h>
#include <aclnnop/aclnn_sqrt.h>
#include <aclnnop/aclnn_tanh.h>

#include <cmath>

#include "backends/ascend/emulator/ops/elementwise_rows.h"
#include "backends/ascend/emulator/ops/gelu.h"
#include "backends/ascend/emulator/ops/loops.h"

using qiao::cann::kFloats;

namespace {

template <typename T>
T Sigmoid(T v) {
  return T{1} / (T{1} + std::exp(-v));
}
template <typename T>
T HardSigmoid(T v) {
  const T y = v / T{6} + T{0.5};
  return y < T{0} ? T{0} : y > T{1} ? T{1} : y;
}

}  // namespace

// clang-format off
QIAO_UNARY(Exp, "self", true, std::exp(a))
QIAO_UNARY(Log, "self", true, std::log(a))
QIAO_UNARY(Sqrt, "self", true, std::sqrt(a))
QIAO_UNARY(Neg, "self", false, -a)
QIAO_UNARY(Sigmoid, "self", true, Sigmoid(a))
QIAO_UNARY(Tanh, "self", true, std::tanh(a))
QIAO_UNARY_FLOAT(Silu, "self", aclTensor*, a * Sigmoid(a))
QIAO_UNARY_FLOAT(Hardsigmoid, "self", aclTensor*, HardSigmoid(a))
QIAO_UNARY_FLOAT(Hardswish, "self", const aclTensor*, a * HardSigmoid(a))
QIAO_UNARY_FLOAT(Gelu, "self", aclTensor*, qiao::cann::Gelu(a))
QIAO_BINARY(EqTensor, false, a == b)
QIAO_SCALAR(GtScalar, false, a > s)
QIAO_FUNCTION(Relu, false, a < T{0} ? T{0} : a)
QIAO_FUNCTION(Sign, false, a > T{0} ? 1 : a < T{0} ? -1 : a)
QIAO_FUNCTION(GeluTanh, true, qiao::cann::GeluTanh(a))
QIAO_FUNCTION(Leaky, true, a > T{0} ? a : s * a)
QIAO_FUNCTION(SoftPlus, true, s * a > t ? a : std::log1p(std::exp(s * a)) / s)
QIAO_FUNCTION(PowerOf, true, std::pow(s, a))
// clang-format on

aclnnStatus aclnnReluGetWorkspaceSize(const aclTensor* self, const aclTensor* out, uint64_t* workspaceSize,
                                      aclOpExecutor** executor) {
  Operator op("aclnnRelu", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.SameDType(x, y).SameShape(x, y);
  return FinishElementwise(&op, kRelu, x, -1, y, {});
}
QIAO_ACLNN_LAUNCH(Relu)

aclnnStatus aclnnSignGetWorkspaceSize(const aclTensor* self, aclTensor* result, uint64_t* workspaceSize,
                                      aclOpExecutor** executor) {
  Operator op("aclnnSign", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("result", result);
  op.SameShape(x, y);
  return FinishElementwise(&op, kSign, x, -1, y, {});
}
QIAO_ACLNN_LAUNCH(Sign)

aclnnStatus aclnnGeluV2GetWorkspaceSize(const aclTensor* x, int64_t approximate, aclTensor* y,
                                        uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnGeluV2", workspaceSize, executor);
  const int in = op.In("x", x), out = op.Out("y", y);
  op.DType(in, kFloats).SameDType(in, out).SameShape(in, out);
  op.Require(approximate == 0 || approximate == 1, "approximate is %d; it must be 0 or 1", approximate);
  return FinishElementwise(&op, approximate ? kGeluTanh : kGelu, in, -1, out, {});
}
QIAO_ACLNN_LAUNCH(GeluV2)

aclnnStatus aclnnLeakyReluGetWorkspaceSize(const aclTensor* self, const aclScalar* negativeSlope,
                                           aclTensor* out, uint64_t* workspaceSize,
                                           aclOpExecutor** executor) {
  Operator op("aclnnLeakyRelu", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.Needs("negativeSlope", negativeSlope);
  op.DType(x, {ACL_FLOAT, ACL_FLOAT16, ACL_BF16, ACL_DOUBLE}).SameShape(x, y);
  return FinishElementwise(&op, kLeaky, x, -1, y, {negativeSlope});
}
QIAO_ACLNN_LAUNCH(LeakyRelu)

aclnnStatus aclnnSoftplusGetWorkspaceSize(const aclTensor* self, const aclScalar* beta,
                                          const aclScalar* threshold, aclTensor* out, uint64_t* workspaceSize,
                                          aclOpExecutor** executor) {
  Operator op("aclnnSoftplus", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.Needs("beta", beta);
  op.Needs("threshold", threshold);
  op.DType(x, kFloats).SameDType(x, y).SameShape(x, y);
  return FinishElementwise(&op, kSoftPlus, x, -1, y, {beta, threshold});
}
QIAO_ACLNN_LAUNCH(Softplus)

aclnnStatus aclnnPowScalarTensorGetWorkspaceSize(const aclScalar* self, const aclTensor* exponent,
                                                 const aclTensor* out, uint64_t* workspaceSize,
                                                 aclOpExecutor** executor) {
  Operator op("aclnnPowScalarTensor", workspaceSize, executor);
  op.Needs("self", self);
  const int x = op.In("exponent", exponent), y = op.Out("out", out);
  op.SameShape(x, y);
  return FinishElementwise(&op, kPowerOf, x, -1, y, {self});
}
QIAO_ACLNN_LAUNCH(PowScalarTensor)

aclnnStatus aclnnEluGetWorkspaceSize(const aclTensor* self, const aclScalar* alpha, const aclScalar* scale,
                                     const aclScalar* inputScale, aclTensor* out, uint64_t* workspaceSize,
                                     aclOpExecutor** executor) {
  Operator op("aclnnElu", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  if (!op.Needs("alpha", alpha) || !op.Needs("scale", scale) || !op.Needs("inputScale", inputScale))
    return op.Finish({});
  op.DType(x, kFloats).SameDType(x, y).SameShape(x, y);
  const auto a = static_cast<float>(alpha->ToDouble()), s = static_cast<float>(scale->ToDouble()),
             i = static_cast<float>(inputScale->ToDouble());
  return op.Finish([=](const qiao::cann::Args& args) {
    qiao::cann::MapRows<float, 1>(args[y], {args[x]}, [=](const auto& in, int64_t n, float* to) {
      for (size_t k = 0; k < static_cast<size_t>(n); ++k) {
        const float v = in[0][k];
        to[k] = v > 0 ? s * v : s * (a * std::expm1(v * i));
      }
    });
  });
}
QIAO_ACLNN_LAUNCH(Elu)
