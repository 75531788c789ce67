// Grouped products: rows sorted by group, each group with a matrix of its own.
#include <aclnnop/aclnn_grouped_matmul_v4.h>
#include <aclnnop/aclnn_grouped_matmul_v5.h>
#include <aclnnop/aclnn_grouped_matmul_weight_nz.h>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"
#include "backends/ascend/emulator/ops/product.h"

using namespace qiao::cann;

namespace {

// The API's arguments; those of V4 are the first.
struct Call {
  const aclTensorList *x, *weight, *bias, *scale, *offset, *antiquant_scale, *antiquant_offset,
      *per_token_scale;
  const aclTensor* group_list;
  const aclTensorList *activation_input, *activation_quant_scale, *activation_quant_offset;
  int64_t split_item, group_type, group_list_type, act_type;
  aclTensorList *out, *activation_feature_out, *dynamic_scale_out;
};

// What belongs to group g of a list: tensor g, or slice g of the only one.
View OfGroup(const std::vector<View>& list, int64_t g, int rank) {
  return list.size() == 1 && list[0].rank > rank ? list[0].Select(0, g) : list[static_cast<size_t>(g)];
}
int64_t Groups(const std::vector<View>& list, int rank) {
  return list.size() == 1 && list[0].rank > rank ? list[0].size(0) : static_cast<int64_t>(list.size());
}

struct Slots {
  int x, weight, bias, scale, per_token, group_list, out;
};

enum class Kind { kFloat, kInteger, kBlock };

// Lists that are one for each group, or one tensor with the groups as its first dimension.
void CheckGroups(Operator& op, int slot, int rank, int64_t groups) {
  op.Rank(slot, rank, rank + 1);
  if (!op.ok() || !op.has(slot)) return;
  op.Require(Groups(op.list(slot), rank) == groups, "%s is for %d groups, weight for %d", op.name(slot),
             Groups(op.list(slot), rank), groups);
}

Kind Check(Operator& op, const Slots& s, const Call& c) {
  op.Require(op.list(s.x).size() == 1 && op.list(s.out).size() == 1,
             "x has %d tensors and out %d; one each is served", op.list(s.x).size(), op.list(s.out).size());
  op.Require(c.split_item == 2 || c.split_item == 3, "splitItem is %d; 2 and 3 (one output) are served",
             c.split_item);
  op.Require(c.group_type == 0, "groupType is %d; 0 (along M) is served", c.group_type);
  op.Require(c.group_list_type == 0 || c.group_list_type == 1,
             "groupListType is %d; 0 (running ends) and 1 (counts) are served", c.group_list_type);
  op.Require(c.act_type == 0, "actType is %d; 0 (none) is served", c.act_type);
  op.DType(s.x, {ACL_FLOAT, ACL_FLOAT16, ACL_BF16, ACL_INT8, ACL_FLOAT8_E4M3FN})
      .Rank(s.x, 2, 2)
      .Rank(s.out, 2, 2)
      .Rank(s.weight, 2, 3);
  op.DType(s.group_list, {ACL_INT64}).Rank(s.group_list, 1, 1);
  op.Require(op.has(s.group_list), "groupListOptional is null, which is for as many x as weights");
  if (!op.ok()) return Kind::kFloat;

  const View &x = op.at(s.x), &out = op.at(s.out), &group_list = op.at(s.group_list);
  const int64_t groups = Groups(op.list(s.weight), 2);
  op.Require(group_list.size(0) == groups, "groupListOptional is %s, weight is for %d groups",
             group_list.ShapeString(), groups);
  for (const View& w : op.list(s.weight)) {
    op.Require(w.dtype == x.dtype, "x is %s and weight is %s", NameOf(x.dtype), NameOf(w.dtype));
    op.Require(w.size(-2) == x.size(1), "x is %s and weight is %s: K differs", x.ShapeString(),
               w.ShapeString());
    op.Require(w.size(-1) == out.size(1), "weight is %s and out is %s: N differs", w.ShapeString(),
               out.ShapeString());
  }
  op.Require(out.size(0) == x.size(0), "x is %s and out is %s: M differs", x.ShapeString(),
             out.ShapeString());
  CheckGroups(op, s.bias, 1, groups);
  const int64_t n_size = out.size(1), k_size = x.size(1);
  if (op.ok() && op.has(s.bias))
    op.Require(op.at(s.bias).size(-1) == n_size, "biasOptional is %s, N is %d", op.at(s.bias).ShapeString(),
               n_size);

  if (x.dtype == ACL_INT8) {
    op.DType(s.out, {ACL_FLOAT16, ACL_BF16, ACL_INT32})
        .DType(s.bias, {ACL_INT32})
        .DType(s.scale, {ACL_FLOAT, ACL_BF16});
    op.DType(s.per_token, {ACL_FLOAT});
    CheckGroups(op, s.scale, 1, groups);
    if (!op.ok()) return Kind::kInteger;
    op.Require(out.dtype == ACL_INT32 ? !op.has(s.scale) && !op.has(s.per_token) : op.has(s.scale),
               "scaleOptional is %s where out is %s", op.has(s.scale) ? "given" : "null", NameOf(out.dtype));
    if (op.ok() && op.has(s.scale))
      op.Require(op.at(s.scale).size(-1) == n_size, "scaleOptional is %s, N is %d",
                 op.at(s.scale).ShapeString(), n_size);
    if (op.ok() && op.has(s.per_token))
      op.Require(op.list(s.per_token).size() == 1 && op.at(s.per_token).elements() == x.size(0),
                 "perTokenScaleOptional is %s, M is %d", op.at(s.per_token).ShapeString(), x.size(0));
    return Kind::kInteger;
  }
  if (x.dtype == ACL_FLOAT8_E4M3FN) {
    op.DType(s.out, kFloats)
        .DType(s.bias, {ACL_FLOAT})
        .DType(s.scale, {ACL_FLOAT})
        .DType(s.per_token, {ACL_FLOAT});
    op.Require(op.has(s.scale) && op.has(s.per_token), "the scales of FP8 operands are null");
    CheckGroups(op, s.scale, 2, groups);
    if (!op.ok()) return Kind::kBlock;
    op.Require(op.at(s.scale).size(-2) == Blocks(k_size) && op.at(s.scale).size(-1) == Blocks(n_size),
               "scaleOptional is %s, K is %d and N is %d", op.at(s.scale).ShapeString(), k_size, n_size);
    op.Rank(s.per_token, 2, 2).Shape(s.per_token, {x.size(0), Blocks(k_size)});
    return Kind::kBlock;
  }
  op.DType(s.bias, kFloats).Null(s.scale, "is for quantised x").Null(s.per_token, "is for quantised x");
  op.Require(out.dtype == x.dtype, "x is %s and out is %s", NameOf(x.dtype), NameOf(out.dtype));
  return Kind::kFloat;
}

void Run(const Args& args, const Slots& s, Kind kind, bool counts) {
  const View &x = args[s.x], &out = args[s.out];
  int64_t begin = 0;
  const std::vector<int64_t> list = Integers(args[s.group_list]);
  for (size_t g = 0; g < list.size(); ++g) {
    const auto group = static_cast<int64_t>(g);
    // What the device holds is not known before: rows beyond x's are not touched.
    const int64_t end = std::clamp(counts ? begin + list[g] : list[g], begin, x.size(0)), rows = end - begin;
    if (rows == 0) continue;
    const View a = x.Narrow(0, begin, rows), y = out.Narrow(0, begin, rows),
               w = OfGroup(args.list(s.weight), group, 2);
    std::vector<float> bias, scale, tokens;
    if (kind != Kind::kInteger && args.has(s.bias)) bias = Floats(OfGroup(args.list(s.bias), group, 1));
    const float* bias_data = bias.empty() ? nullptr : bias.data();
    if (kind == Kind::kFloat) {
      Product(a, w, y, F32Operands::kKeep, bias_data);
    } else if (kind == Kind::kBlock) {
      BlockProduct(a, w, args[s.per_token].Narrow(0, begin, rows), OfGroup(args.list(s.scale), group, 2), y,
                   bias_data);
    } else {
      IntegerScales scales;
      std::vector<int32_t> whole;
      if (args.has(s.scale)) scales.b_scale = (scale = Floats(OfGroup(args.list(s.scale), group, 1))).data();
      if (args.has(s.per_token)) {
        View t = args[s.per_token];
        while (t.rank > 1) t = t.size(0) == 1 ? t.Select(0, 0) : t.Select(t.rank - 1, 0);
        scales.a_scale = (tokens = Floats(t.Narrow(0, begin, rows))).data();
      }
      if (args.has(s.bias)) {
        for (int64_t v : Integers(OfGroup(args.list(s.bias), group, 1)))
          whole.push_back(static_cast<int32_t>(v));
        scales.integer_bias = whole.data();
      }
      IntegerProduct(a, w, y, scales);
    }
    begin = end;
  }
}

aclnnStatus Grouped(const char* name, bool fractal, bool fp8, const Call& c, uint64_t* workspaceSize,
                    aclOpExecutor** executor) {
  Operator op(name, workspaceSize, executor);
  Slots s{};
  s.x = op.InList("x", c.x);
  s.weight = op.InList("weight", c.weight);
  s.bias = op.MaybeInList("biasOptional", c.bias);
  s.scale = op.MaybeInList("scaleOptional", c.scale);
  op.Null(op.MaybeInList("offsetOptional", c.offset));
  op.Null(op.MaybeInList("antiquantScaleOptional", c.antiquant_scale));
  op.Null(op.MaybeInList("antiquantOffsetOptional", c.antiquant_offset));
  s.per_token = op.MaybeInList("perTokenScaleOptional", c.per_token_scale);
  s.group_list = op.MaybeIn("groupListOptional", c.group_list);
  op.Null(op.MaybeInList("activationInputOptional", c.activation_input));
  op.Null(op.MaybeInList("activationQuantScaleOptional", c.activation_quant_scale));
  op.Null(op.MaybeInList("activationQuantOffsetOptional", c.activation_quant_offset));
  s.out = op.OutList("out", c.out);
  op.Null(op.MaybeOutList("activationFeatureOutOptional", c.activation_feature_out));
  op.Null(op.MaybeOutList("dynQuantScaleOutOptional", c.dynamic_scale_out));
  for (const View& w : op.list(s.weight)) {
    const bool is = w.format == ACL_FORMAT_FRACTAL_NZ;
    op.Require(!fractal || is, "weight is not FRACTAL_NZ");
    op.Require(fractal || !is || w.dtype == ACL_INT8,
               "weight is %s in FRACTAL_NZ, which is for aclnnGroupedMatmulWeightNz", NameOf(w.dtype));
    op.Require(fp8 || !IsFloat8(w.dtype), "weight is %s", NameOf(w.dtype));
  }
  const Kind kind = op.ok() ? Check(op, s, c) : Kind::kFloat;
  const bool counts = c.group_list_type == 1;
  return op.Finish([=](const Args& args) { Run(args, s, kind, counts); });
}

}  // namespace

