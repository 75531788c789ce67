// MoeInitRoutingV2 and V3 (rows once per chosen expert, sorted by expert), MoeFinalizeRoutingV2 (their weighted sums).
#include <aclnnop/aclnn_moe_finalize_routing_v2.h>
#include <aclnnop/aclnn_moe_init_routing_v2.h>
#include <aclnnop/aclnn_moe_init_routing_v3.h>

#include <algorithm>
#include <utility>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"
#include "backends/ascend/emulator/ops/quant.h"

using namespace qiao::cann;

namespace {

struct Sorted {
  std::vector<int64_t> pair;    // [places]: which (row, choice) pair t * k + j lies there
  std::vector<int64_t> counts;  // [experts]
};

// A stable sort of the pairs by expert; pairs of experts outside [begin, end) are left out.
Sorted SortPairs(const std::vector<int64_t>& expert, int64_t begin, int64_t end) {
  Sorted s;
  s.counts.assign(static_cast<size_t>(end - begin), 0);
  auto in_range = [&](int64_t e) { return e >= begin && e < end; };
  for (int64_t e : expert)
    if (in_range(e)) ++s.counts[static_cast<size_t>(e - begin)];
  std::vector<int64_t> next(s.counts.size());
  int64_t total = 0;
  for (size_t e = 0; e < next.size(); ++e) {
    next[e] = total;
    total += s.counts[e];
  }
  s.pair.resize(static_cast<size_t>(total));
  for (size_t i = 0; i < expert.size(); ++i)
    if (in_range(expert[i]))
      s.pair[static_cast<size_t>(next[static_cast<size_t>(expert[i] - begin)]++)] = static_cast<int64_t>(i);
  return s;
}

void StoreIntegers(const View& to, std::vector<int64_t> values, int64_t fill) {
  values.resize(static_cast<size_t>(to.elements()), fill);
  Convert(to, to.Over(ACL_INT64, values.data()));
}

std::vector<int64_t> Running(std::vector<int64_t> counts) {
  for (size_t i = 1; i < counts.size(); ++i) counts[i] += counts[i - 1];
  return counts;
}

// (expert, count) of the experts that have rows; zeros behind them end the list.
std::vector<int64_t> Listed(const std::vector<int64_t>& counts, int64_t first) {
  std::vector<int64_t> pairs;
  for (size_t e = 0; e < counts.size(); ++e)
    if (counts[e]) pairs.insert(pairs.end(), {first + static_cast<int64_t>(e), counts[e]});
  return pairs;
}

struct Routing {
  int x, ids, scale, expanded_x, row_idx, counts, expanded_scale;
  int64_t k = 0, experts_begin = 0, experts_end = 0;
  bool write_counts = false, running = false, listed = false, quantise = false, scatter = false;
};

void CheckRouting(Operator& op, const Routing& r, int64_t active_num, int64_t expert_num,
                  int64_t drop_pad_mode) {
  op.DType(r.ids, {ACL_INT32}).Rank(r.x, 2, 2).Rank(r.ids, 2, 2).DType(r.row_idx, {ACL_INT32});
  op.Require(drop_pad_mode == 0, "dropPadMode is %d; 0 (nothing is dropped) is served", drop_pad_mode);
  op.Require(expert_num >= 1, "expertNum is %d", expert_num);
  if (!op.ok()) return;
  const View &x = op.at(r.x), &ids = op.at(r.ids);
  op.Require(x.size(0) == ids.size(0), "x is %s and expertIdx is %s", x.ShapeString(), ids.ShapeString());
  const int64_t pairs = ids.elements();
  const int64_t rows = active_num > 0 ? std::min(active_num, pairs) : pairs;
  op.Shape(r.expanded_x, {rows, x.size(1)}).Shape(r.row_idx, {pairs});
}

void Route(const Args& args, const Routing& r) {
  const View &x = args[r.x], &out = args[r.expanded_x];
  const std::vector<int64_t> ids = Integers(args[r.ids]);
  const Sorted sorted = SortPairs(ids, r.experts_begin, r.experts_end);
  const int64_t rows = std::min<int64_t>(out.size(0), static_cast<int64_t>(sorted.pair.size()));

  // All pairs' places, those of rows that are not kept too.
  std::vector<int64_t> index(ids.size(), -1);
  for (size_t place = 0; place < sorted.pair.size(); ++place) {
    if (r.scatter) {
      index[place] = sorted.pair[place];
    } else {
      index[static_cast<size_t>(sorted.pair[place])] = static_cast<int64_t>(place);
    }
  }
  StoreIntegers(args[r.row_idx], std::move(index), -1);
  if (r.write_counts)
    StoreIntegers(args[r.counts],
                  r.listed    ? Listed(sorted.counts, r.experts_begin)
                  : r.running ? Running(sorted.counts)
                              : sorted.counts,
                  0);

  for (int64_t place = 0; place < rows; ++place) {
    const int64_t pair = sorted.pair[static_cast<size_t>(place)];
    const View from = x.Narrow(0, pair / r.k, 1), to = out.Narrow(0, place, 1);
    if (r.quantise) {
      View smooth;
      if (args.has(r.scale)) {
        const View& s = args[r.scale];
        smooth = s.size(0) == 1 ? s : s.Narrow(0, ids[static_cast<size_t>(pair)] - r.experts_begin, 1);
      }
      QuantiseRows(from, args.has(r.scale) ? &smooth : nullptr, to,
                   args[r.expanded_scale].Narrow(0, place, 1));
      continue;
    }
    CopyBits(to, from);
    if (args.has(r.scale))
      CopyBits(args[r.expanded_scale].Narrow(0, place, 1), args[r.scale].Narrow(0, pair / r.k, 1));
  }
}

}  // namespace

