// The operators of the golden family "client".
#include <aclnnop/aclnn_add.h>
#include <aclnnop/aclnn_arange.h>
#include <aclnnop/aclnn_argsort.h>
#include <aclnnop/aclnn_avgpool2d.h>
#include <aclnnop/aclnn_cat.h>
#include <aclnnop/aclnn_clamp.h>
#include <aclnnop/aclnn_constant_pad_nd.h>
#include <aclnnop/aclnn_convolution.h>
#include <aclnnop/aclnn_cos.h>
#include <aclnnop/aclnn_cumsum.h>
#include <aclnnop/aclnn_div.h>
#include <aclnnop/aclnn_elu.h>
#include <aclnnop/aclnn_eq_tensor.h>
#include <aclnnop/aclnn_exp.h>
#include <aclnnop/aclnn_fused_infer_attention_score_v2.h>
#include <aclnnop/aclnn_geglu.h>
#include <aclnnop/aclnn_gelu.h>
#include <aclnnop/aclnn_gelu_v2.h>
#include <aclnnop/aclnn_group_norm.h>
#include <aclnnop/aclnn_gt_scalar.h>
#include <aclnnop/aclnn_hardsigmoid.h>
#include <aclnnop/aclnn_hardswish.h>
#include <aclnnop/aclnn_im2col.h>
#include <aclnnop/aclnn_index_copy.h>
#include <aclnnop/aclnn_index_fill_tensor.h>
#include <aclnnop/aclnn_layer_norm.h>
#include <aclnnop/aclnn_leaky_relu.h>
#include <aclnnop/aclnn_log.h>
#include <aclnnop/aclnn_max_pool.h>
#include <aclnnop/aclnn_mean.h>
#include <aclnnop/aclnn_mul.h>
#include <aclnnop/aclnn_mv.h>
#include <aclnnop/aclnn_neg.h>
#include <aclnnop/aclnn_norm.h>
#include <aclnnop/aclnn_pow.h>
#include <aclnnop/aclnn_pow_tensor_tensor.h>
#include <aclnnop/aclnn_reduce_sum.h>
#include <aclnnop/aclnn_reflection_pad1d.h>
#include <aclnnop/aclnn_relu.h>
#include <aclnnop/aclnn_repeat.h>
#include <aclnnop/aclnn_repeat_interleave.h>
#include <aclnnop/aclnn_roll.h>
#include <aclnnop/aclnn_sigmoid.h>
#include <aclnnop/aclnn_sign.h>
#include <aclnnop/aclnn_silu.h>
#include <aclnnop/aclnn_sin.h>
#include <aclnnop/aclnn_slice.h>
#include <aclnnop/aclnn_softmax_cross_entropy_with_logits.h>
#include <aclnnop/aclnn_softplus.h>
#include <aclnnop/aclnn_sqrt.h>
#include <aclnnop/aclnn_sub.h>
#include <aclnnop/aclnn_tanh.h>
#include <aclnnop/aclnn_threshold.h>
#include <aclnnop/aclnn_triangular_solve.h>
#include <aclnnop/aclnn_triu.h>
#include <aclnnop/aclnn_upsample_nearest_2d.h>
#include <aclnnop/aclnn_weight_quant_batch_matmul_v2.h>

#include "tests/backends/ascend/golden_operators.h"

