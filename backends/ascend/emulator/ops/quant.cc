// Quantisation of activations: DynamicQuant and DynamicBlockQuant.
#include "backends/ascend/emulator/ops/quant.h"

#include <aclnnop/aclnn_dynamic_block_quant.h>
#include <aclnnop/aclnn_dynamic_quant.h>

#include <cmath>
#include <string_view>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"

namespace qiao::cann {

void QuantiseRows(const View& x, const View* smooth, const View& y, const View& scale) {
  if (x.elements() == 0) return;
  const int64_t width = x.size(-1), rows = x.rows();
  Buffer values(ACL_FLOAT, x);
  if (smooth) {
    MapRows<float, 2>(values, {x, smooth->BroadcastTo(x)}, [](const auto& in, int64_t n, float* out) {
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) out[i] = in[0][i] * in[1][i];
    });
  } else {
    Convert(values, x);
  }
  Buffer q(ACL_INT8, x), s(ACL_FLOAT, {rows, 1});
  const qiao_quantise_params params{sizeof(params), 0, 0.0f};
  qiao_tensor quantised = Describe(View::Of(ACL_INT8, {rows, width}, nullptr));
  quantised.scheme = QIAO_SCHEME_CHANNEL;
  KernelRun(QIAO_OP_QUANTISE, &params)
      .Add(View::Of(ACL_FLOAT, {rows, width}, values.view().data()))
      .AddAbsent()
      .Add(quantised, q.view().data())
      .Add(s)
      .Run();
  CopyBits(y, q);
  CopyBits(scale, scale.Over(ACL_FLOAT, s.view().data()));
}

}  // namespace qiao::cann

using namespace qiao::cann;

aclnnStatus aclnnDynamicQuantGetWorkspaceSize(const aclTensor* x, const aclTensor* smoothScalesOptional,
                                              const aclTensor* yOut, const aclTensor* scaleOut,
                                              uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnDynamicQuant", workspaceSize, executor);
  const int in = op.In("x", x), smooth = op.MaybeIn("smoothScalesOptional", smoothScalesOptional),
            y = op.Out("yOut", yOut), s = op.Out("scaleOut", scaleOut);
  op.DType(in, kFloats)
      .DType(smooth, kFloats)
      .DType(y, {ACL_INT8})
      .DType(s, {ACL_FLOAT})
      .Rank(in, 2, kMaxDims);
  op.SameShape(in, y);
  if (op.ok()) {
    const View& v = op.at(in);
    if (v.dtype == ACL_FLOAT)
      Warn("dynamic-quant-f32", "aclnnDynamicQuant: x is FLOAT; CANN documents FLOAT16 and BFLOAT16");
    if (op.has(smooth)) op.Shape(smooth, {v.size(-1)});
    const View rows = v.Select(v.rank - 1, 0);
    op.Require(op.at(s).SameShape(rows), "scaleOut is %s; it must be %s", op.at(s).ShapeString(),
               rows.ShapeString());
  }
  return op.Finish([=](const Args& args) {
    QuantiseRows(args[in], args.has(smooth) ? &args[smooth] : nullptr, args[y], args[s]);
  });
}
QIAO_ACLNN_LAUNCH(DynamicQuant)

aclnnStatus aclnnDynamicBlockQuantGetWorkspaceSize(const aclTensor* x, double minScale,
                                                   char* roundModeOptional, int64_t dstType,
                                                   int64_t rowBlockSize, int64_t colBlockSize,
                                                   const aclTensor* yOut, const aclTensor* scaleOut,
                                                   uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnDynamicBlockQuant", workspaceSize, executor);
  const int in = op.In("x", x), y = op.Out("yOut", yOut), s = op.Out("scaleOut", scaleOut);
  op.NeedsFp8("FP8 quantisation");
  op.DType(in, kFloats).DType(y, {ACL_FLOAT8_E4M3FN}).DType(s, {ACL_FLOAT}).Rank(in, 2, 3).SameShape(in, y);
  op.Require(dstType == ACL_FLOAT8_E4M3FN, "dstType is %d; FLOAT8_E4M3FN (36) is served", dstType);
  op.Require(!roundModeOptional || std::string_view(roundModeOptional) == "rint" || !*roundModeOptional,
             "roundModeOptional is \"%s\"; \"rint\" is served", roundModeOptional ? roundModeOptional : "");
  op.Require((rowBlockSize == 1 || rowBlockSize == 128) && colBlockSize == 128,
             "blocks of %d x %d; 1 x 128 and 128 x 128 are served", rowBlockSize, colBlockSize);
  op.Require(minScale >= 0, "minScale is %g", minScale);
  if (op.ok()) {
    View expected = op.at(in);
    if (expected.dtype == ACL_FLOAT)
      Warn("dynamic-block-quant-f32",
           "aclnnDynamicBlockQuant: x is FLOAT; CANN documents FLOAT16 and BFLOAT16");
    const auto last = static_cast<size_t>(expected.rank - 1);
    expected.dim[last] = (expected.dim[last] + colBlockSize - 1) / colBlockSize;
    expected.dim[last - 1] = (expected.dim[last - 1] + rowBlockSize - 1) / rowBlockSize;
    op.Require(op.at(s).SameShape(expected), "scaleOut is %s; it must be %s", op.at(s).ShapeString(),
               expected.ShapeString());
  }
  return op.Finish([=](const Args& args) {
    const View &from = args[in], &to = args[y], &scale = args[s];
    if (from.empty()) return;
    const int64_t m_blocks = scale.size(-2), k_blocks = scale.size(-1), m_size = from.size(-2),
                  k_size = from.size(-1);
    Pool().ParallelFor(scale.elements(), 1, [&](int64_t begin, int64_t end, int) {
      std::vector<float> block(static_cast<size_t>(rowBlockSize * colBlockSize));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t k0 = i % k_blocks * colBlockSize, m0 = i / k_blocks % m_blocks * rowBlockSize;
        const int64_t batch = i / k_blocks / m_blocks;
        const int64_t k_count = std::min(colBlockSize, k_size - k0),
                      m_count = std::min(rowBlockSize, m_size - m0);
        float largest = 0;
        for (int64_t m = 0; m < m_count; ++m) {
          float* row = block.data() + m * colBlockSize;
          LoadRow(from.dtype, from.Row(batch * m_size + m0 + m) + k0 * from.step(-1) * BytesOf(from.dtype),
                  from.step(-1), k_count, row);
          for (int64_t k = 0; k < k_count; ++k) largest = std::max(largest, std::fabs(row[k]));
        }
        const float value = std::max(largest / 448.0f, static_cast<float>(minScale));
        StoreRow(ACL_FLOAT, scale.data() + scale.OffsetOf(i, 0, scale.rank) * 4, 1, 1, &value);
        for (int64_t m = 0; m < m_count; ++m) {
          float* row = block.data() + m * colBlockSize;
          for (int64_t k = 0; k < k_count; ++k) row[k] = value > 0 ? row[k] / value : 0.0f;
          StoreRow(to.dtype, to.Row(batch * m_size + m0 + m) + k0 * to.step(-1), to.step(-1), k_count, row);
        }
      }
    });
  });
}
QIAO_ACLNN_LAUNCH(DynamicBlockQuant)