aclnnStatus aclnnMoeInitRoutingV2GetWorkspaceSize(
    const aclTensor* x, const aclTensor* expertIdx, int64_t activeNum, int64_t, int64_t expertNum,
    int64_t dropPadMode, int64_t expertTokensCountOrCumsumFlag, bool expertTokensBeforeCapacityFlag,
    const aclTensor* expandedXOut, const aclTensor* expandedRowIdxOut,
    const aclTensor* expertTokensCountOrCumsumOut, const aclTensor* expertTokensBeforeCapacityOut,
    uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnMoeInitRoutingV2", workspaceSize, executor);
  const int64_t flag = expertTokensCountOrCumsumFlag;
  Routing r{};
  r.x = op.In("x", x);
  r.ids = op.In("expertIdx", expertIdx);
  r.expanded_x = op.Out("expandedXOut", expandedXOut);
  r.row_idx = op.Out("expandedRowIdxOut", expandedRowIdxOut);
  r.counts = flag ? op.Out("expertTokensCountOrCumsumOut", expertTokensCountOrCumsumOut)
                  : op.MaybeOut("expertTokensCountOrCumsumOut", expertTokensCountOrCumsumOut);
  op.MaybeOut("expertTokensBeforeCapacityOut", expertTokensBeforeCapacityOut);
  // An absent argument stands for the scales that this form lacks; the last, so that the API's keep their numbers.
  r.scale = r.expanded_scale = op.MaybeIn("scale", nullptr);
  op.Require(flag >= 0 && flag <= 2, "expertTokensCountOrCumsumFlag is %d; it must be 0 to 2", flag);
  op.Require(!expertTokensBeforeCapacityFlag,
             "expertTokensBeforeCapacityFlag is for dropPadMode 1, which is not served");
  CheckRouting(op, r, activeNum, expertNum, dropPadMode);
  op.DType(r.x, kFloats).SameDType(r.x, r.expanded_x);
  if (flag) op.DType(r.counts, {ACL_INT32}).Shape(r.counts, {expertNum});
  if (!op.ok()) return op.Finish({});
  r.k = std::max<int64_t>(1, op.at(r.ids).size(1));
  r.experts_end = expertNum;
  r.write_counts = flag != 0;
  r.running = flag == 1;
  return op.Finish([=](const Args& args) { Route(args, r); });
}
QIAO_ACLNN_LAUNCH(MoeInitRoutingV2)

