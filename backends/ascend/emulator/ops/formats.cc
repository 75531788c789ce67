// Conversions between ND and FRACTAL_NZ.
#include <aclnnop/aclnn_npu_format_cast.h>
#include <aclnnop/aclnn_trans_matmul_weight.h>

#include <new>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/nnopbase/fractal.h"
#include "backends/ascend/emulator/ops/loops.h"
#include "backends/ascend/emulator/ops/product.h"

using namespace qiao::cann;

namespace {

constexpr std::initializer_list<aclDataType> kFractalTypes = {ACL_FLOAT, ACL_FLOAT16, ACL_BF16, ACL_INT8,
                                                              ACL_FLOAT8_E4M3FN};

}  // namespace

aclnnStatus aclnnTransMatmulWeightGetWorkspaceSize(aclTensor* mmWeightRef, uint64_t* workspaceSize,
                                                   aclOpExecutor** executor) {
  Operator op("aclnnTransMatmulWeight", workspaceSize, executor);
  const int w = op.InOut("mmWeightRef", mmWeightRef);
  op.DType(w, {ACL_FLOAT, ACL_FLOAT16, ACL_BF16, ACL_INT8}).Rank(w, 2, 3).Contiguous(w);
  if (op.ok()) op.Require(op.at(w).format != ACL_FORMAT_FRACTAL_NZ, "mmWeightRef is FRACTAL_NZ already");
  return op.Finish([=](const Args& args) {
    const View& v = args[w];
    if (v.empty()) return;
    const Buffer plain = Converted(v, v.dtype);
    View fractal = v;
    fractal.format = ACL_FORMAT_FRACTAL_NZ;
    for (int64_t b = 0; b < v.elements(0, v.rank - 2); ++b)
      ToFractal(MatrixOf(fractal, fractal, b), MatrixOf(plain, plain, b));
  });
}
QIAO_ACLNN_LAUNCH(TransMatmulWeight)

aclnnStatus aclnnCalculateMatmulWeightSizeV2(const aclIntArray* tensorShape, aclDataType dataType,
                                             uint64_t* weightTensorSize) {
  constexpr const char* kName = "aclnnCalculateMatmulWeightSizeV2: ";
  if (!tensorShape || !weightTensorSize)
    return Fail(ACLNN_ERR_PARAM_NULLPTR, std::string(kName) + "an argument is null");
  const std::vector<int64_t>& shape = tensorShape->values;
  bool good = shape.size() >= 2 && shape.size() <= 6 && BytesOf(dataType) > 0 && BytesOf(dataType) <= 32;
  for (int64_t d : shape) good = good && d >= 0;
  if (!good)
    return Fail(ACLNN_ERR_PARAM_INVALID, std::string(kName) + "the shape or the dtype " + NameOf(dataType));
  uint64_t size = static_cast<uint64_t>(Fractal(shape.end()[-2], shape.end()[-1], dataType).elements());
  for (size_t d = 0; d + 2 < shape.size(); ++d) size *= static_cast<uint64_t>(shape[d]);
  *weightTensorSize = size;
  return ACLNN_SUCCESS;
}

aclnnStatus aclnnNpuFormatCastCalculateSizeAndFormat(const aclTensor* srcTensor, const int dstFormat,
                                                     int additionalDtype, int64_t** dstShape,
                                                     uint64_t* dstShapeSize, int* actualFormat) {
  constexpr const char* kName = "aclnnNpuFormatCastCalculateSizeAndFormat: ";
  if (!srcTensor || !dstShape || !dstShapeSize || !actualFormat)
    return Fail(ACLNN_ERR_PARAM_NULLPTR, std::string(kName) + "an argument is null");
  const View& v = srcTensor->view;
  if (dstFormat != ACL_FORMAT_FRACTAL_NZ && dstFormat != ACL_FORMAT_ND)
    return Fail(ACLNN_ERR_PARAM_INVALID,
                absl::StrFormat("%sformat %d; ND and FRACTAL_NZ are served", kName, dstFormat));
  if (v.rank < 2 || v.rank > kMaxDims - 2)
    return Fail(ACLNN_ERR_PARAM_INVALID, absl::StrFormat("%ssrcTensor has %d dimensions", kName, v.rank));
  const auto width = additionalDtype == -1 ? v.dtype : static_cast<aclDataType>(additionalDtype);
  if (BytesOf(width) != BytesOf(v.dtype) || BytesOf(v.dtype) == 0)
    return Fail(ACLNN_ERR_PARAM_INVALID,
                absl::StrFormat("%ssrcTensor is %s and additionalDtype %s: only fractals of the "
                                "element's own width are served",
                                kName, NameOf(v.dtype), NameOf(width)));
  std::vector<int64_t> shape(v.dim.begin(), v.dim.begin() + v.rank);
  if (dstFormat == ACL_FORMAT_FRACTAL_NZ) {
    const Fractal f(v.size(-2), v.size(-1), v.dtype);
    shape.resize(static_cast<size_t>(v.rank - 2));
    shape.insert(shape.end(), {f.col_tiles(), f.row_tiles(), Fractal::kRows, f.c0});
  }
  *dstShape = new (std::nothrow) int64_t[shape.size()];
  if (!*dstShape) return Fail(ACLNN_ERR_INNER, std::string(kName) + "no memory");
  std::copy(shape.begin(), shape.end(), *dstShape);
  *dstShapeSize = shape.size();
  *actualFormat = dstFormat;
  return ACLNN_SUCCESS;
}

aclnnStatus aclnnNpuFormatCastGetWorkspaceSize(const aclTensor* srcTensor, aclTensor* dstTensor,
                                               uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnNpuFormatCast", workspaceSize, executor);
  const int from = op.In("srcTensor", srcTensor), to = op.Out("dstTensor", dstTensor);
  op.DType(from, kFractalTypes).SameDType(from, to).Rank(from, 2, kMaxDims - 2);
  op.SameShape(from, to);
  if (op.ok()) {
    const bool a = op.at(from).format == ACL_FORMAT_FRACTAL_NZ, b = op.at(to).format == ACL_FORMAT_FRACTAL_NZ;
    op.Require(a != b, "one of the tensors must be FRACTAL_NZ");
    if (!a) op.Contiguous(from);
  }
  return op.Finish([=](const Args& args) {
    const View &f = args[from], &t = args[to];
    if (f.empty()) return;
    for (int64_t b = 0; b < f.elements(0, f.rank - 2); ++b) {
      if (t.format == ACL_FORMAT_FRACTAL_NZ) {
        ToFractal(MatrixOf(t, t, b), MatrixOf(f, f, b));
      } else {
        FromFractal(MatrixOf(t, t, b), MatrixOf(f, f, b));
      }
    }
  });
}
QIAO_ACLNN_LAUNCH(NpuFormatCast)
