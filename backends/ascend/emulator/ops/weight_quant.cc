// WeightQuantBatchMatmulV2: integer weights with scales for floats of 16 bits.
#include <aclnnop/aclnn_weight_quant_batch_matmul_v2.h>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"
#include "backends/ascend/emulator/ops/product.h"

using namespace qiao::cann;

namespace {

// n weights from index `at` on, `step` apart.
void LoadWeights(const View& w, int64_t at, int64_t step, int64_t n, float* out) {
  const auto* bytes = static_cast<const uint8_t*>(w.base);
  for (int64_t i = 0; i < n; ++i, at += step) {
    if (w.dtype == ACL_INT8) {
      out[i] = static_cast<float>(static_cast<int8_t>(bytes[at]));
    } else {
      const int nibble = at % 2 ? bytes[at / 2] >> 4 : bytes[at / 2] & 15;
      out[i] = static_cast<float>(nibble < 8 ? nibble : nibble - 16);
    }
  }
}

// Scales as [groups, N].
View Grouped(const View& v, int64_t n) {
  View s = v.rank == 1 ? v.Insert(0) : v;
  if (s.size(1) != n) {
    s.dim[1] = n;
    s.stride[1] = 0;
  }
  return s;
}

}  // namespace

aclnnStatus aclnnWeightQuantBatchMatmulV2GetWorkspaceSize(
    const aclTensor* x, const aclTensor* weight, const aclTensor* antiquantScale,
    const aclTensor* antiquantOffsetOptional, const aclTensor* quantScaleOptional,
    const aclTensor* quantOffsetOptional, const aclTensor* biasOptional, int antiquantGroupSize,
    const aclTensor* y, uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnWeightQuantBatchMatmulV2", workspaceSize, executor);
  const int in = op.In("x", x), w = op.In("weight", weight), s = op.In("antiquantScale", antiquantScale),
            o = op.MaybeIn("antiquantOffsetOptional", antiquantOffsetOptional),
            qs = op.MaybeIn("quantScaleOptional", quantScaleOptional),
            qo = op.MaybeIn("quantOffsetOptional", quantOffsetOptional),
            b = op.MaybeIn("biasOptional", biasOptional), out = op.Out("y", y);
  op.DType(in, {ACL_FLOAT16, ACL_BF16})
      .DType(w, {ACL_INT8, ACL_INT4})
      .SameDType(in, s)
      .SameDType(in, o)
      .SameDType(in, out);
  op.Null(qs).Null(qo).DType(b, kFloats).Rank(in, 2, 2).Rank(w, 2, 2).Rank(s, 1, 2).Rank(o, 1, 2);
  if (!op.ok()) return op.Finish({});
  const int64_t m_size = op.at(in).size(0), k_size = op.at(in).size(1), n_size = op.at(w).size(1),
                group = antiquantGroupSize;
  op.Require(op.at(w).size(0) == k_size, "x is %s and weight is %s: K differs", op.at(in).ShapeString(),
             op.at(w).ShapeString());
  op.Require(op.at(w).format != ACL_FORMAT_FRACTAL_NZ, "weight is FRACTAL_NZ, which is not served");
  op.Require(group == 0 || (group >= 32 && group % 32 == 0 && group < k_size),
             "antiquantGroupSize is %d; it must be 0, or a multiple of 32 that is less than K = %d", group,
             k_size);
  op.Shape(out, {m_size, n_size});
  const int64_t groups = group ? (k_size + group - 1) / group : 1;
  for (int slot : {s, o}) {
    if (!op.ok() || !op.has(slot)) continue;
    const View& v = op.at(slot);
    const bool one = !group && v.elements() == 1;
    op.Require(one || (v.size(-1) == n_size && (v.rank == 1 ? 1 : v.size(0)) == groups),
               "%s is %s; it must be [%d, %d]", op.name(slot), v.ShapeString(), groups, n_size);
  }
  if (op.has(b)) op.Require(op.at(b).elements() == n_size, "biasOptional is %s", op.at(b).ShapeString());
  return op.Finish([=](const Args& args) {
    if (args[out].empty()) return;
    const View& q = args[w];
    const Buffer scale = Converted(Grouped(args[s], n_size), ACL_FLOAT);
    Buffer shift, bias;
    if (args.has(o)) shift = Converted(Grouped(args[o], n_size), ACL_FLOAT);
    if (args.has(b)) bias = Converted(args[b], ACL_FLOAT);
    const Buffer rows(args[in].dtype, {n_size, k_size});
    Pool().ParallelFor(n_size, RowGrain(k_size), [&](int64_t begin, int64_t end, int) {
      std::vector<float> row(static_cast<size_t>(k_size));
      for (int64_t n = begin; n < end; ++n) {
        LoadWeights(q, q.offset + n * q.step(1), q.step(0), k_size, row.data());
        for (int64_t k = 0; k < k_size; ++k) {
          const int64_t at = (group ? k / group : 0) * n_size + n;
          float& v = row[static_cast<size_t>(k)];
          v = (v + (args.has(o) ? shift.as<float>()[at] : 0.0f)) * scale.as<float>()[at];
        }
        StoreRow(rows.view().dtype, rows.view().Row(n), 1, k_size, row.data());
      }
    });
    Product(args[in], rows.view().Swap(0, 1), args[out], F32Operands::kKeep,
            args.has(b) ? bias.as<float>() : nullptr);
  });
}
QIAO_ACLNN_LAUNCH(WeightQuantBatchMatmulV2)
