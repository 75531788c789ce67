// A view of device memory as aclCreateTensor takes it: dimensions, strides and an offset, in elements. A value: no
// memory is owned and nothing is allocated.
#pragma once

#include <qiao/ops.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "backends/ascend/cann/functions.h"

namespace qiao::ascend {

// Bytes of one element; 0 for what this backend does not use.
int64_t ElementBytes(aclDataType dtype);

// The dtype of ops.h as CANN numbers it; ACL_DT_UNDEFINED where there is none.
aclDataType AclType(uint32_t dtype);

// Elements that a matrix takes in FRACTAL_NZ: fractals of 16 rows and 32 bytes, padded with zeros.
int64_t FractalElements(aclDataType dtype, int64_t rows, int64_t cols);

struct View {
  static constexpr int kMaxRank = 8;

  void* data = nullptr;  // what offset counts from
  int64_t offset = 0;
  aclDataType dtype = ACL_DT_UNDEFINED;
  aclFormat format = ACL_FORMAT_ND;
  int rank = 0;
  std::array<int64_t, kMaxRank> dim{}, stride{};
  // What the memory holds, where that is not ND; rank 0 otherwise.
  int storage_rank = 0;
  std::array<int64_t, kMaxRank> storage{};

  static View Contiguous(void* data, aclDataType dtype, std::initializer_list<int64_t> dims);
  // A matrix [.., R, C] that lies in FRACTAL_NZ: its view is that of the matrix before it was converted.
  static View FractalNz(void* data, aclDataType dtype, std::initializer_list<int64_t> dims);
  // An argument of an operation, with as many of its rows as `rows` says.
  static View Of(const qiao_tensor& tensor, void* data, int64_t rows);

  int64_t elements() const;
  bool contiguous() const;
  // The same dimensions row by row at `to`.
  View ContiguousAt(void* to, aclDataType type) const;
  int64_t operator[](int d) const { return dim[static_cast<size_t>(d < 0 ? rank + d : d)]; }

  // Elements begin .. begin + size of dimension d.
  View Slice(int d, int64_t begin, int64_t size) const;
  // Dimension d is `index` and goes.
  View Select(int d, int64_t index) const;
  View Swap(int a, int b) const;
  // A new dimension d of `size` elements that are `step` apart (0: the same element each time).
  View Insert(int d, int64_t size, int64_t step = 0) const;
  // Dimension d becomes two, [dim / inner, inner].
  View Split(int d, int64_t inner) const;
  // Dimensions d and d + 1 become one. Only where MayMerge.
  View Merge(int d) const;
  bool MayMerge(int d) const;

  // "bf16[5,7]", with strides where they are not contiguous.
  std::string ToString() const;
};

}  // namespace qiao::ascend
