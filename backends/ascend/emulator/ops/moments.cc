// LayerNorm, GroupNorm: normalisation by mean and variance.
#include <aclnnop/aclnn_group_norm.h>
#include <aclnnop/aclnn_layer_norm.h>

#include <cmath>

#include "backends/ascend/emulator/ops/rows.h"

using namespace qiao::cann;

namespace {

struct Moments {
  double mean = 0, rstd = 0;
};

Moments MomentsOf(const float* v, int64_t n, double eps) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(v[i]);
  const double mean = sum / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i)
    squares += (static_cast<double>(v[i]) - mean) * (static_cast<double>(v[i]) - mean);
  return {mean, 1 / std::sqrt(squares / static_cast<double>(n) + eps)};
}

// `rows` rows of x in row-major order: out = (x - mean) * rstd * weight(row, i) + bias(row, i).
template <class Affine>
void Normalise(const View& x, int64_t rows, double eps, const View& out, const View* mean, const View* rstd,
               Affine affine) {
  if (x.empty()) return;
  const int64_t width = x.elements() / rows;
  const Buffer from = Converted(x, ACL_FLOAT), to(ACL_FLOAT, out), means(ACL_FLOAT, {rows}),
               rstds(ACL_FLOAT, {rows});
  Pool().ParallelFor(rows, RowGrain(width), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const float* v = from.as<float>() + r * width;
      const Moments m = MomentsOf(v, width, eps);
      means.as<float>()[r] = static_cast<float>(m.mean);
      rstds.as<float>()[r] = static_cast<float>(m.rstd);
      for (int64_t i = 0; i < width; ++i) {
        const auto [weight, bias] = affine(r, i);
        to.as<float>()[r * width + i] =
            static_cast<float>((static_cast<double>(v[i]) - m.mean) * m.rstd * weight + bias);
      }
    }
  });
  Convert(out, to);
  auto store = [&](const View* slot, const Buffer& values) {
    if (slot) Convert(*slot, slot->Over(ACL_FLOAT, values.view().data()));
  };
  store(mean, means);
  store(rstd, rstds);
}

void CheckFloats(Operator& op, int x, std::initializer_list<int> others) {
  op.DType(x, kFloats);
  for (int slot : others) {
    op.DType(slot, kFloats);
    if (op.ok() && op.has(slot))
      op.Require(op.at(slot).dtype == op.at(x).dtype || op.at(slot).dtype == ACL_FLOAT,
                 "%s is %s and %s is %s", op.name(slot), NameOf(op.at(slot).dtype), op.name(x),
                 NameOf(op.at(x).dtype));
  }
}

void CheckCount(Operator& op, int slot, int64_t count) {
  if (op.ok() && op.has(slot))
    op.Require(op.at(slot).elements() == count, "%s is %s; it must have %d elements", op.name(slot),
               op.at(slot).ShapeString(), count);
}

}  // namespace

aclnnStatus aclnnLayerNormGetWorkspaceSize(const aclTensor* input, const aclIntArray* normalizedShape,
                                           const aclTensor* weightOptional, const aclTensor* biasOptional,
                                           double eps, aclTensor* out, aclTensor* meanOutOptional,
                                           aclTensor* rstdOutOptional, uint64_t* workspaceSize,
                                           aclOpExecutor** executor) {
  Operator op("aclnnLayerNorm", workspaceSize, executor);
  const int x = op.In("input", input), w = op.MaybeIn("weightOptional", weightOptional),
            b = op.MaybeIn("biasOptional", biasOptional), y = op.Out("out", out),
            m = op.MaybeOut("meanOutOptional", meanOutOptional),
            r = op.MaybeOut("rstdOutOptional", rstdOutOptional);
  if (!op.Needs("normalizedShape", normalizedShape)) return op.Finish({});
  CheckFloats(op, x, {w, b, y, m, r});
  op.SameDType(x, y).SameShape(x, y);
  if (!op.ok()) return op.Finish({});
  const View& v = op.at(x);
  const std::vector<int64_t>& shape = normalizedShape->values;
  bool trailing = !shape.empty() && shape.size() <= static_cast<size_t>(v.rank);
  for (size_t d = 1; trailing && d <= shape.size(); ++d)
    trailing = shape[shape.size() - d] == v.size(-static_cast<int>(d));
  op.Require(trailing, "normalizedShape is not how input's shape %s ends", v.ShapeString());
  const int64_t rows = op.ok() ? v.elements(0, v.rank - static_cast<int>(shape.size())) : 1;
  for (int slot : {w, b}) CheckCount(op, slot, rows ? v.elements() / rows : 0);
  for (int slot : {m, r}) CheckCount(op, slot, rows);
  return op.Finish([=](const Args& args) {
    std::vector<float> weight, bias;
    if (args.has(w)) weight = Floats(args[w]);
    if (args.has(b)) bias = Floats(args[b]);
    Normalise(args[x], rows, eps, args[y], args.has(m) ? &args[m] : nullptr, args.has(r) ? &args[r] : nullptr,
              [&](int64_t, int64_t i) {
                const auto k = static_cast<size_t>(i);
                return std::pair<double, double>(weight.empty() ? 1.0f : weight[k],
                                                 bias.empty() ? 0.0f : bias[k]);
              });
  });
}
QIAO_ACLNN_LAUNCH(LayerNorm)

aclnnStatus aclnnGroupNormGetWorkspaceSize(const aclTensor* self, const aclTensor* gamma,
                                           const aclTensor* beta, int64_t N, int64_t C, int64_t HxW,
                                           int64_t group, double eps, aclTensor* out, aclTensor* meanOut,
                                           aclTensor* rstdOut, uint64_t* workspaceSize,
                                           aclOpExecutor** executor) {
  Operator op("aclnnGroupNorm", workspaceSize, executor);
  const int x = op.In("self", self), g = op.MaybeIn("gamma", gamma), b = op.MaybeIn("beta", beta),
            y = op.Out("out", out), m = op.Out("meanOut", meanOut), r = op.Out("rstdOut", rstdOut);
  CheckFloats(op, x, {g, b, y, m, r});
  op.SameDType(x, y).SameShape(x, y).Rank(x, 2, kMaxDims);
  op.Require(N >= 0 && C > 0 && HxW >= 0 && group > 0 && C % group == 0, "N %d, C %d, HxW %d, group %d", N, C,
             HxW, group);
  CheckCount(op, x, N * C * HxW);
  for (int slot : {g, b}) CheckCount(op, slot, C);
  for (int slot : {m, r}) CheckCount(op, slot, N * group);
  return op.Finish([=](const Args& args) {
    std::vector<float> weight, bias;
    if (args.has(g)) weight = Floats(args[g]);
    if (args.has(b)) bias = Floats(args[b]);
    const int64_t channels = C / group;
    Normalise(args[x], N * group, eps, args[y], &args[m], &args[r], [&](int64_t row, int64_t i) {
      const auto c = static_cast<size_t>(row % group * channels + i / HxW);
      return std::pair<double, double>(weight.empty() ? 1.0f : weight[c], bias.empty() ? 0.0f : bias[c]);
    });
  });
}
QIAO_ACLNN_LAUNCH(GroupNorm)
