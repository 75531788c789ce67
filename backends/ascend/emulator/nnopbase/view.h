// A strided view of memory with up to eight dimensions: what an operator sees of an aclTensor. Element i lies at
// base + offset + sum(i[d] * stride[d]), counted in elements; strides may be 0, have any order and, inside the emulator,
// be negative. A view owns nothing. Views of FRACTAL_NZ keep the strides of the matrix before conversion: see
// nnopbase/fractal.h for where their elements are.
#pragma once

#include <acl/acl_base.h>

#include <array>
#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "backends/ascend/emulator/runtime/dtype.h"

namespace qiao::cann {

inline constexpr int kMaxDims = 8;
using Dims = std::array<int64_t, kMaxDims>;

struct View {
  aclDataType dtype = ACL_DT_UNDEFINED;
  aclFormat format = ACL_FORMAT_ND;
  int rank = 0;
  Dims dim{}, stride{};
  void* base = nullptr;
  int64_t offset = 0;

  // Of memory that is contiguous.
  static View Of(aclDataType dtype, std::initializer_list<int64_t> dims, const void* data) {
    View v;
    v.dtype = dtype;
    for (int64_t d : dims) v.dim[static_cast<size_t>(v.rank++)] = d;
    v.base = const_cast<void*>(data);
    v.MakeContiguous();
    return v;
  }

  // Memory that is contiguous, in the shape of this one.
  View Over(aclDataType other, const void* data) const {
    View v = *this;
    v.dtype = other;
    v.format = ACL_FORMAT_ND;
    v.base = const_cast<void*>(data);
    v.offset = 0;
    v.MakeContiguous();
    return v;
  }

  int64_t size(int d) const { return dim[Index(d)]; }
  int64_t step(int d) const { return stride[Index(d)]; }
  // Of the first element. Not for types smaller than a byte.
  char* data() const { return static_cast<char*>(base) + offset * BytesOf(dtype); }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data());
  }

  int64_t elements() const {
    int64_t n = 1;
    for (int d = 0; d < rank; ++d) n *= dim[static_cast<size_t>(d)];
    return n;
  }
  // Product of the dimensions [begin, end).
  int64_t elements(int begin, int end) const {
    int64_t n = 1;
    for (int d = begin; d < end; ++d) n *= dim[static_cast<size_t>(d)];
    return n;
  }
  bool empty() const { return elements() == 0; }
  bool contiguous() const {
    int64_t expected = 1;
    for (int d = rank - 1; d >= 0; expected *= size(d--))
      if (size(d) != 1 && step(d) != expected) return false;
    return true;
  }
  void MakeContiguous() {
    int64_t next = 1;
    for (int d = rank - 1; d >= 0; next *= size(d--)) stride[static_cast<size_t>(d)] = next;
  }
  bool SameShape(const View& other) const {
    if (rank != other.rank) return false;
    for (int d = 0; d < rank; ++d)
      if (size(d) != other.size(d)) return false;
    return true;
  }
  std::string ShapeString() const {
    std::string text = "[";
    for (int d = 0; d < rank; ++d) text += (d ? ", " : "") + std::to_string(size(d));
    return text + "]";
  }

  // The slice with index i of dimension d, without that dimension.
  View Select(int d, int64_t i) const {
    View v = *this;
    const size_t at = Index(d);
    v.offset += i * stride[at];
    for (size_t e = at; e + 1 < static_cast<size_t>(rank); ++e) {
      v.dim[e] = dim[e + 1];
      v.stride[e] = stride[e + 1];
    }
    --v.rank;
    return v;
  }
  // Indices [begin, begin + n) of dimension d.
  View Narrow(int d, int64_t begin, int64_t n) const {
    View v = *this;
    v.offset += begin * stride[Index(d)];
    v.dim[Index(d)] = n;
    return v;
  }
  View Swap(int a, int b) const {
    View v = *this;
    std::swap(v.dim[Index(a)], v.dim[Index(b)]);
    std::swap(v.stride[Index(a)], v.stride[Index(b)]);
    return v;
  }
  // A dimension of length 1 before dimension d (d = rank: after the last).
  View Insert(int d, int64_t n = 1, int64_t step = 0) const {
    View v = *this;
    for (int e = rank; e > d; --e) {
      v.dim[static_cast<size_t>(e)] = dim[static_cast<size_t>(e - 1)];
      v.stride[static_cast<size_t>(e)] = stride[static_cast<size_t>(e - 1)];
    }
    v.dim[static_cast<size_t>(d)] = n;
    v.stride[static_cast<size_t>(d)] = step;
    ++v.rank;
    return v;
  }
  // As NumPy broadcasts, for shapes that fit.
  View BroadcastTo(const View& to) const {
    View v = *this;
    v.rank = to.rank;
    for (int d = 0; d < to.rank; ++d) {
      const int from = d - (to.rank - rank);
      const bool given = from >= 0 && size(from) == to.size(d);
      v.dim[static_cast<size_t>(d)] = to.size(d);
      v.stride[static_cast<size_t>(d)] = given ? step(from) : 0;
    }
    return v;
  }
  bool BroadcastsTo(const View& to) const {
    if (rank > to.rank) return false;
    for (int d = 0; d < rank; ++d)
      if (size(d) != 1 && size(d) != to.size(d + to.rank - rank)) return false;
    return true;
  }

  // Offset in elements of row-major index `i` over the dimensions [begin, end).
  int64_t OffsetOf(int64_t i, int begin, int end) const {
    int64_t at = 0;
    for (int d = end - 1; d >= begin; --d) {
      const int64_t n = dim[static_cast<size_t>(d)];
      at += i % n * stride[static_cast<size_t>(d)];
      i /= n;
    }
    return at;
  }
  // Row r of the last dimension, in row-major order of the others.
  char* Row(int64_t r) const { return data() + OffsetOf(r, 0, rank - 1) * BytesOf(dtype); }
  int64_t rows() const { return elements(0, rank - 1); }

 private:
  size_t Index(int d) const {
    if (d < 0) d += rank;
    assert(d >= 0 && d < kMaxDims);
    return static_cast<size_t>(d);
  }
};

}  // namespace qiao::cann