namespace qiao::ascend_test {
namespace {

aclnnStatus AttentionV2(Operands& o, uint64_t* bytes, aclOpExecutor** executor) {
  return aclnnFusedInferAttentionScoreV2GetWorkspaceSize(
      o.Tensor("query"), o.List("key"), o.List("value"), o.Optional("pseShift"), o.Optional("attenMask"),
      o.Ints("actualSeqLengths"), o.Ints("actualSeqLengthsKv"), nullptr, nullptr, nullptr, nullptr, nullptr,
      nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
      nullptr, o.Integer("numHeads"), o.Real("scaleValue"), o.Integer("preTokens"), o.Integer("nextTokens"),
      o.Text("inputLayout"), o.Integer("numKeyValueHeads"), o.Integer("sparseMode"), 0, 0, 0, false, 0, 0,
      o.Tensor("attentionOut"), nullptr, bytes, executor);
}

}  // namespace

const std::map<std::string, GoldenOperator>& ClientOperators() {
  static const auto* const operators = new std::map<std::string, GoldenOperator>{
      QIAO_CALL(Exp, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(Sqrt, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(Log, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(Neg, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(Sign, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(Relu, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(Sigmoid, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(Silu, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(Tanh, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(Hardsigmoid, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(Hardswish, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(Gelu, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(GeluV2, o.Tensor("self"), o.Integer("approximate"), o.Tensor("out")),
      QIAO_CALL(Elu, o.Tensor("self"), o.Number("alpha"), o.Number("scale"), o.Number("inputScale"),
                o.Tensor("out")),
      QIAO_CALL(LeakyRelu, o.Tensor("self"), o.Number("negativeSlope"), o.Tensor("out")),
      QIAO_CALL(Softplus, o.Tensor("self"), o.Number("beta"), o.Number("threshold"), o.Tensor("out")),
      QIAO_CALL(GtScalar, o.Tensor("self"), o.Number("other"), o.Tensor("out")),
      QIAO_CALL(EqTensor, o.Tensor("self"), o.Tensor("other"), o.Tensor("out")),
      QIAO_CALL(ClampMin, o.Tensor("self"), o.Number("min"), o.Tensor("out")),
      QIAO_CALL(PowScalarTensor, o.Number("base"), o.Tensor("exponent"), o.Tensor("out")),
      QIAO_CALL(GeGluV3, o.Tensor("self"), o.Integer("dim"), o.Integer("approximate"), o.Flag("activateLeft"),
                o.Tensor("out"), o.Tensor("outGelu")),
      QIAO_CALL(InplaceAdd, o.Tensor("selfRef"), o.Tensor("other"), o.Number("alpha")),
      QIAO_CALL(InplaceAdds, o.Tensor("selfRef"), o.Number("other"), o.Number("alpha")),
      QIAO_CALL(InplaceSub, o.Tensor("selfRef"), o.Tensor("other"), o.Number("alpha")),
      QIAO_CALL(InplaceSubs, o.Tensor("selfRef"), o.Number("other"), o.Number("alpha")),
      QIAO_CALL(InplaceMul, o.Tensor("selfRef"), o.Tensor("other")),
      QIAO_CALL(InplaceMuls, o.Tensor("selfRef"), o.Number("other")),
      QIAO_CALL(InplaceDiv, o.Tensor("selfRef"), o.Tensor("other")),
      QIAO_CALL(InplaceDivs, o.Tensor("selfRef"), o.Number("other")),
      QIAO_CALL(InplaceCos, o.Tensor("selfRef")),
      QIAO_CALL(InplaceSin, o.Tensor("selfRef")),
      QIAO_CALL(InplaceExp, o.Tensor("selfRef")),
      QIAO_CALL(InplaceClampMax, o.Tensor("selfRef"), o.Number("max")),
      QIAO_CALL(InplaceThreshold, o.Tensor("selfRef"), o.Number("threshold"), o.Number("value")),
      QIAO_CALL(InplaceTriu, o.Tensor("selfRef"), o.Integer("diagonal")),
      QIAO_CALL(InplacePowTensorTensor, o.Tensor("selfRef"), o.Tensor("exponent")),
      QIAO_CALL(InplaceIndexCopy, o.Tensor("selfRef"), o.Integer("dim"), o.Tensor("index"),
                o.Tensor("source")),
      QIAO_CALL(InplaceIndexFillTensor, o.Tensor("selfRef"), o.Integer("dim"), o.Ints("index"),
                o.Number("value")),
      QIAO_CALL(Cat, o.List("tensors"), o.Integer("dim"), o.Tensor("out")),
      QIAO_CALL(Slice, o.Tensor("self"), o.Integer("dim"), o.Integer("start"), o.Integer("end"),
                o.Integer("step"), o.Tensor("out")),
      QIAO_CALL(Repeat, o.Tensor("self"), o.Ints("repeats"), o.Tensor("out")),
      QIAO_CALL(RepeatInterleaveIntWithDim, o.Tensor("self"), o.Integer("repeats"), o.Integer("dim"),
                o.Integer("outputSize"), o.Tensor("out")),
      QIAO_CALL(Roll, o.Tensor("self"), o.Ints("shifts"), o.Ints("dims"), o.Tensor("out")),
      QIAO_CALL(ConstantPadNd, o.Tensor("self"), o.Ints("pad"), o.Number("value"), o.Tensor("out")),
      QIAO_CALL(ReflectionPad1d, o.Tensor("self"), o.Ints("padding"), o.Tensor("out")),
      QIAO_CALL(UpsampleNearest2d, o.Tensor("self"), o.Ints("outputSize"), o.Tensor("out")),
      QIAO_CALL(Arange, o.Number("start"), o.Number("end"), o.Number("step"), o.Tensor("out")),
      QIAO_CALL(ReduceSum, o.Tensor("self"), o.Ints("dims"), o.Flag("keepDims"), NamedType(o.golden()),
                o.Tensor("out")),
      QIAO_CALL(Mean, o.Tensor("self"), o.Ints("dims"), o.Flag("keepDims"), NamedType(o.golden()),
                o.Tensor("out")),
      QIAO_CALL(Norm, o.Tensor("self"), o.Number("p"), o.Ints("dims"), o.Flag("keepDims"), o.Tensor("out")),
      QIAO_CALL(Cumsum, o.Tensor("self"), o.Integer("dim"), NamedType(o.golden()), o.Tensor("out")),
      QIAO_CALL(Argsort, o.Tensor("self"), o.Integer("dim"), o.Flag("descending"), o.Tensor("out")),
      QIAO_CALL(SoftmaxCrossEntropyWithLogits, o.Tensor("features"), o.Tensor("labels"), o.Tensor("loss"),
                o.Tensor("backprop")),
      QIAO_CALL(LayerNorm, o.Tensor("input"), o.Ints("shape"), o.Optional("weight"), o.Optional("bias"),
                o.Real("eps"), o.Tensor("out"), o.Optional("mean"), o.Optional("rstd")),
      QIAO_CALL(GroupNorm, o.Tensor("self"), o.Optional("gamma"), o.Optional("beta"), o.Integer("N"),
                o.Integer("C"), o.Integer("HxW"), o.Integer("group"), o.Real("eps"), o.Tensor("out"),
                o.Tensor("mean"), o.Tensor("rstd")),
      QIAO_CALL(AvgPool2d, o.Tensor("self"), o.Ints("kernelSize"), o.Ints("strides"), o.Ints("paddings"),
                o.Flag("ceilMode"), o.Flag("countIncludePad"), o.Integer("divisorOverride"), int8_t{0},
                o.Tensor("out")),
      QIAO_CALL(MaxPool, o.Tensor("self"), o.Ints("kernelShape"), o.Ints("strides"), 0, o.Ints("pads"),
                o.Ints("dilations"), o.Integer("ceilMode"), o.Tensor("out")),
      QIAO_CALL(Convolution, o.Tensor("input"), o.Tensor("weight"), o.Optional("bias"), o.Ints("stride"),
                o.Ints("padding"), o.Ints("dilation"), o.Flag("transposed"), o.Ints("outputPadding"),
                o.Integer("groups"), o.Tensor("output"), static_cast<int8_t>(o.Integer("cubeMathType"))),
      QIAO_CALL(Im2col, o.Tensor("self"), o.Ints("kernelSize"), o.Ints("dilation"), o.Ints("padding"),
                o.Ints("stride"), o.Tensor("out")),
      QIAO_CALL(TriangularSolve, o.Tensor("self"), o.Tensor("A"), o.Flag("upper"), o.Flag("transpose"),
                o.Flag("unitriangular"), o.Tensor("x"), o.Tensor("m")),
      QIAO_CALL(Mv, o.Tensor("self"), o.Tensor("vec"), o.Tensor("out"),
                static_cast<int8_t>(o.Integer("cubeMathType"))),
      QIAO_CALL(WeightQuantBatchMatmulV2, o.Tensor("x"), o.Tensor("weight"), o.Tensor("scale"),
                o.Optional("offset"), nullptr, nullptr, o.Optional("bias"),
                static_cast<int>(o.Integer("group")), o.Tensor("y")),
      QIAO_CALLED_BY(FusedInferAttentionScoreV2, AttentionV2),
  };
  return *operators;
}

}  // namespace qiao::ascend_test
