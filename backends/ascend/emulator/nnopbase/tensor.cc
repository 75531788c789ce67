// Tensors and lists of tensors.
#include <algorithm>
#include <new>
#include <string>

#include "absl/strings/str_format.h"
#include "backends/ascend/emulator/nnopbase/objects.h"
#include "backends/ascend/emulator/runtime/emulator.h"

namespace {

using qiao::cann::Fail;
using qiao::cann::kMaxDims;

aclTensor* Refuse(const std::string& why) {
  Fail(ACLNN_ERR_PARAM_INVALID, "aclCreateTensor: " + why);
  return nullptr;
}

aclnnStatus CopyDims(const char* function, const aclTensor* tensor, int rank, const qiao::cann::Dims& from,
                     int64_t** to, uint64_t* count) {
  if (!tensor || !to || !count)
    return Fail(ACLNN_ERR_PARAM_NULLPTR, std::string(function) + ": an argument is null");
  *to = new (std::nothrow) int64_t[static_cast<size_t>(std::max(rank, 1))];
  if (!*to) return Fail(ACLNN_ERR_INNER, std::string(function) + ": no memory");
  std::copy_n(from.begin(), rank, *to);
  *count = static_cast<uint64_t>(rank);
  return ACLNN_SUCCESS;
}

}  // namespace

aclTensor* aclCreateTensor(const int64_t* viewDims, uint64_t viewDimsNum, aclDataType dataType,
                           const int64_t* stride, int64_t offset, aclFormat format,
                           const int64_t* storageDims, uint64_t storageDimsNum, void* tensorData) {
  if (viewDimsNum > kMaxDims || storageDimsNum > kMaxDims)
    return Refuse(absl::StrFormat("%d view and %d storage dimensions; %d each is the most", viewDimsNum,
                                  storageDimsNum, kMaxDims));
  if ((viewDimsNum && !viewDims) || (storageDimsNum && !storageDims))
    return Refuse("the dimensions are null");
  if (offset < 0) return Refuse(absl::StrFormat("an offset of %d", offset));
  auto* tensor = new (std::nothrow) aclTensor;
  if (!tensor) return Refuse("no memory");
  qiao::cann::View& view = tensor->view;
  view.dtype = dataType;
  view.format = format;
  view.rank = static_cast<int>(viewDimsNum);
  view.base = tensorData;
  view.offset = offset;
  tensor->storage_rank = static_cast<int>(storageDimsNum);
  std::copy_n(viewDims, viewDimsNum, view.dim.begin());
  std::copy_n(storageDims, storageDimsNum, tensor->storage.begin());
  if (stride) {
    std::copy_n(stride, viewDimsNum, view.stride.begin());
  } else {
    view.MakeContiguous();
  }
  for (int d = 0; d < view.rank; ++d) {
    if (view.size(d) < 0 || view.step(d) < 0) {
      const std::string why =
          absl::StrFormat("dimension %d has length %d and stride %d", d, view.size(d), view.step(d));
      delete tensor;
      return Refuse(why);
    }
  }
  return tensor;
}

aclnnStatus aclDestroyTensor(const aclTensor* tensor) {
  delete tensor;
  return ACLNN_SUCCESS;
}

aclTensorList* aclCreateTensorList(const aclTensor* const* value, uint64_t size) {
  if (!value && size) {
    Fail(ACLNN_ERR_PARAM_NULLPTR, "aclCreateTensorList: value is null");
    return nullptr;
  }
  return new aclTensorList{{value, value + size}};
}

aclnnStatus aclDestroyTensorList(const aclTensorList* list) {
  if (!list) return ACLNN_SUCCESS;
  for (const aclTensor* tensor : list->tensors) aclDestroyTensor(tensor);
  delete list;
  return ACLNN_SUCCESS;
}

aclnnStatus aclGetTensorListSize(const aclTensorList* list, uint64_t* size) {
  if (!list || !size) return Fail(ACLNN_ERR_PARAM_NULLPTR, "aclGetTensorListSize: an argument is null");
  *size = list->tensors.size();
  return ACLNN_SUCCESS;
}

aclnnStatus aclGetViewShape(const aclTensor* tensor, int64_t** viewDims, uint64_t* viewDimsNum) {
  return CopyDims("aclGetViewShape", tensor, tensor ? tensor->view.rank : 0,
                  tensor ? tensor->view.dim : qiao::cann::Dims{}, viewDims, viewDimsNum);
}

aclnnStatus aclGetStorageShape(const aclTensor* tensor, int64_t** storageDims, uint64_t* storageDimsNum) {
  return CopyDims("aclGetStorageShape", tensor, tensor ? tensor->storage_rank : 0,
                  tensor ? tensor->storage : qiao::cann::Dims{}, storageDims, storageDimsNum);
}

aclnnStatus aclGetViewStrides(const aclTensor* tensor, int64_t** strides, uint64_t* stridesNum) {
  return CopyDims("aclGetViewStrides", tensor, tensor ? tensor->view.rank : 0,
                  tensor ? tensor->view.stride : qiao::cann::Dims{}, strides, stridesNum);
}

aclnnStatus aclGetViewOffset(const aclTensor* tensor, int64_t* offset) {
  if (!tensor || !offset) return Fail(ACLNN_ERR_PARAM_NULLPTR, "aclGetViewOffset: an argument is null");
  *offset = tensor->view.offset;
  return ACLNN_SUCCESS;
}

aclnnStatus aclGetFormat(const aclTensor* tensor, aclFormat* format) {
  if (!tensor || !format) return Fail(ACLNN_ERR_PARAM_NULLPTR, "aclGetFormat: an argument is null");
  *format = tensor->view.format;
  return ACLNN_SUCCESS;
}

aclnnStatus aclGetDataType(const aclTensor* tensor, aclDataType* dataType) {
  if (!tensor || !dataType) return Fail(ACLNN_ERR_PARAM_NULLPTR, "aclGetDataType: an argument is null");
  *dataType = tensor->view.dtype;
  return ACLNN_SUCCESS;
}
