#include "tests/backends/ascend/golden_operators.h"

#include <aclnnop/aclnn_abs.h>
#include <aclnnop/aclnn_add.h>
#include <aclnnop/aclnn_add_rms_norm.h>
#include <aclnnop/aclnn_amax.h>
#include <aclnnop/aclnn_argmax.h>
#include <aclnnop/aclnn_batch_matmul.h>
#include <aclnnop/aclnn_cast.h>
#include <aclnnop/aclnn_clamp.h>
#include <aclnnop/aclnn_copy.h>
#include <aclnnop/aclnn_cos.h>
#include <aclnnop/aclnn_div.h>
#include <aclnnop/aclnn_dynamic_block_quant.h>
#include <aclnnop/aclnn_dynamic_quant.h>
#include <aclnnop/aclnn_embedding.h>
#include <aclnnop/aclnn_fill_scalar.h>
#include <aclnnop/aclnn_fused_infer_attention_score_v3.h>
#include <aclnnop/aclnn_fused_infer_attention_score_v4.h>
#include <aclnnop/aclnn_fused_infer_attention_score_v5.h>
#include <aclnnop/aclnn_gather_v2.h>
#include <aclnnop/aclnn_grouped_matmul_v4.h>
#include <aclnnop/aclnn_grouped_matmul_v5.h>
#include <aclnnop/aclnn_grouped_matmul_weight_nz.h>
#include <aclnnop/aclnn_index_select.h>
#include <aclnnop/aclnn_masked_fill_scalar.h>
#include <aclnnop/aclnn_matmul.h>
#include <aclnnop/aclnn_mm.h>
#include <aclnnop/aclnn_moe_finalize_routing_v2.h>
#include <aclnnop/aclnn_moe_gating_top_k.h>
#include <aclnnop/aclnn_moe_init_routing_v2.h>
#include <aclnnop/aclnn_moe_init_routing_v3.h>
#include <aclnnop/aclnn_mul.h>
#include <aclnnop/aclnn_nan_to_num.h>
#include <aclnnop/aclnn_ne_tensor.h>
#include <aclnnop/aclnn_npu_format_cast.h>
#include <aclnnop/aclnn_permute.h>
#include <aclnnop/aclnn_quant_matmul_v4.h>
#include <aclnnop/aclnn_quant_matmul_v5.h>
#include <aclnnop/aclnn_quant_matmul_weight_nz.h>
#include <aclnnop/aclnn_rms_norm.h>
#include <aclnnop/aclnn_rotary_position_embedding.h>
#include <aclnnop/aclnn_scatter_pa_kv_cache.h>
#include <aclnnop/aclnn_sin.h>
#include <aclnnop/aclnn_softmax.h>
#include <aclnnop/aclnn_sub.h>
#include <aclnnop/aclnn_swi_glu.h>
#include <aclnnop/aclnn_trans_matmul_weight.h>
#include <aclnnop/aclnn_tril.h>
#include <aclnnop/aclnn_triu.h>
#include <aclnnop/aclnn_zero.h>

#include "gtest/gtest.h"