aclnnStatus aclnnMoeInitRoutingV3GetWorkspaceSize(
    const aclTensor* x, const aclTensor* expertIdx, const aclTensor* scaleOptional,
    const aclTensor* offsetOptional, int64_t activeNum, int64_t, int64_t expertNum, int64_t dropPadMode,
    int64_t expertTokensNumType, bool expertTokensNumFlag, int64_t quantMode,
    const aclIntArray* activeExpertRangeOptional, int64_t rowIdxType, const aclTensor* expandedXOut,
    const aclTensor* expandedRowIdxOut, const aclTensor* expertTokensCountOrCumsumOut,
    const aclTensor* expandedScaleOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnMoeInitRoutingV3", workspaceSize, executor);
  Routing r{};
  r.quantise = quantMode == 1;
  const bool scales = r.quantise || scaleOptional;
  r.x = op.In("x", x);
  r.ids = op.In("expertIdx", expertIdx);
  r.scale = op.MaybeIn("scaleOptional", scaleOptional);
  op.Null(op.MaybeIn("offsetOptional", offsetOptional));
  r.expanded_x = op.Out("expandedXOut", expandedXOut);
  r.row_idx = op.Out("expandedRowIdxOut", expandedRowIdxOut);
  r.counts = expertTokensNumFlag ? op.Out("expertTokensCountOrCumsumOut", expertTokensCountOrCumsumOut)
                                 : op.MaybeOut("expertTokensCountOrCumsumOut", expertTokensCountOrCumsumOut);
  r.expanded_scale = scales ? op.Out("expandedScaleOut", expandedScaleOut)
                            : op.MaybeOut("expandedScaleOut", expandedScaleOut);
  op.Require(quantMode == -1 || quantMode == 1, "quantMode is %d; -1 (none) and 1 (dynamic) are served",
             quantMode);
  op.Require(expertTokensNumType >= 0 && expertTokensNumType <= 2,
             "expertTokensNumType is %d; it must be 0 to 2", expertTokensNumType);
  op.Require(rowIdxType == 0 || rowIdxType == 1, "rowIdxType is %d; it must be 0 or 1", rowIdxType);
  r.experts_end = expertNum;
  if (activeExpertRangeOptional && !activeExpertRangeOptional->values.empty()) {
    const auto& range = activeExpertRangeOptional->values;
    op.Require(range.size() == 2 && range[0] >= 0 && range[0] < range[1] && range[1] <= expertNum,
               "activeExpertRangeOptional must be [begin, end) of %d experts", expertNum);
    if (op.ok()) {
      r.experts_begin = range[0];
      r.experts_end = range[1];
    }
  }
  CheckRouting(op, r, activeNum, expertNum, dropPadMode);
  const int64_t experts = r.experts_end - r.experts_begin;
  if (op.ok()) {
    const View& v = op.at(r.x);
    if (r.quantise) {
      op.DType(r.x, kFloats).DType(r.expanded_x, {ACL_INT8}).DType(r.scale, {ACL_FLOAT}).Rank(r.scale, 2, 2);
      if (op.ok() && op.has(r.scale))
        op.Require((op.at(r.scale).size(0) == 1 || op.at(r.scale).size(0) == experts) &&
                       op.at(r.scale).size(1) == v.size(1),
                   "scaleOptional is %s; it must be [1 or %d, %d]", op.at(r.scale).ShapeString(), experts,
                   v.size(1));
    } else {
      op.DType(r.x, {ACL_FLOAT, ACL_FLOAT16, ACL_BF16, ACL_INT8}).SameDType(r.x, r.expanded_x);
      op.DType(r.scale, {ACL_FLOAT}).Shape(r.scale, {v.size(0)});
    }
    if (scales && op.ok())
      op.DType(r.expanded_scale, {ACL_FLOAT}).Shape(r.expanded_scale, {op.at(r.expanded_x).size(0)});
    if (expertTokensNumFlag && expertTokensNumType == 2) {
      op.DType(r.counts, {ACL_INT64}).Shape(r.counts, {expertNum, 2});
    } else if (expertTokensNumFlag) {
      op.DType(r.counts, {ACL_INT64}).Shape(r.counts, {experts});
    }
  }
  if (!op.ok()) return op.Finish({});
  r.k = std::max<int64_t>(1, op.at(r.ids).size(1));
  r.write_counts = expertTokensNumFlag;
  r.running = expertTokensNumType == 0;
  r.listed = expertTokensNumType == 2;
  r.scatter = rowIdxType == 1;
  return op.Finish([=](const Args& args) { Route(args, r); });
}
QIAO_ACLNN_LAUNCH(MoeInitRoutingV3)

