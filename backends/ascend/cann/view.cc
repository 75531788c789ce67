#include "backends/ascend/cann/view.h"

#include <algorithm>

namespace qiao::ascend {
namespace {

constexpr int64_t kFractalRows = 16, kFractalBytes = 32;

int64_t FractalColumns(aclDataType dtype) { return kFractalBytes / ElementBytes(dtype); }

size_t At(int d) { return static_cast<size_t>(d); }

const char* Name(aclDataType dtype) {
  switch (dtype) {
    case ACL_FLOAT:
      return "f32";
    case ACL_FLOAT16:
      return "f16";
    case ACL_BF16:
      return "bf16";
    case ACL_INT8:
      return "i8";
    case ACL_UINT8:
      return "u8";
    case ACL_INT32:
      return "i32";
    case ACL_INT64:
      return "i64";
    case ACL_BOOL:
      return "bool";
    case ACL_FLOAT8_E4M3FN:
      return "f8_e4m3";
    default:
      return "?";
  }
}

std::string List(const std::array<int64_t, View::kMaxRank>& values, int rank) {
  std::string text = "[";
  for (int d = 0; d < rank; ++d) {
    if (d > 0) text += ',';
    text += std::to_string(values[At(d)]);
  }
  text += ']';
  return text;
}

}  // namespace

int64_t ElementBytes(aclDataType dtype) {
  switch (dtype) {
    case ACL_FLOAT:
    case ACL_INT32:
      return 4;
    case ACL_FLOAT16:
    case ACL_BF16:
      return 2;
    case ACL_INT8:
    case ACL_UINT8:
    case ACL_BOOL:
    case ACL_FLOAT8_E4M3FN:
      return 1;
    case ACL_INT64:
      return 8;
    default:
      return 0;
  }
}

aclDataType AclType(uint32_t dtype) {
  switch (dtype) {
    case QIAO_F32:
      return ACL_FLOAT;
    case QIAO_F16:
      return ACL_FLOAT16;
    case QIAO_BF16:
      return ACL_BF16;
    case QIAO_I8:
      return ACL_INT8;
    case QIAO_U8:
      return ACL_UINT8;
    case QIAO_I32:
      return ACL_INT32;
    case QIAO_I64:
      return ACL_INT64;
    case QIAO_F8E4M3:
      return ACL_FLOAT8_E4M3FN;
    default:
      return ACL_DT_UNDEFINED;
  }
}

View View::Contiguous(void* data, aclDataType dtype, std::initializer_list<int64_t> dims) {
  View v;
  v.rank = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), v.dim.begin());
  return v.ContiguousAt(data, dtype);
}

View View::ContiguousAt(void* to, aclDataType type) const {
  View v;
  v.data = to;
  v.dtype = type;
  v.rank = rank;
  v.dim = dim;
  int64_t stride = 1;
  for (int d = v.rank - 1; d >= 0; --d) {
    v.stride[At(d)] = stride;
    stride *= v.dim[At(d)];
  }
  return v;
}

// [.., ceil(C / c0), ceil(R / 16), 16, c0]
View View::FractalNz(void* data, aclDataType dtype, std::initializer_list<int64_t> dims) {
  View v = Contiguous(data, dtype, dims);
  v.format = ACL_FORMAT_FRACTAL_NZ;
  const int64_t c0 = FractalColumns(dtype), rows = v[-2], cols = v[-1];
  std::copy(dims.begin(), dims.end() - 2, v.storage.begin());
  v.storage_rank = v.rank + 2;
  int64_t* last = v.storage.data() + v.rank - 2;
  last[0] = (cols + c0 - 1) / c0;
  last[1] = (rows + kFractalRows - 1) / kFractalRows;
  last[2] = kFractalRows;
  last[3] = c0;
  return v;
}

int64_t FractalElements(aclDataType dtype, int64_t rows, int64_t cols) {
  const int64_t c0 = FractalColumns(dtype);
  return (cols + c0 - 1) / c0 * c0 * ((rows + kFractalRows - 1) / kFractalRows * kFractalRows);
}

View View::Of(const qiao_tensor& tensor, void* data, int64_t rows) {
  View v;
  v.data = data;
  v.dtype = AclType(tensor.dtype);
  v.rank = static_cast<int>(tensor.rank);
  for (int d = 0; d < v.rank; ++d) {
    v.dim[At(d)] = tensor.dim[d];
    v.stride[At(d)] = tensor.stride[d];
  }
  if (v.rank > 0) v.dim[0] = rows;
  return v;
}

int64_t View::elements() const {
  int64_t n = 1;
  for (int d = 0; d < rank; ++d) n *= dim[At(d)];
  return n;
}

bool View::contiguous() const {
  int64_t expected = 1;
  for (int d = rank - 1; d >= 0; --d) {
    if (dim[At(d)] != 1 && stride[At(d)] != expected) return false;
    expected *= dim[At(d)];
  }
  return true;
}

View View::Slice(int d, int64_t begin, int64_t size) const {
  if (d < 0) d += rank;
  View v = *this;
  v.offset += begin * stride[At(d)];
  v.dim[At(d)] = size;
  return v;
}

View View::Select(int d, int64_t index) const {
  if (d < 0) d += rank;
  View v = Slice(d, index, 1);
  std::copy(dim.begin() + d + 1, dim.begin() + rank, v.dim.begin() + d);
  std::copy(stride.begin() + d + 1, stride.begin() + rank, v.stride.begin() + d);
  --v.rank;
  return v;
}

View View::Swap(int a, int b) const {
  View v = *this;
  std::swap(v.dim[At(a < 0 ? a + rank : a)], v.dim[At(b < 0 ? b + rank : b)]);
  std::swap(v.stride[At(a < 0 ? a + rank : a)], v.stride[At(b < 0 ? b + rank : b)]);
  return v;
}

View View::Insert(int d, int64_t size, int64_t step) const {
  View v = *this;
  if (d < 0) d += rank + 1;
  std::copy_backward(dim.begin() + d, dim.begin() + rank, v.dim.begin() + rank + 1);
  std::copy_backward(stride.begin() + d, stride.begin() + rank, v.stride.begin() + rank + 1);
  v.dim[At(d)] = size;
  v.stride[At(d)] = step;
  ++v.rank;
  return v;
}

View View::Split(int d, int64_t inner) const {
  if (d < 0) d += rank;
  const int64_t outer = inner > 0 ? dim[At(d)] / inner : 0;
  View v = Insert(d, outer, stride[At(d)] * inner);
  v.dim[At(d + 1)] = inner;
  return v;
}

bool View::MayMerge(int d) const {
  return dim[At(d)] == 1 || dim[At(d + 1)] == 1 || stride[At(d)] == dim[At(d + 1)] * stride[At(d + 1)];
}

View View::Merge(int d) const {
  View v = *this;
  v.dim[At(d)] = dim[At(d)] * dim[At(d + 1)];
  v.stride[At(d)] = dim[At(d + 1)] == 1 ? stride[At(d)] : stride[At(d + 1)];
  std::copy(dim.begin() + d + 2, dim.begin() + rank, v.dim.begin() + d + 1);
  std::copy(stride.begin() + d + 2, stride.begin() + rank, v.stride.begin() + d + 1);
  --v.rank;
  return v;
}

std::string View::ToString() const {
  std::string text = Name(dtype) + List(dim, rank);
  if (!contiguous()) text.append("/").append(List(stride, rank));
  if (format != ACL_FORMAT_ND) text.append(" format ").append(std::to_string(static_cast<int>(format)));
  return text;
}

}  // namespace qiao::ascend