namespace qiao::ascend_test {
namespace {

using Status = aclnnStatus;
using Bytes = uint64_t*;
using Executor = aclOpExecutor**;

constexpr int64_t kAllTokens = 2147483647;

// Also asks what the destination looks like, which the case knows.
Status FormatCast(Operands& o, Bytes w, Executor e) {
  aclTensor* source = o.Tensor("src");
  int64_t* dims = nullptr;
  uint64_t rank = 0;
  int format = -1;
  const int wanted = static_cast<int>(o.Integer("dstFormat"));
  const Status status = aclnnNpuFormatCastCalculateSizeAndFormat(source, wanted, -1, &dims, &rank, &format);
  if (status != ACL_SUCCESS) return status;
  EXPECT_EQ(std::vector<int64_t>(dims, dims + rank),
            o.golden().attributes.at("dstShape").get<std::vector<int64_t>>())
      << o.golden().name;
  EXPECT_EQ(format, wanted) << o.golden().name;
  delete[] dims;
  return aclnnNpuFormatCastGetWorkspaceSize(source, o.Tensor("dst"), w, e);
}

Status TransWeight(Operands& o, Bytes w, Executor e) {
  uint64_t elements = 0;
  const GoldenTensor* weight = o.golden().Find("weight");
  const aclDataType dtype = weight->element == Element::kI8    ? ACL_INT8
                            : weight->element == Element::kF32 ? ACL_FLOAT
                            : weight->element == Element::kF16 ? ACL_FLOAT16
                                                               : ACL_BF16;
  EXPECT_EQ(aclnnCalculateMatmulWeightSizeV2(o.Ints("shape"), dtype, &elements), ACL_SUCCESS)
      << RecentError();
  EXPECT_EQ(static_cast<int64_t>(elements), o.Integer("elements")) << o.golden().name;
  return aclnnTransMatmulWeightGetWorkspaceSize(o.Tensor("weight"), w, e);
}

Status Gate(Operands& o, Bytes w, Executor e) {
  return aclnnMoeGatingTopKGetWorkspaceSize(
      o.Tensor("x"), o.Optional("bias"), o.Integer("k"), o.Integer("kGroup"), o.Integer("groupCount"),
      o.Integer("groupSelectMode"), o.Integer("renorm"), o.Integer("normType"), o.Flag("outFlag"),
      o.Real("routedScalingFactor"), o.Real("eps"), o.Tensor("y"), o.Tensor("expertIdx"), o.Tensor("out"), w,
      e);
}

Status RouteV2(Operands& o, Bytes w, Executor e) {
  return aclnnMoeInitRoutingV2GetWorkspaceSize(
      o.Tensor("x"), o.Tensor("expertIdx"), o.Integer("activeNum"), o.Integer("expertCapacity"),
      o.Integer("expertNum"), o.Integer("dropPadMode"), o.Integer("expertTokensCountOrCumsumFlag"),
      o.Flag("expertTokensBeforeCapacityFlag"), o.Tensor("expandedX"), o.Tensor("expandedRowIdx"),
      o.Tensor("expertTokens"), nullptr, w, e);
}

Status RouteV3(Operands& o, Bytes w, Executor e) {
  return aclnnMoeInitRoutingV3GetWorkspaceSize(
      o.Tensor("x"), o.Tensor("expertIdx"), o.Optional("scale"), nullptr, o.Integer("activeNum"),
      o.Integer("expertCapacity"), o.Integer("expertNum"), o.Integer("dropPadMode"),
      o.Integer("expertTokensNumType"), o.Flag("expertTokensNumFlag"), o.Integer("quantMode"),
      o.Ints("activeExpertRange"), o.Integer("rowIdxType"), o.Tensor("expandedX"), o.Tensor("expandedRowIdx"),
      o.Tensor("expertTokens"), o.Tensor("expandedScale"), w, e);
}

Status Finalize(Operands& o, Bytes w, Executor e) {
  return aclnnMoeFinalizeRoutingV2GetWorkspaceSize(o.Tensor("expandedX"), o.Tensor("expandedRowIdx"),
                                                   o.Optional("x1"), o.Optional("x2"), o.Optional("bias"),
                                                   o.Optional("scales"), o.Optional("expertIdx"),
                                                   o.Integer("dropPadMode"), o.Tensor("out"), w, e);
}

Status QuantV4(Operands& o, Bytes w, Executor e) {
  return aclnnQuantMatmulV4GetWorkspaceSize(
      o.Tensor("x1"), o.Tensor("x2"), o.Tensor("scale"), nullptr, o.Optional("pertokenScale"),
      o.Optional("bias"), o.Flag("transposeX1"), o.Flag("transposeX2"), o.Tensor("out"), w, e);
}

Status QuantNz(Operands& o, Bytes w, Executor e) {
  // op-plugin passes tensors of no elements for the offsets that int8 does not have.
  aclTensor* none = o.golden().attributes.contains("emptyOffsets") ? o.Empty() : nullptr;
  return aclnnQuantMatmulWeightNzGetWorkspaceSize(
      o.Tensor("x1"), o.Tensor("x2"), o.Optional("pertokenScale"), o.Tensor("scale"), nullptr, none, nullptr,
      none, o.Optional("bias"), o.Flag("transposeX1"), o.Flag("transposeX2"), 0, o.Tensor("out"), w, e);
}

Status QuantV5(Operands& o, Bytes w, Executor e) {
  // The INT8 form is QuantMatmulV4's with other names.
  const bool blocks = o.golden().attributes.contains("groupSize");
  return aclnnQuantMatmulV5GetWorkspaceSize(
      o.Tensor("x1"), o.Tensor("x2"), o.Optional(blocks ? "x1Scale" : "pertokenScale"),
      o.Tensor(blocks ? "x2Scale" : "scale"), nullptr, nullptr, nullptr, nullptr, o.Optional("bias"),
      o.Flag("transposeX1"), o.Flag("transposeX2"), blocks ? o.Integer("groupSize") : 0, o.Tensor("out"), w,
      e);
}

Status GroupedV4(Operands& o, Bytes w, Executor e) {
  return aclnnGroupedMatmulV4GetWorkspaceSize(
      o.List("x"), o.List("weight"), o.List("bias"), o.List("scale"), nullptr, nullptr, nullptr,
      o.List("perTokenScale"), o.Tensor("groupList"), nullptr, nullptr, nullptr, o.Integer("splitItem"),
      o.Integer("groupType"), o.Integer("groupListType"), o.Integer("actType"), o.List("out"), nullptr,
      nullptr, w, e);
}

Status GroupedV5(Operands& o, Bytes w, Executor e) {
  return aclnnGroupedMatmulV5GetWorkspaceSize(
      o.List("x"), o.List("weight"), o.List("bias"), o.List("scale"), nullptr, nullptr, nullptr,
      o.List("perTokenScale"), o.Tensor("groupList"), nullptr, nullptr, nullptr, o.Integer("splitItem"),
      o.Integer("groupType"), o.Integer("groupListType"), o.Integer("actType"), nullptr, o.List("out"),
      nullptr, nullptr, w, e);
}

Status GroupedNz(Operands& o, Bytes w, Executor e) {
  return aclnnGroupedMatmulWeightNzGetWorkspaceSize(
      o.List("x"), o.List("weight"), o.List("bias"), o.List("scale"), nullptr, nullptr, nullptr,
      o.List("perTokenScale"), o.Tensor("groupList"), nullptr, nullptr, nullptr, o.Integer("splitItem"),
      o.Integer("groupType"), o.Integer("groupListType"), o.Integer("actType"), nullptr, 0, o.List("out"),
      nullptr, nullptr, w, e);
}

Status BlockQuant(Operands& o, Bytes w, Executor e) {
  return aclnnDynamicBlockQuantGetWorkspaceSize(
      o.Tensor("x"), o.Real("minScale"), o.Text("roundMode"), o.Integer("dstType"), o.Integer("rowBlockSize"),
      o.Integer("colBlockSize"), o.Tensor("y"), o.Tensor("scale"), w, e);
}

Status Scatter(Operands& o, Bytes w, Executor e) {
  const bool extras = !o.golden().attributes.at("strides").empty();
  return aclnnScatterPaKvCacheGetWorkspaceSize(
      o.Tensor("key"), o.Tensor("keyCache"), o.Tensor("slotMapping"), o.Tensor("value"),
      o.Tensor("valueCache"), nullptr, nullptr, nullptr, o.Text("cacheMode"), o.Text("scatterMode"),
      extras ? o.Ints("strides") : nullptr, extras ? o.Ints("offsets") : nullptr, w, e);
}

Status AttentionV3(Operands& o, Bytes w, Executor e) {
  return aclnnFusedInferAttentionScoreV3GetWorkspaceSize(
      o.Tensor("query"), o.ListOf("key"), o.ListOf("key"), nullptr, o.Optional("attenMask"),
      o.Ints("actualSeqLengths"), o.Ints("actualSeqLengthsKv"), nullptr, nullptr, nullptr, nullptr, nullptr,
      nullptr, nullptr, o.Tensor("blockTable"), nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
      nullptr, nullptr, o.Tensor("queryRope"), o.Tensor("keyRope"), nullptr, o.Integer("numHeads"),
      o.Real("scaleValue"), kAllTokens, kAllTokens, o.Text("inputLayout"), o.Integer("numKeyValueHeads"),
      o.Integer("sparseMode"), 0, o.Integer("blockSize"), 0, o.Flag("softmaxLseFlag"), 0, 0,
      o.Tensor("attentionOut"), o.Optional("softmaxLse"), w, e);
}

Status AttentionV4(Operands& o, Bytes w, Executor e) {
  return aclnnFusedInferAttentionScoreV4GetWorkspaceSize(
      o.Tensor("query"), o.ListOf("key"), o.ListOf("key"), nullptr, o.Optional("attenMask"),
      o.Ints("actualSeqLengths"), o.Ints("actualSeqLengthsKv"), nullptr, nullptr, nullptr, nullptr, nullptr,
      nullptr, nullptr, o.Tensor("blockTable"), nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
      nullptr, nullptr, o.Tensor("queryRope"), o.Tensor("keyRope"), nullptr, nullptr, nullptr,
      o.Integer("numHeads"), o.Real("scaleValue"), kAllTokens, kAllTokens, o.Text("inputLayout"),
      o.Integer("numKeyValueHeads"), o.Integer("sparseMode"), 0, o.Integer("blockSize"), 0,
      o.Flag("softmaxLseFlag"), 0, 0, 0, o.Tensor("attentionOut"), o.Optional("softmaxLse"), w, e);
}

Status AttentionV5(Operands& o, Bytes w, Executor e) {
  return aclnnFusedInferAttentionScoreV5GetWorkspaceSize(
      o.Tensor("query"), o.ListOf("key"), o.ListOf("key"), nullptr, o.Optional("attenMask"),
      o.Ints("actualSeqLengths"), o.Ints("actualSeqLengthsKv"), nullptr, nullptr, nullptr, nullptr, nullptr,
      nullptr, nullptr, o.Tensor("blockTable"), nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
      nullptr, nullptr, o.Tensor("queryRope"), o.Tensor("keyRope"), nullptr, nullptr, nullptr, nullptr,
      nullptr, o.Integer("numHeads"), o.Real("scaleValue"), kAllTokens, kAllTokens, o.Text("inputLayout"),
      o.Integer("numKeyValueHeads"), o.Integer("sparseMode"), 0, o.Integer("blockSize"), 0,
      o.Flag("softmaxLseFlag"), 0, 0, 0, 0, o.Tensor("attentionOut"), o.Optional("softmaxLse"), w, e);
}

const std::map<std::string, GoldenOperator>& Operators() {
  static const auto* const operators = new std::map<std::string, GoldenOperator>{
      QIAO_CALL(Add, o.Tensor("self"), o.Tensor("other"), o.Number("alpha"), o.Tensor("out")),
      QIAO_CALL(Sub, o.Tensor("self"), o.Tensor("other"), o.Number("alpha"), o.Tensor("out")),
      QIAO_CALL(Mul, o.Tensor("self"), o.Tensor("other"), o.Tensor("out")),
      QIAO_CALL(Div, o.Tensor("self"), o.Tensor("other"), o.Tensor("out")),
      QIAO_CALL(Adds, o.Tensor("self"), o.Number("other"), o.Number("alpha"), o.Tensor("out")),
      QIAO_CALL(Muls, o.Tensor("self"), o.Number("other"), o.Tensor("out")),
      QIAO_CALL(Divs, o.Tensor("self"), o.Number("other"), o.Tensor("out")),
      QIAO_CALL(Abs, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(Cos, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(Sin, o.Tensor("self"), o.Tensor("out")),
      QIAO_CALL(Cast, o.Tensor("self"), NamedType(o.golden()), o.Tensor("out")),
      QIAO_CALL(InplaceCopy, o.Tensor("selfRef"), o.Tensor("src")),
      QIAO_CALL(InplaceFillScalar, o.Tensor("selfRef"), o.Number("value")),
      QIAO_CALL(InplaceZero, o.Tensor("selfRef")),
      QIAO_CALL(InplaceMaskedFillScalar, o.Tensor("selfRef"), o.Tensor("mask"), o.Number("value")),
      QIAO_CALL(Triu, o.Tensor("self"), o.Integer("diagonal"), o.Tensor("out")),
      QIAO_CALL(Tril, o.Tensor("self"), o.Integer("diagonal"), o.Tensor("out")),
      QIAO_CALL(Clamp, o.Tensor("self"), o.Number("min"), o.Number("max"), o.Tensor("out")),
      QIAO_CALL(NeTensor, o.Tensor("self"), o.Tensor("other"), o.Tensor("out")),
      QIAO_CALL(NanToNum, o.Tensor("self"), static_cast<float>(o.Real("nan")),
                static_cast<float>(o.Real("posinf")), static_cast<float>(o.Real("neginf")), o.Tensor("out")),
      QIAO_CALL(ArgMax, o.Tensor("self"), o.Integer("dim"), o.Flag("keepdim"), o.Tensor("out")),
      QIAO_CALL(Amax, o.Tensor("self"), o.Ints("dim"), o.Flag("keepDim"), o.Tensor("out")),
      QIAO_CALL(Embedding, o.Tensor("weight"), o.Tensor("indices"), o.Tensor("out")),
      QIAO_CALL(IndexSelect, o.Tensor("self"), o.Integer("dim"), o.Tensor("index"), o.Tensor("out")),
      QIAO_CALL(GatherV2, o.Tensor("self"), o.Integer("dim"), o.Tensor("index"), o.Tensor("out")),
      QIAO_CALL(Permute, o.Tensor("self"), o.Ints("dims"), o.Tensor("out")),
      QIAO_CALL(Softmax, o.Tensor("self"), o.Integer("dim"), o.Tensor("out")),
      QIAO_CALL(Matmul, o.Tensor("self"), o.Tensor("mat2"), o.Tensor("out"),
                static_cast<int8_t>(o.Integer("cubeMathType"))),
      QIAO_CALL(MatmulWeightNz, o.Tensor("self"), o.Tensor("mat2"), o.Tensor("out"),
                static_cast<int8_t>(o.Integer("cubeMathType"))),
      QIAO_CALL(Mm, o.Tensor("self"), o.Tensor("mat2"), o.Tensor("out"),
                static_cast<int8_t>(o.Integer("cubeMathType"))),
      QIAO_CALL(BatchMatMul, o.Tensor("self"), o.Tensor("mat2"), o.Tensor("out"),
                static_cast<int8_t>(o.Integer("cubeMathType"))),
      QIAO_CALL(BatchMatMulWeightNz, o.Tensor("self"), o.Tensor("mat2"), o.Tensor("out"),
                static_cast<int8_t>(o.Integer("cubeMathType"))),
      QIAO_CALL(RmsNorm, o.Tensor("x"), o.Tensor("gamma"), o.Real("epsilon"), o.Tensor("y"),
                o.Tensor("rstd")),
      QIAO_CALL(AddRmsNorm, o.Tensor("x1"), o.Tensor("x2"), o.Tensor("gamma"), o.Real("epsilon"),
                o.Tensor("y"), o.Tensor("rstd"), o.Tensor("x")),
      QIAO_CALL(RotaryPositionEmbedding, o.Tensor("x"), o.Tensor("cos"), o.Tensor("sin"), o.Integer("mode"),
                o.Tensor("y")),
      QIAO_CALL(SwiGlu, o.Tensor("x"), o.Integer("dim"), o.Tensor("out")),
      QIAO_CALL(DynamicQuant, o.Tensor("x"), o.Optional("smoothScales"), o.Tensor("y"), o.Tensor("scale")),
      QIAO_CALLED_BY(NpuFormatCast, FormatCast),
      QIAO_CALLED_BY(TransMatmulWeight, TransWeight),
      QIAO_CALLED_BY(MoeGatingTopK, Gate),
      QIAO_CALLED_BY(MoeInitRoutingV2, RouteV2),
      QIAO_CALLED_BY(MoeInitRoutingV3, RouteV3),
      QIAO_CALLED_BY(MoeFinalizeRoutingV2, Finalize),
      QIAO_CALLED_BY(QuantMatmulV4, QuantV4),
      QIAO_CALLED_BY(QuantMatmulWeightNz, QuantNz),
      QIAO_CALLED_BY(QuantMatmulV5, QuantV5),
      QIAO_CALLED_BY(GroupedMatmulV4, GroupedV4),
      QIAO_CALLED_BY(GroupedMatmulV5, GroupedV5),
      QIAO_CALLED_BY(GroupedMatmulWeightNz, GroupedNz),
      QIAO_CALLED_BY(DynamicBlockQuant, BlockQuant),
      QIAO_CALLED_BY(ScatterPaKvCache, Scatter),
      QIAO_CALLED_BY(FusedInferAttentionScoreV3, AttentionV3),
      QIAO_CALLED_BY(FusedInferAttentionScoreV4, AttentionV4),
      QIAO_CALLED_BY(FusedInferAttentionScoreV5, AttentionV5),
  };
  return *operators;
}

}  // namespace

aclDataType NamedType(const GoldenCase& golden) {
  static const std::map<std::string, aclDataType> types = {
      {"f32", ACL_FLOAT}, {"f16", ACL_FLOAT16}, {"bf16", ACL_BF16}, {"i32", ACL_INT32},
      {"i64", ACL_INT64}, {"bool", ACL_BOOL},   {"i8", ACL_INT8}};
  return types.at(golden.attributes.at("dtype").get<std::string>());
}

const GoldenOperator* FindGoldenOperator(const std::string& op) {
  for (const auto* operators : {&Operators(), &ClientOperators()})
    if (const auto at = operators->find(op); at != operators->end()) return &at->second;
  return nullptr;
}

}  // namespace qiao::ascend_test