aclnnStatus aclnnMoeFinalizeRoutingV2GetWorkspaceSize(
    const aclTensor* expandedX, const aclTensor* expandedRowIdx, const aclTensor* x1Optional,
    const aclTensor* x2Optional, const aclTensor* biasOptional, const aclTensor* scalesOptional,
    const aclTensor* expertIdxOptional, int64_t dropPadMode, const aclTensor* out, uint64_t* workspaceSize,
    aclOpExecutor** executor) {
  Operator op("aclnnMoeFinalizeRoutingV2", workspaceSize, executor);
  const int x = op.In("expandedX", expandedX), index = op.In("expandedRowIdx", expandedRowIdx),
            skip1 = op.MaybeIn("x1Optional", x1Optional), skip2 = op.MaybeIn("x2Optional", x2Optional),
            bias = op.MaybeIn("biasOptional", biasOptional),
            scales = op.MaybeIn("scalesOptional", scalesOptional),
            ids = op.MaybeIn("expertIdxOptional", expertIdxOptional), y = op.Out("out", out);
  op.DType(x, kFloats)
      .DType(index, {ACL_INT32})
      .DType(ids, {ACL_INT32})
      .DType(scales, kFloats)
      .SameDType(x, y);
  op.Require(dropPadMode >= 0 && dropPadMode <= 3, "dropPadMode is %d; it must be 0 to 3", dropPadMode);
  op.Rank(x, dropPadMode % 2 ? 3 : 2, dropPadMode % 2 ? 3 : 2)
      .Rank(index, 1, 1)
      .Rank(scales, 2, 2)
      .Rank(y, 2, 2);
  op.Require(!op.has(skip2) || op.has(skip1), "x2Optional is given without x1Optional");
  op.Require(!op.has(bias) || op.has(ids), "biasOptional is given without expertIdxOptional");
  int64_t k = 1;
  if (op.ok()) {
    const View& to = op.at(y);
    k = op.has(scales) ? op.at(scales).size(1) : 1;
    op.Shape(scales, {to.size(0), k}).Shape(index, {to.size(0) * k}).Shape(ids, {to.size(0), k});
    op.Require(op.at(x).size(-1) == to.size(1), "expandedX is %s and out is %s", op.at(x).ShapeString(),
               to.ShapeString());
    for (int skip : {skip1, skip2}) op.SameDType(x, skip).SameShape(skip, y);
    op.SameDType(x, bias).Rank(bias, 2, 2);
    if (op.ok() && op.has(bias))
      op.Require(op.at(bias).size(1) == to.size(1), "biasOptional is %s", op.at(bias).ShapeString());
    if (op.ok() && op.has(scales) && op.at(scales).dtype != op.at(x).dtype) {
      op.DType(scales, {ACL_FLOAT});
      Warn("finalize-routing-scales",
           absl::StrFormat("aclnnMoeFinalizeRoutingV2: scales are FLOAT and expandedX is %s; CANN documents "
                           "one dtype",
                           NameOf(op.at(x).dtype)));
    }
  }
  return op.Finish([=](const Args& args) {
    const View& to = args[y];
    if (to.empty()) return;
    const int64_t rows = to.size(0), width = to.size(1);
    // In f32 throughout: rows, [T, k] of places and weights for the kernel's sum, then what is added to it.
    Buffer source = Converted(args[x], ACL_FLOAT);
    int64_t places = source.view().elements() / width;
    const std::vector<int64_t> given = Integers(args[index]);
    Buffer slot(ACL_INT32, {rows, k}), weight(ACL_FLOAT, {rows, k}), sum(ACL_FLOAT, {rows, width});
    std::fill_n(weight.as<float>(), rows * k, 1.0f);
    if (args.has(scales)) Convert(weight, args[scales]);
    for (int64_t t = 0; t < rows; ++t)
      for (int64_t j = 0; j < k; ++j) {
        const int64_t place = given[static_cast<size_t>(dropPadMode < 2 ? j * rows + t : t * k + j)];
        slot.as<int32_t>()[t * k + j] = place >= 0 && place < places ? static_cast<int32_t>(place) : -1;
      }
    if (args.has(bias)) {  // a row for each pair, since a dropped one has its bias too
      const Buffer b = Converted(args[bias], ACL_FLOAT);
      const std::vector<int64_t> expert = Integers(args[ids]);
      Buffer pairs(ACL_FLOAT, {rows * k, width});
      for (int64_t i = 0; i < rows * k; ++i) {
        const int32_t place = std::exchange(slot.as<int32_t>()[i], static_cast<int32_t>(i));
        const int64_t e = expert[static_cast<size_t>(i)];
        for (int64_t c = 0; c < width; ++c)
          pairs.as<float>()[i * width + c] =
              (place < 0 ? 0.0f : source.as<float>()[place * width + c]) +
              (e < 0 || e >= b.view().size(0) ? 0.0f : b.as<float>()[e * width + c]);
      }
      source = std::move(pairs);
      places = rows * k;
    }
    Buffer shared;
    const qiao_moe_combine_params params{sizeof(params)};
    KernelRun run(QIAO_OP_MOE_COMBINE, &params);
    run.Add(View::Of(ACL_FLOAT, {places, width}, source.view().data())).Add(slot).Add(weight);
    if (args.has(skip1)) {
      shared = Converted(args[skip1], ACL_FLOAT);
      run.Add(shared);
    } else {
      run.AddAbsent();
    }
    run.Add(sum).Run();
    if (!args.has(skip2)) return Convert(to, sum);
    MapRows<float, 2>(to, {sum, args[skip2]}, [](const auto& in, int64_t n, float* result) {
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) result[i] = in[0][i] + in[1][i];
    });
  });
}
QIAO_ACLNN_LAUNCH(MoeFinalizeRoutingV2)
