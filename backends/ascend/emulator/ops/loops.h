// Loops over views: rows of elements in a number domain, copies of bytes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "backends/ascend/emulator/nnopbase/elements.h"
#include "backends/ascend/emulator/nnopbase/view.h"
#include "backends/ascend/emulator/ops/kernel_call.h"

namespace qiao::cann {

// Rows that are worth a thread of their own, for rows of so many elements.
inline int64_t RowGrain(int64_t width) { return std::max<int64_t>(1, 8192 / std::max<int64_t>(1, width)); }

// Merges neighbouring dimensions that every view walks as one, so that rows get long. All views have one shape.
template <size_t N>
void Collapse(std::array<View, N>* views) {
  View& first = (*views)[0];
  for (View& v : *views)
    if (v.rank == 0) v = v.Insert(0);
  for (int d = first.rank - 2; d >= 0; --d) {
    bool mergeable = true;
    for (const View& v : *views) mergeable = mergeable && v.step(d) == v.step(d + 1) * v.size(d + 1);
    if (!mergeable) continue;
    for (View& v : *views) {
      const int64_t n = v.size(d) * v.size(d + 1), step = v.step(d + 1);
      v = v.Select(d, 0);
      v.dim[static_cast<size_t>(d)] = n;
      v.stride[static_cast<size_t>(d)] = step;
    }
  }
}

// row(out, in.., n): pieces of rows, n <= kPiece elements, loaded as T and stored from T. All views have one shape.
inline constexpr int64_t kPiece = 1024;
template <typename T, size_t kInputs, class Row>
void MapRows(const View& out, const std::array<View, kInputs>& in, Row row) {
  std::array<View, kInputs + 1> all;
  all[0] = out;
  std::copy(in.begin(), in.end(), all.begin() + 1);
  Collapse(&all);
  const int64_t width = all[0].size(-1), rows = all[0].rows();
  if (width == 0 || rows == 0) return;
  // Long rows are cut, so that threads share them.
  const int64_t pieces = (width + kPiece - 1) / kPiece;
  Pool().ParallelFor(rows * pieces, RowGrain(std::min(width, kPiece)), [&](int64_t begin, int64_t end, int) {
    std::array<std::array<T, kPiece>, kInputs> value;
    std::array<T, kPiece> result;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = i / pieces, c = i % pieces * kPiece, n = std::min(kPiece, width - c);
      auto at = [&](const View& v) { return v.Row(r) + c * v.step(-1) * BytesOf(v.dtype); };
      for (size_t k = 0; k < kInputs; ++k)
        LoadRow(all[k + 1].dtype, at(all[k + 1]), all[k + 1].step(-1), n, value[k].data());
      row(value, n, result.data());
      StoreRow(all[0].dtype, at(all[0]), all[0].step(-1), n, result.data());
    }
  });
}

// n elements of so many bytes, `step` elements apart.
void CopyRow(int64_t bytes, char* to, int64_t to_step, const char* from, int64_t from_step, int64_t n);

// to = from: same shape and size of elements, bit for bit.
void CopyBits(const View& to, const View& from);

// to = from with conversion: same shape.
void Convert(const View& to, const View& from);

// Owned memory, described as contiguous; not initialised.
class Buffer {
 public:
  Buffer() = default;
  Buffer(aclDataType dtype, std::initializer_list<int64_t> dims) : view_(View::Of(dtype, dims, nullptr)) {
    Take();
  }
  // Of the shape of `like`.
  Buffer(aclDataType dtype, const View& like) : view_(like.Over(dtype, nullptr)) { Take(); }
  Buffer(Buffer&&) = default;
  Buffer& operator=(Buffer&&) = default;

  const View& view() const { return view_; }
  operator const View&() const { return view_; }
  template <typename T>
  T* as() const {
    return view_.as<T>();
  }

 private:
  void Take() {
    // 64 bytes more, so that the start can be aligned.
    memory_ = std::make_unique_for_overwrite<char[]>(
        static_cast<size_t>(view_.elements() * BytesOf(view_.dtype)) + 64);
    view_.base = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(memory_.get()) + 63) / 64 * 64);
  }
  std::unique_ptr<char[]> memory_;
  View view_;
};

// A contiguous copy in another dtype (or the same).
inline Buffer Converted(const View& from, aclDataType dtype) {
  Buffer to(dtype, from);
  Convert(to, from);
  return to;
}

// Integers of an i32 or i64 tensor, in row-major order.
std::vector<int64_t> Integers(const View& v);
// The same as f32, of any dtype that has elements.
std::vector<float> Floats(const View& v);

}  // namespace qiao::cann