// The arguments that all three have in the same order.
#define QIAO_GROUPED_FRONT                                                                             \
  const aclTensorList *x, const aclTensorList *weight, const aclTensorList *biasOptional,              \
      const aclTensorList *scaleOptional, const aclTensorList *offsetOptional,                         \
      const aclTensorList *antiquantScaleOptional, const aclTensorList *antiquantOffsetOptional,       \
      const aclTensorList *perTokenScaleOptional, const aclTensor *groupListOptional,                  \
      const aclTensorList *activationInputOptional, const aclTensorList *activationQuantScaleOptional, \
      const aclTensorList *activationQuantOffsetOptional, int64_t splitItem, int64_t groupType,        \
      int64_t groupListType, int64_t actType
#define QIAO_GROUPED_BACK                                                                                   \
  aclTensorList *out, aclTensorList *activationFeatureOutOptional, aclTensorList *dynQuantScaleOutOptional, \
      uint64_t *workspaceSize, aclOpExecutor **executor
#define QIAO_GROUPED_CALL                                                                                    \
  Call {                                                                                                     \
    x, weight, biasOptional, scaleOptional, offsetOptional, antiquantScaleOptional, antiquantOffsetOptional, \
        perTokenScaleOptional, groupListOptional, activationInputOptional, activationQuantScaleOptional,     \
        activationQuantOffsetOptional, splitItem, groupType, groupListType, actType, out,                    \
        activationFeatureOutOptional, dynQuantScaleOutOptional                                               \
  }

aclnnStatus aclnnGroupedMatmulV4GetWorkspaceSize(QIAO_GROUPED_FRONT, QIAO_GROUPED_BACK) {
  return Grouped("aclnnGroupedMatmulV4", false, false, QIAO_GROUPED_CALL, workspaceSize, executor);
}
QIAO_ACLNN_LAUNCH(GroupedMatmulV4)

aclnnStatus aclnnGroupedMatmulV5GetWorkspaceSize(QIAO_GROUPED_FRONT, aclIntArray*, QIAO_GROUPED_BACK) {
  return Grouped("aclnnGroupedMatmulV5", false, true, QIAO_GROUPED_CALL, workspaceSize, executor);
}
QIAO_ACLNN_LAUNCH(GroupedMatmulV5)

aclnnStatus aclnnGroupedMatmulWeightNzGetWorkspaceSize(QIAO_GROUPED_FRONT, aclIntArray*,
                                                       int64_t quantGroupSize, QIAO_GROUPED_BACK) {
  if (quantGroupSize != 0)
    return Fail(
        ACLNN_ERR_PARAM_INVALID,
        absl::StrFormat("aclnnGroupedMatmulWeightNz: quantGroupSize is %d; 0 is served", quantGroupSize));
  return Grouped("aclnnGroupedMatmulWeightNz", true, true, QIAO_GROUPED_CALL, workspaceSize, executor);
}
QIAO_ACLNN_LAUNCH(GroupedMatmulWeightNz)
